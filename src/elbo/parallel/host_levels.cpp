#include "elbo/parallel/host_levels.h"

#include "elbo/base/log.h"

namespace elbo {

HostLevels::HostLevels(const Environment& environment, Communicator& world, double timeout) : world_(world) {
  const int here = environment.local_size();
  if (!environment.in_blocks()) {
    if (environment.rank() == 0)
      log::info(
          "hosts do not have equal numbers of consecutive ranks, so every rank exchanges gradients with "
          "every other; "
          "blocks of ranks (mpirun --map-by slot, srun --distribution=block) send less between hosts");
  } else if (here > 1 && here < environment.size()) {
    within_ = environment.make_group(world, environment.rank() / here, timeout);
    across_ = environment.make_group(world, environment.local_rank(), timeout);
  }
}

}  // namespace elbo
