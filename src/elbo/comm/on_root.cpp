#include "elbo/comm/on_root.h"

#include <torch/types.h>

namespace elbo {

// In pieces, because no rank may wait for the others longer than run.timeout.
void wait_for_root(Communicator& world, const std::function<bool()>& is_done) {
  for (bool busy = true; busy;) {
    torch::Tensor state = torch::zeros({}, torch::kInt64);
    if (world.rank() == 0 && !is_done()) state.fill_(1);
    world.broadcast(state, 0);
    busy = state.item<int64_t>() != 0;
  }
}

}  // namespace elbo
