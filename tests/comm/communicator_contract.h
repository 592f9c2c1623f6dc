// What every world promises (comm/communicator.h), as tests that know only the interface. A program includes
// this in one file and names the worlds that it has:
//   INSTANTIATE_TEST_SUITE_P(All, CommunicatorContract, testing::Values(KindOfWorld{"Mpi", make_world}));
// What is expected is computed here from ranks and places alone, in 64-bit integers.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/comm/communicator.h"

namespace elbo {

struct KindOfWorld {
  std::string name;
  std::function<std::unique_ptr<Communicator>()> make;
};
inline void PrintTo(const KindOfWorld& kind, std::ostream* stream) { *stream << kind.name; }

class CommunicatorContract : public testing::TestWithParam<KindOfWorld> {
 protected:
  const std::vector<torch::ScalarType> moved = {torch::kFloat32, torch::kFloat64, torch::kInt64,
                                                torch::kInt32,   torch::kUInt8,   torch::kBool,
                                                torch::kBFloat16};
  const std::vector<torch::ScalarType> added = {torch::kFloat32, torch::kFloat64, torch::kInt64,
                                                torch::kInt32, torch::kUInt8};

  std::unique_ptr<Communicator> world = GetParam().make();
  Communicator& comm = *world;
  const int rank = comm.rank(), size = comm.size();

  // A number that tells apart places of `from`'s piece for `to`, small enough for every type.
  static int64_t mark(int64_t from, int64_t to, int64_t place) {
    return (from * 31 + to * 17 + place * 7) % 61;
  }

  static torch::Tensor tensor_of(const std::vector<int64_t>& values, torch::ScalarType type) {
    return torch::tensor(values, torch::kInt64).to(type);
  }

  // The pieces that `from` has for each of `to`, behind one another.
  template <typename Count>
  std::vector<int64_t> pieces(const std::vector<std::pair<int, int>>& from_to, Count&& count) {
    std::vector<int64_t> values;
    for (const auto& [from, to] : from_to)
      for (int64_t place = 0; place < count(from, to); ++place) values.push_back(mark(from, to, place));
    return values;
  }

  // own: whether the piece for oneself is copied, too.
  template <typename Count>
  void exchange_pieces(torch::ScalarType type, Count&& count, bool own = true) {
    std::vector<std::pair<int, int>> outgoing, incoming;
    Split split;
    for (int other = 0; other < size; ++other) {
      outgoing.emplace_back(rank, other);
      split.send.push_back(count(rank, other));
      const bool comes = own || other != rank;
      if (comes) incoming.emplace_back(other, rank);
      split.receive.push_back(comes ? count(other, rank) : 0);
    }
    const torch::Tensor send = tensor_of(pieces(outgoing, count), type);
    const torch::Tensor expected = tensor_of(pieces(incoming, count), type);
    torch::Tensor receive = torch::zeros_like(expected);
    comm.all_to_all(send, receive, split);
    EXPECT_TRUE(torch::equal(receive, expected)) << torch::toString(type);
  }

  template <typename Count>
  void gather_pieces(torch::ScalarType type, Count&& count) {
    std::vector<std::pair<int, int>> everybody;
    std::vector<int64_t> counts;
    for (int other = 0; other < size; ++other) {
      everybody.emplace_back(other, 0);
      counts.push_back(count(other, 0));
    }
    const torch::Tensor expected = tensor_of(pieces(everybody, count), type);
    torch::Tensor all = torch::zeros_like(expected);
    const int64_t begin = std::accumulate(counts.begin(), counts.begin() + rank, int64_t{0});
    const int64_t mine = counts[static_cast<size_t>(rank)];
    all.narrow(0, begin, mine).copy_(expected.narrow(0, begin, mine));
    comm.all_gather(all, counts);
    EXPECT_TRUE(torch::equal(all, expected)) << torch::toString(type);
  }
};

TEST_P(CommunicatorContract, AllToAllBringsEachRankThePiecesMeantForItSomeOfThemEmpty) {
  for (const torch::ScalarType type : moved)
    exchange_pieces(type, [](int64_t from, int64_t to) { return (from * 3 + to * 5 + 2) % 4; });
}

TEST_P(CommunicatorContract, AllToAllLetsARankHaveNothingForAnybody) {
  exchange_pieces(torch::kFloat32,
                  [](int64_t from, int64_t to) { return from == 0 || to == 0 ? int64_t{0} : 5; });
  exchange_pieces(torch::kFloat32, [](int64_t, int64_t) { return int64_t{0}; });
}

TEST_P(CommunicatorContract, AllToAllNeedNotCopyThePieceForOneself) {
  exchange_pieces(
      torch::kFloat32, [](int64_t from, int64_t to) { return from + 2 * to + 1; }, false);
}

TEST_P(CommunicatorContract, AllToAllMovesMoreThanFitsIntoOneMessage) {
  exchange_pieces(torch::kFloat64, [](int64_t from, int64_t to) { return 200'000 + 1'000 * from + to; });
}

TEST_P(CommunicatorContract, AllGatherFillsInTheOthersPieces) {
  for (const torch::ScalarType type : moved)
    gather_pieces(type, [](int64_t from, int64_t) { return from == 1 ? int64_t{0} : 2 * from + 1; });
}

TEST_P(CommunicatorContract, AllGatherOfNothingIsNothing) {
  gather_pieces(torch::kFloat32, [](int64_t, int64_t) { return int64_t{0}; });
}

// Both are begun by all ranks in one order; the second is asked for first, and its tensor is let go by the
// caller.
TEST_P(CommunicatorContract, SeveralCallsCanBeUnderWay) {
  const std::vector<int64_t> counts(static_cast<size_t>(size), 50'000);
  const auto gathered = [&](int64_t number) {
    torch::Tensor all = torch::zeros({50'000 * size}, torch::kInt64);
    all.narrow(0, int64_t{50'000} * rank, 50'000).fill_(mark(rank, 0, number));
    return all;
  };
  const torch::Tensor first = gathered(1);
  const auto earlier = comm.start_all_gather(first, counts);
  std::unique_ptr<Work> later;
  const torch::Tensor sums = torch::full({3}, rank, torch::kInt64);
  { later = comm.start_all_gather(gathered(2), counts); }
  const auto last = comm.start_all_reduce(sums, ReduceOp::sum);
  while (!last->done()) std::this_thread::yield();
  later->wait();
  earlier->wait();
  EXPECT_TRUE(earlier->done() && later->done());
  for (int other = 0; other < size; ++other)
    EXPECT_TRUE((first.narrow(0, int64_t{50'000} * other, 50'000) == mark(other, 0, 1)).all().item<bool>());
  EXPECT_EQ(sums[2].item<int64_t>(), int64_t{size} * (size - 1) / 2);
}

TEST_P(CommunicatorContract, AllReduceAddsAndFindsTheLargest) {
  for (const torch::ScalarType type : added) {
    std::vector<int64_t> mine, sum, largest;
    for (int64_t place = 0; place < 5; ++place) {
      mine.push_back(mark(rank, 0, place));
      sum.push_back(0);
      largest.push_back(0);
      for (int other = 0; other < size; ++other) {
        sum.back() += mark(other, 0, place);
        largest.back() = std::max(largest.back(), mark(other, 0, place));
      }
    }
    torch::Tensor total = tensor_of(mine, type), top = tensor_of(mine, type);
    comm.all_reduce(total, ReduceOp::sum);
    comm.all_reduce(top, ReduceOp::max);
    EXPECT_TRUE(torch::equal(total, tensor_of(sum, type))) << torch::toString(type);
    EXPECT_TRUE(torch::equal(top, tensor_of(largest, type))) << torch::toString(type);
  }
}

TEST_P(CommunicatorContract, BroadcastBringsTheTensorOfAnyRoot) {
  for (const torch::ScalarType type : moved) {
    for (int root = 0; root < size; ++root) {
      torch::Tensor tensor =
          tensor_of({mark(rank, 0, 0), mark(rank, 0, 1), mark(rank, 0, 2)}, type).view({3, 1});
      comm.broadcast(tensor, root);
      EXPECT_TRUE(torch::equal(tensor.view({3}),
                               tensor_of({mark(root, 0, 0), mark(root, 0, 1), mark(root, 0, 2)}, type)))
          << torch::toString(type) << " from " << root;
    }
  }
}

TEST_P(CommunicatorContract, NoRankLeavesABarrierBeforeTheLastHasCome) {
  using Clock = std::chrono::steady_clock;  // one clock for all processes of a host
  std::this_thread::sleep_for(std::chrono::milliseconds(30 * rank));
  const Clock::rep came = Clock::now().time_since_epoch().count();
  comm.barrier();
  const Clock::rep left = Clock::now().time_since_epoch().count();
  torch::Tensor last_coming = torch::full({1}, static_cast<int64_t>(came), torch::kInt64);
  comm.all_reduce(last_coming, ReduceOp::max);
  EXPECT_GE(left, last_coming.item<int64_t>());
}

TEST_P(CommunicatorContract, TextsOfAnyLengthTravel) {
  for (int root = 0; root < size; ++root) {
    std::string text(root == 0 ? 0 : 1000, 'x');
    if (root != 0) text.replace(0, 10, "β = 4\0, ", 10);
    EXPECT_EQ(broadcast_text(comm, rank == root ? text : "of another rank", root), text);
  }
  std::vector<std::string> expected;
  for (int other = 0; other < size; ++other)
    expected.push_back(std::string(static_cast<size_t>(3 * other), 'a'));
  EXPECT_EQ(all_gather_text(comm, expected[static_cast<size_t>(rank)]), expected);
}

TEST_P(CommunicatorContract, TwoWorldsDoNotMixTheirMessages) {
  const std::unique_ptr<Communicator> other_world = GetParam().make();
  torch::Tensor here = torch::full({1}, rank, torch::kInt64),
                there = torch::full({1}, 10 * rank, torch::kInt64);
  other_world->all_reduce(there, ReduceOp::max);
  comm.all_reduce(here, ReduceOp::max);
  EXPECT_EQ(here.item<int64_t>(), size - 1);
  EXPECT_EQ(there.item<int64_t>(), 10 * (size - 1));
}

// A mistake of the program: every rank says so at once, and none waits for bytes that do not come.
TEST_P(CommunicatorContract, RefusesArgumentsThatDoNotFit) {
  const auto world_size = static_cast<size_t>(size);
  const std::vector<int64_t> ones(world_size, 1);
  const auto refused = [&](auto&& call, const std::string& why) {
    try {
      call();
      ADD_FAILURE() << "not refused: " << why;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(why));
    }
  };
  torch::Tensor fits = torch::zeros({size}), other_type = torch::zeros({size}, torch::kInt64);
  torch::Tensor longer = torch::zeros({size + 1}), turned = torch::zeros({2, 3}).t();
  torch::Tensor half = torch::zeros({1}, torch::kBFloat16);
  refused([&] { comm.all_to_all(fits, longer, {ones, ones}); }, "all_to_all: the counts add up to");
  refused([&] { comm.all_to_all(fits, other_type, {ones, ones}); }, "all_to_all: send is Float");
  refused([&] { comm.all_gather(fits, std::vector<int64_t>(world_size + 1, 1)); }, "all_gather:");
  refused([&] { comm.all_gather(longer, ones); }, "all_gather: the counts add up to");
  refused([&] { comm.all_reduce(half, ReduceOp::sum); }, "all_reduce: BFloat16 cannot be reduced");
  refused([&] { comm.broadcast(turned, 0); }, "broadcast: the tensor is not contiguous");
}

}  // namespace elbo
