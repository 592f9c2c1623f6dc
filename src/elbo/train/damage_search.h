// Finds hardware that computes or keeps wrong numbers: what must be equal on all ranks is compared.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "elbo/train/data_parallel_step.h"

namespace elbo {

class DamageSearch {
 public:
  explicit DamageSearch(DataParallelStep& step) : step_(step) {}  // which outlives the object

  // After step `number` (from 0; -1 before the first). Compares the parameters and buffers of all ranks, the
  // bits that each rank kept between its updates with those that it was given, and the gradient of one
  // microbatch, which all ranks compute. The last only if all ranks agreed at the first time: CPUs of
  // different kinds do not. Says which rank is the odd one, or "". The same on every rank. Collective.
  std::string find(int64_t number);

 private:
  std::string digest_of_state() const;
  std::string digest_of_gradient(int64_t number) const;

  DataParallelStep& step_;
  std::optional<bool> same_arithmetic_;  // on all ranks; none: not known yet
};

}  // namespace elbo
