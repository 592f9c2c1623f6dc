#include "world.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace nccl_stand_in {
namespace {

constexpr int tag_counts = 1, tag_operations = 2, tag_data = 3;

struct Type {
  const char* name;
  size_t bytes;
  MPI_Datatype mpi;
};

Type type_of(int32_t type) {
  switch (type) {
    case ncclUint8:
      return {"uint8", 1, MPI_UINT8_T};
    case ncclInt32:
      return {"int32", 4, MPI_INT32_T};
    case ncclInt64:
      return {"int64", 8, MPI_INT64_T};
    case ncclFloat32:
      return {"float32", 4, MPI_FLOAT};
    case ncclFloat64:
      return {"float64", 8, MPI_DOUBLE};
    default:
      return {"an unknown type", 0, MPI_DATATYPE_NULL};
  }
}

bool is_collective(const Operation::Shown& shown) {
  return shown.kind == Kind::broadcast || shown.kind == Kind::all_reduce;
}

std::string list(const std::vector<Operation::Shown>& operations) {
  std::string text;
  for (const Operation::Shown& shown : operations) text += (text.empty() ? "" : ", ") + describe(shown);
  return text.empty() ? "nothing" : text;
}

std::vector<Operation::Shown> matching(const std::vector<Operation::Shown>& all,
                                       bool (*wanted)(const Operation::Shown&)) {
  std::vector<Operation::Shown> result;
  std::copy_if(all.begin(), all.end(), std::back_inserter(result), wanted);
  return result;
}

// Type and number of elements of each send to (receive from) `peer`.
std::vector<std::pair<int32_t, int64_t>> transfers(const std::vector<Operation::Shown>& operations, Kind kind,
                                                   int peer) {
  std::vector<std::pair<int32_t, int64_t>> result;
  for (const Operation::Shown& shown : operations)
    if (shown.kind == kind && shown.peer == peer) result.emplace_back(shown.type, shown.count);
  return result;
}

}  // namespace

std::string describe(const Operation::Shown& shown) {
  const std::string what = std::to_string(shown.count) + " x " + type_of(shown.type).name;
  switch (shown.kind) {
    case Kind::send:
      return "send " + what + " to " + std::to_string(shown.peer);
    case Kind::receive:
      return "receive " + what + " from " + std::to_string(shown.peer);
    case Kind::broadcast:
      return "broadcast " + what + " from " + std::to_string(shown.peer);
    case Kind::all_reduce:
      return "all_reduce " + what + (shown.op == ncclSum ? " by sum" : " by max");
  }
  return "an unknown operation";
}

World::World(int rank, int size, const ncclUniqueId& id) : rank_(rank), size_(size) {
  check(MPI_Comm_idup(MPI_COMM_WORLD, &comm_, request()));
  then([this, id] { exchange_ids(id); });
}

void World::exchange_ids(const ncclUniqueId& id) {
  constexpr size_t bytes = sizeof id.internal;
  buffers_ = {std::vector<char>(id.internal, id.internal + bytes),
              std::vector<char>(bytes * static_cast<size_t>(size_))};
  check(MPI_Iallgather(buffers_[0].data(), static_cast<int>(bytes), MPI_BYTE, buffers_[1].data(),
                       static_cast<int>(bytes), MPI_BYTE, comm_, request()));
  then([this] {
    for (size_t at = 0; at < buffers_[1].size(); at += buffers_[0].size())
      if (!std::equal(buffers_[0].begin(), buffers_[0].end(),
                      buffers_[1].begin() + static_cast<std::ptrdiff_t>(at)))
        refuse(ncclInvalidArgument, "ranks have different unique ids");
  });
}

ncclResult_t World::begin(std::vector<Operation> operations) {
  if (state_ != ncclSuccess)
    return refuse(ncclInvalidUsage, "a call starts before the previous one is enqueued");
  operations_ = std::move(operations);
  mine_.clear();
  for (const Operation& operation : operations_) {
    if (type_of(operation.shown.type).bytes == 0)
      return refuse(ncclInvalidArgument,
                    "the NCCL stand-in does not support type " + std::to_string(operation.shown.type));
    mine_.push_back(operation.shown);
    record_.push_back(describe(operation.shown));
  }
  state_ = ncclInProgress;
  exchange_counts();
  return progress();
}

ncclResult_t World::finalize() {
  if (state_ != ncclSuccess) return state_;
  state_ = ncclInProgress;
  check(MPI_Ibarrier(comm_, request()));
  return progress();
}

ncclResult_t World::progress() {
  while (state_ == ncclInProgress) {
    int done = 0;
    check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE));
    if (done == 0) break;
    requests_.clear();
    if (const auto step = std::exchange(next_, nullptr)) {
      step();
    } else {
      state_ = ncclSuccess;
    }
  }
  return state_;
}

ncclResult_t World::refuse(ncclResult_t result, const std::string& why) {
  last_error_ = why;
  return state_ = result;
}

void World::check(int code) {
  if (code != MPI_SUCCESS) refuse(ncclSystemError, "MPI failed with code " + std::to_string(code));
}

std::vector<int> World::partners() const {
  std::vector<int> result;
  for (int other = 0; other < size_; ++other)
    if (other != rank_ && std::any_of(mine_.begin(), mine_.end(), [&](const Operation::Shown& shown) {
          return is_collective(shown) || shown.peer == other;
        }))
      result.push_back(other);
  return result;
}

void World::exchange_counts() {
  counts_.assign(static_cast<size_t>(size_), 0);
  int& mine = counts_[static_cast<size_t>(rank_)];
  mine = static_cast<int>(mine_.size());
  for (const int other : partners()) {
    check(MPI_Irecv(&counts_[static_cast<size_t>(other)], 1, MPI_INT, other, tag_counts, comm_, request()));
    check(MPI_Isend(&mine, 1, MPI_INT, other, tag_counts, comm_, request()));
  }
  then([this] { exchange_operations(); });
}

void World::exchange_operations() {
  constexpr int bytes = sizeof(Operation::Shown);
  theirs_.assign(static_cast<size_t>(size_), {});
  for (const int other : partners()) {
    const auto at = static_cast<size_t>(other);
    theirs_[at].resize(static_cast<size_t>(counts_[at]));
    check(MPI_Irecv(theirs_[at].data(), counts_[at] * bytes, MPI_BYTE, other, tag_operations, comm_,
                    request()));
    check(MPI_Isend(mine_.data(), static_cast<int>(mine_.size()) * bytes, MPI_BYTE, other, tag_operations,
                    comm_, request()));
  }
  then([this] { compare(); });
}

// Two ranks match if their collectives are the same and each receives what the other sends, in order.
void World::compare() {
  for (const int other : partners()) {
    const std::vector<Operation::Shown>& theirs = theirs_[static_cast<size_t>(other)];
    if (matching(mine_, is_collective) != matching(theirs, is_collective) ||
        transfers(mine_, Kind::send, other) != transfers(theirs, Kind::receive, rank_) ||
        transfers(mine_, Kind::receive, other) != transfers(theirs, Kind::send, rank_)) {
      refuse(ncclInvalidUsage, "calls do not match: rank " + std::to_string(rank_) + " does " + list(mine_) +
                                   "; rank " + std::to_string(other) + " does " + list(theirs));
      return;
    }
  }
  move();
}

void World::move() {
  buffers_.assign(operations_.size(), {});
  for (size_t i = 0; i < operations_.size(); ++i) {
    const Operation& operation = operations_[i];
    const Operation::Shown& shown = operation.shown;
    const Type type = type_of(shown.type);
    const auto count = static_cast<int>(shown.count);
    std::vector<char>& buffer = buffers_[i];
    buffer.resize(static_cast<size_t>(shown.count) * type.bytes);
    if (shown.kind != Kind::receive) std::memcpy(buffer.data(), operation.from, buffer.size());
    if (shown.kind == Kind::send)
      check(MPI_Isend(buffer.data(), count, type.mpi, shown.peer, tag_data, comm_, request()));
    if (shown.kind == Kind::receive)
      check(MPI_Irecv(buffer.data(), count, type.mpi, shown.peer, tag_data, comm_, request()));
    if (shown.kind == Kind::broadcast)
      check(MPI_Ibcast(buffer.data(), count, type.mpi, shown.peer, comm_, request()));
    if (shown.kind == Kind::all_reduce)
      check(MPI_Iallreduce(MPI_IN_PLACE, buffer.data(), count, type.mpi,
                           shown.op == ncclSum ? MPI_SUM : MPI_MAX, comm_, request()));
  }
  then([this] { copy_results(); });
}

void World::copy_results() {
  for (size_t i = 0; i < operations_.size(); ++i)
    if (operations_[i].shown.kind != Kind::send)
      std::memcpy(operations_[i].to, buffers_[i].data(), buffers_[i].size());
}

}  // namespace nccl_stand_in
