// The levels of communication (levels.h) of a job: two where every host has the same number of consecutive
// ranks, and more than one; otherwise one.
#pragma once
#include <memory>

#include "elbo/comm/environment.h"
#include "elbo/parallel/levels.h"

namespace elbo {

class HostLevels {
 public:
  // world: of all ranks, in host memory; outlives the object. timeout: of every wait, seconds. Collective.
  HostLevels(const Environment& environment, Communicator& world, double timeout);
  Levels levels() const { return within_ ? Levels(world_, *within_, *across_) : Levels(world_); }
  Communicator* within() const { return within_.get(); }  // of this host's ranks; null on one level

 private:
  Communicator& world_;
  std::unique_ptr<Communicator> within_, across_;
};

}  // namespace elbo
