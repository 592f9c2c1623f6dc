// A loop whose iterations are independent, on all cores that the process may use.
#pragma once
#include <cstdint>
#include <functional>

namespace elbo {

// Calls task(0) … task(n-1), each once, on up to `threads` threads, of which the caller is one, and returns
// when all are done. After an exception no further iterations begin; that of the lowest iteration is
// rethrown.
void parallel_for(int64_t n, int threads, const std::function<void(int64_t)>& task);

}  // namespace elbo
