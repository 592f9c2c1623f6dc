// The ranks that a test program of several ranks runs on. All of them run the same tests in the same order; a
// test that fails on one rank fails on all.
#pragma once
#include "elbo/comm/communicator.h"
#include "elbo/comm/environment.h"

namespace elbo {

const Environment& environment();

// A world for tests that need one and leave it as they found it; its waits end after a minute.
Communicator& world();

}  // namespace elbo
