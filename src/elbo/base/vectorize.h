// Loops in this project that the compiler vectorises for the instruction set of the machine they run on.
#pragma once

// Before a function: it is compiled for several instruction sets, and the best one that the machine has is
// taken when the program starts. Contraction is off in the whole program and such loops add in a fixed order,
// so all versions give the same bits. A macro, because attributes have no other name. Not under the thread
// sanitizer, which is not there yet when versions are chosen.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__)
#define ELBO_VECTORIZE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ELBO_VECTORIZE
#endif

namespace elbo {

// The number of sums that run side by side, so that a loop that adds has no chain of dependent additions.
constexpr int lanes = 16;

}  // namespace elbo
