// Exceptions of other libraries as sentences for the user.
#pragma once
#include <exception>

#include "elbo/base/error.h"

namespace elbo {

// What `error`, thrown by LibTorch or the standard library, means for the user and what to do: memory of the
// host or of a GPU ran out, a GPU belongs to another process or failed, an operation has no deterministic
// kernel. Any other error keeps the first line of its message.
Error describe_library_error(const std::exception& error);

}  // namespace elbo
