// Loops that the compiler vectorises for several instruction sets.
#pragma once

// A function with this attribute is compiled for several instruction sets; the dynamic loader picks the best
// one for the CPU. All versions give the same bits: floating-point contraction is off in the whole program,
// and the loops add in a fixed order. A macro, because C++ cannot name an attribute otherwise. Off under the
// thread sanitizer, whose runtime is not initialised when the loader picks a version.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)  // clang's way to say it
#define __SANITIZE_THREAD__ 1
#endif
#endif
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__)
#define ELBO_VECTORIZE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ELBO_VECTORIZE
#endif

namespace elbo {

// Number of independent partial sums of a reduction loop, which breaks its chain of dependent additions.
constexpr int lanes = 16;

}  // namespace elbo
