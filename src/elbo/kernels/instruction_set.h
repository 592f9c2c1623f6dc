// The vector instructions that the kernels use. They decide how many elements are computed side by side,
// never a result: all of them give the same bits.
#pragma once
#include <cstdint>
#include <string>

namespace elbo {

enum class InstructionSet : uint8_t { portable, avx2, avx512 };

// "portable", "avx2" or "avx512".
std::string name_of(InstructionSet set);

// Whether this CPU has the instructions, and the program was compiled with them.
bool is_available(InstructionSet set);

// The widest of this CPU, or the one that the environment variable ELBO_KERNELS names. The same for the whole
// life of the process. Throws a usage Error for a name that is unknown or whose instructions this CPU does
// not have.
InstructionSet instruction_set();

}  // namespace elbo
