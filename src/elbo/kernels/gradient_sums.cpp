#include "elbo/kernels/gradient_sums.h"

#include <functional>

namespace elbo {
namespace {

thread_local GradientSums* sums_in_use = nullptr;

}  // namespace

void GradientSums::begin(const float* parameters, int64_t floats, float* sums, bool adds) {
  parameters_ = parameters;
  floats_ = floats;
  sums_ = sums;
  adds_ = adds;
  for (auto& [parameter, state] : used_) state = {};
}

GradientSums::Use::Use(GradientSums& sums) { sums_in_use = &sums; }
GradientSums::Use::~Use() { sums_in_use = nullptr; }

void GradientSums::count_use(const float* parameter) {
  if (sums_in_use != nullptr) ++sums_in_use->used_[parameter].uses;
}

void GradientSums::exclude(const float* parameter) {
  for (int use = 0; use < 2; ++use) count_use(parameter);
}

std::optional<GradientSums::Place> GradientSums::take(const float* parameter) {
  GradientSums* const own = sums_in_use;
  if (own == nullptr || std::less<>()(parameter, own->parameters_) ||
      !std::less<>()(parameter, own->parameters_ + own->floats_))
    return std::nullopt;
  Parameter& state = own->used_[parameter];
  if (state.uses != 1 || state.taken) return std::nullopt;
  state.taken = true;
  return Place{own->sums_ + (parameter - own->parameters_), own->adds_};
}

bool GradientSums::taken(const float* parameter) const {
  const auto found = used_.find(parameter);
  return found != used_.end() && found->second.taken;
}

}  // namespace elbo
