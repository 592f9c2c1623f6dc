// NCCL's C functions, as far as the program calls them, over the stand-in's worlds. It is loaded in the place
// of libnccl.so.2 by the tests alone.
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

// All worlds there ever were: MPI may still write into one that was aborted.
std::vector<std::unique_ptr<ncclComm>>& worlds() {
  static std::vector<std::unique_ptr<ncclComm>> instance;
  return instance;
}

// The open group of the process; NCCL keeps one a thread, and the program calls from one thread only.
struct Group {
  int depth = 0;
  ncclComm_t comm = nullptr;
  std::vector<Operation> operations;
};
Group& group() {
  static Group instance;
  return instance;
}

std::string& failure_without_world() {
  static std::string instance;
  return instance;
}

ncclResult_t refuse(const char* why) {
  failure_without_world() = why;
  return ncclInvalidArgument;
}

ncclResult_t add(ncclComm_t comm, const Operation& operation) {
  if (comm == nullptr) return refuse("an operation without a communicator");
  if (operation.shown.peer >= comm->world.size()) return refuse("a peer that is no rank of the world");
  if (group().depth == 0) return comm->world.begin({operation});
  if (group().comm != nullptr && group().comm != comm) return refuse("one group, two communicators");
  group().comm = comm;
  group().operations.push_back(operation);
  return ncclSuccess;
}

}  // namespace

extern "C" {

// Whether the stand-in is there, and what this process did through it: one operation a line.
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
      return "error of the stand-in";
  }
}

const char* ncclGetLastError(ncclComm_t comm) {
  return comm == nullptr ? failure_without_world().c_str() : comm->world.last_error().c_str();
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
  if (rank != mpi_rank || nranks != mpi_size) return refuse("the stand-in's ranks are MPI's");
  if (config == nullptr || config->blocking != 0)
    return refuse("a communicator that blocks has no limit to its waits");
  worlds().push_back(std::make_unique<ncclComm>(rank, nranks, id));
  *comm = worlds().back().get();
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  *state = comm->world.progress();
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) { return comm->world.begin_end(); }

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
  if (group().depth == 0) return refuse("a group ends that was not begun");
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
