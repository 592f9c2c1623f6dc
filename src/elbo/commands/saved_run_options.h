// Options of the commands that use a saved run, for their own to inherit.
#pragma once
#include <string>

#include "elbo/base/options.h"

namespace elbo {

struct SavedRunOptions {
  std::string split = "test", checkpoint = "newest", threads = "auto";

  void bind_split(OptionTable& table) {
    table.add("split", split, "split whose rows are used: train, validation or test");
  }
  void bind_checkpoint(OptionTable& table) {
    table.add("checkpoint", checkpoint, "checkpoint that is used: newest, best, or a step");
  }
  void bind_threads(OptionTable& table) {
    table.add_number_or("threads", threads, {"auto"},
                        "worker threads of a rank; auto: the cores of the host divided among its ranks",
                        Range::between(1, 1024));
  }
};

}  // namespace elbo
