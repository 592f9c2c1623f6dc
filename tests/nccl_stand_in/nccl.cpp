// The NCCL functions that elbo calls, implemented over MPI (world.h). Only the tests load it, instead of
// libnccl.so.2.
#include <nccl.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "world.h"

using nccl_stand_in::Kind;
using nccl_stand_in::Operation;
using nccl_stand_in::World;

struct ncclComm {
  ncclComm(int rank, int size, const ncclUniqueId& id) : world(rank, size, id) {}
  World world;
};

namespace {

// All communicators ever created: MPI may still write into an aborted one.
std::vector<std::unique_ptr<ncclComm>>& worlds() {
  static std::vector<std::unique_ptr<ncclComm>> instance;
  return instance;
}

// The open group of the process. NCCL has one per thread, but the program calls it from one thread at a time.
struct Group {
  int depth = 0;
  ncclComm_t comm = nullptr;
  std::vector<Operation> operations;
};
Group& group() {
  static Group instance;
  return instance;
}

std::string& error_without_comm() {
  static std::string instance;
  return instance;
}

ncclResult_t refuse(const char* why) {
  error_without_comm() = why;
  return ncclInvalidArgument;
}

ncclResult_t add(ncclComm_t comm, const Operation& operation) {
  if (comm == nullptr) return refuse("an operation without a communicator");
  if (operation.shown.peer >= comm->world.size()) return refuse("the peer is not a rank of the communicator");
  if (group().depth == 0) return comm->world.begin({operation});
  if (group().comm != nullptr && group().comm != comm) return refuse("one group with two communicators");
  group().comm = comm;
  group().operations.push_back(operation);
  return ncclSuccess;
}

}  // namespace

extern "C" {

// The operations of this process so far, one per line. Its presence also shows that the stand-in is loaded.
const char* nccl_stand_in_record() {
  static std::string text;
  text.clear();
  for (const auto& comm : worlds())
    for (const std::string& line : comm->world.record()) text += line + "\n";
  return text.c_str();
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    default:
      return "error in the NCCL stand-in";
  }
}

const char* ncclGetLastError(ncclComm_t comm) {
  return comm == nullptr ? error_without_comm().c_str() : comm->world.last_error().c_str();
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static int number = 0;
  const std::string text = "process " + std::to_string(::getpid()) + " world " + std::to_string(number++);
  std::memset(id->internal, 0, sizeof id->internal);
  std::memcpy(id->internal, text.data(), text.size());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  int mpi_rank = -1, mpi_size = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &mpi_rank);
  MPI_Comm_size(MPI_COMM_WORLD, &mpi_size);
  if (rank != mpi_rank || nranks != mpi_size) return refuse("rank and size must be those of MPI_COMM_WORLD");
  if (config == nullptr || config->blocking != 0)
    return refuse("expected a nonblocking communicator, whose waits can time out");
  worlds().push_back(std::make_unique<ncclComm>(rank, nranks, id));
  *comm = worlds().back().get();
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  *state = comm->world.progress();
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return comm->world.finalize(); }

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  comm->world.destroy();
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  return comm->world.refuse(ncclInvalidUsage, "the communicator was aborted");
}

ncclResult_t ncclGroupStart() {
  ++group().depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group().depth == 0) return refuse("ncclGroupEnd without ncclGroupStart");
  if (--group().depth > 0) return ncclSuccess;
  const Group ended = std::exchange(group(), {});
  return ended.comm == nullptr ? ncclSuccess : ended.comm->world.begin(ended.operations);
}

ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t) {
  return add(comm, {{Kind::send, type, peer, 0, static_cast<int64_t>(count)}, from, nullptr});
}

ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t) {
  return add(comm, {{Kind::receive, type, peer, 0, static_cast<int64_t>(count)}, nullptr, to});
}

ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t) {
  return add(comm, {{Kind::broadcast, type, root, 0, static_cast<int64_t>(count)}, from, to});
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t) {
  return add(comm, {{Kind::all_reduce, type, -1, op, static_cast<int64_t>(count)}, from, to});
}
}
