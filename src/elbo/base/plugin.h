// Libraries that are loaded on first use: what they are linked to is not needed to start the program.
#pragma once
#include <string>

namespace elbo {

// Loads LIBRARY ("libelbo_cuda.so"), searched beside the program, in its ../lib, then in the dynamic loader's
// path, and returns the address of its symbol. nullptr if either is not there: `why` receives the reason.
// Stays loaded until the process ends.
void* plugin_symbol(const std::string& library, const std::string& symbol, std::string* why);

// Loads a library that is not this project's, by its name in the loader's path. False: `why` receives the
// reason.
bool load_library(const std::string& name, std::string* why);

}  // namespace elbo
