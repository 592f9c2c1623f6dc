#include "elbo/kernels/instruction_set.h"

#include <array>
#include <cstdlib>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr std::array all_sets = {InstructionSet::avx512, InstructionSet::avx2, InstructionSet::portable};

InstructionSet chosen_set() {
  const char* const wanted = std::getenv("ELBO_KERNELS");
  for (const InstructionSet set : all_sets) {
    if (wanted == nullptr ? !is_available(set) : name_of(set) != wanted) continue;
    if (!is_available(set)) usage_error("ELBO_KERNELS={}: this CPU does not have these instructions", wanted);
    return set;
  }
  usage_error("ELBO_KERNELS={}: expected avx512, avx2 or portable", wanted);
}

}  // namespace

std::string name_of(InstructionSet set) {
  if (set == InstructionSet::avx512) return "avx512";
  return set == InstructionSet::avx2 ? "avx2" : "portable";
}

bool is_available(InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::avx512) return __builtin_cpu_supports("avx512f") != 0;
  if (set == InstructionSet::avx2)
    return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
#endif
  return set == InstructionSet::portable;
}

InstructionSet instruction_set() {
  static const InstructionSet set = chosen_set();
  return set;
}

}  // namespace elbo
