// Access to the ranks of a test program. All ranks run the same tests in the same order; a test that fails on
// one rank fails on all.
#pragma once
#include "elbo/comm/communicator.h"
#include "elbo/comm/environment.h"

namespace elbo {

const Environment& environment();

// The communicator of all ranks, shared by tests that leave no call pending; its timeout is one minute.
Communicator& world();

}  // namespace elbo
