// Commands of the user's, in a shell, which get a text on their standard input.
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>

namespace elbo {

// Starts `command`, whose standard output goes to the descriptor `output`. The process, or -1 with errno.
pid_t start_in_shell(const std::string& command, std::string_view input, int output);

// What `command` printed, once it has ended; its standard error is elbo's. Throws Error, which names
// `option`, where it cannot be run or does not end with status 0.
std::string output_of(const std::string& option, const std::string& command, std::string_view input);

}  // namespace elbo
