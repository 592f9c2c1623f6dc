// Checks the return code of an MPI call. All communicators return errors (MPI_ERRORS_RETURN) instead of
// aborting.
#pragma once
#include <mpi.h>

#include <string>

#include "elbo/base/error.h"
#include "elbo/comm/wait.h"

namespace elbo {

inline void check_mpi(int code, const RankName& who, const std::string& tried) {
  if (code == MPI_SUCCESS) return;
  char reason[MPI_MAX_ERROR_STRING] = "unknown error";
  int started = 0, length = 0;
  if (MPI_Initialized(&started) == MPI_SUCCESS && started != 0) MPI_Error_string(code, reason, &length);
  fail("{} could not {}: {}", to_string(who), tried, reason);
}

}  // namespace elbo
