// The contract of Communicator (comm/communicator.h), tested for each implementation. A test program includes
// this in one file and lists its implementations:
//   INSTANTIATE_TEST_SUITE_P(All, CommunicatorContract, testing::Values(Implementation{"Mpi", make_world}));
// Expected values follow from ranks and indices alone, in 64-bit integers.
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

struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Communicator>()> make;
};
inline void PrintTo(const Implementation& implementation, std::ostream* stream) {
  *stream << implementation.name;
}

class CommunicatorContract : public testing::TestWithParam<Implementation> {
 protected:
  const std::vector<torch::ScalarType> movable = {torch::kFloat32, torch::kFloat64, torch::kInt64,
                                                  torch::kInt32,   torch::kUInt8,   torch::kBool,
                                                  torch::kBFloat16};
  const std::vector<torch::ScalarType> reducible = {torch::kFloat32, torch::kFloat64, torch::kInt64,
                                                    torch::kInt32, torch::kUInt8};

  std::unique_ptr<Communicator> world = GetParam().make();
  Communicator& comm = *world;
  const int rank = comm.rank(), size = comm.size();

  // The value of element `index` that rank `from` sends to rank `to`; small enough for every dtype.
  static int64_t value(int64_t from, int64_t to, int64_t index) {
    return (from * 31 + to * 17 + index * 7) % 61;
  }

  static torch::Tensor tensor_of(const std::vector<int64_t>& values, torch::ScalarType type) {
    return torch::tensor(values, torch::kInt64).to(type);
  }

  // The elements of each pair (from, to), end to end.
  template <typename Count>
  std::vector<int64_t> elements_of(const std::vector<std::pair<int, int>>& from_to, Count&& count) {
    std::vector<int64_t> values;
    for (const auto& [from, to] : from_to)
      for (int64_t i = 0; i < count(from, to); ++i) values.push_back(value(from, to, i));
    return values;
  }

  // own: whether the elements of a rank for itself are copied, too.
  template <typename Count>
  void check_all_to_all_of(torch::ScalarType type, Count&& count, bool own = true) {
    std::vector<std::pair<int, int>> outgoing, incoming;
    AllToAllCounts counts;
    for (int other = 0; other < size; ++other) {
      outgoing.emplace_back(rank, other);
      counts.send.push_back(count(rank, other));
      const bool received = own || other != rank;
      if (received) incoming.emplace_back(other, rank);
      counts.receive.push_back(received ? count(other, rank) : 0);
    }
    const torch::Tensor send = tensor_of(elements_of(outgoing, count), type);
    const torch::Tensor expected = tensor_of(elements_of(incoming, count), type);
    torch::Tensor receive = torch::zeros_like(expected);
    comm.all_to_all(send, receive, counts);
    EXPECT_TRUE(torch::equal(receive, expected)) << torch::toString(type);
  }

  template <typename Count>
  void check_all_gather_of(torch::ScalarType type, Count&& count) {
    std::vector<std::pair<int, int>> all_ranks;
    std::vector<int64_t> counts;
    for (int other = 0; other < size; ++other) {
      all_ranks.emplace_back(other, 0);
      counts.push_back(count(other, 0));
    }
    const torch::Tensor expected = tensor_of(elements_of(all_ranks, count), type);
    torch::Tensor all = torch::zeros_like(expected);
    const int64_t begin = std::accumulate(counts.begin(), counts.begin() + rank, int64_t{0});
    const int64_t mine = counts[static_cast<size_t>(rank)];
    all.narrow(0, begin, mine).copy_(expected.narrow(0, begin, mine));
    comm.all_gather(all, counts);
    EXPECT_TRUE(torch::equal(all, expected)) << torch::toString(type);
  }
};

TEST_P(CommunicatorContract, AllToAllDeliversEachRanksElementsAndCountsMayBeZero) {
  for (const torch::ScalarType type : movable)
    check_all_to_all_of(type, [](int64_t from, int64_t to) { return (from * 3 + to * 5 + 2) % 4; });
}

TEST_P(CommunicatorContract, AllToAllAcceptsRanksThatSendNothing) {
  check_all_to_all_of(torch::kFloat32,
                      [](int64_t from, int64_t to) { return from == 0 || to == 0 ? int64_t{0} : 5; });
  check_all_to_all_of(torch::kFloat32, [](int64_t, int64_t) { return int64_t{0}; });
}

TEST_P(CommunicatorContract, AllToAllCanSkipTheElementsOfTheRankItself) {
  check_all_to_all_of(
      torch::kFloat32, [](int64_t from, int64_t to) { return from + 2 * to + 1; }, false);
}

TEST_P(CommunicatorContract, AllToAllMovesMoreThanAnEagerMessage) {
  check_all_to_all_of(torch::kFloat64, [](int64_t from, int64_t to) { return 200'000 + 1'000 * from + to; });
}

TEST_P(CommunicatorContract, AllGatherFillsInTheOtherRanksElements) {
  for (const torch::ScalarType type : movable)
    check_all_gather_of(type, [](int64_t from, int64_t) { return from == 1 ? int64_t{0} : 2 * from + 1; });
}

TEST_P(CommunicatorContract, AllGatherAcceptsZeroElements) {
  check_all_gather_of(torch::kFloat32, [](int64_t, int64_t) { return int64_t{0}; });
}

TEST_P(CommunicatorContract, GatherBringsAllPiecesToTheRootAlone) {
  for (const torch::ScalarType type : movable)
    for (int root = 0; root < size; ++root) {
      std::vector<int64_t> counts, all;
      for (int other = 0; other < size; ++other) {
        counts.push_back(other == 1 ? 0 : 2 * other + 1);
        for (int64_t place = 0; place < counts.back(); ++place) all.push_back(value(other, 0, place));
      }
      const int64_t begin = std::accumulate(counts.begin(), counts.begin() + rank, int64_t{0});
      const torch::Tensor own =
          tensor_of(all, type).narrow(0, begin, counts[static_cast<size_t>(rank)]).clone();
      const torch::Tensor expected = rank == root ? tensor_of(all, type) : torch::empty({0}).to(type);
      EXPECT_TRUE(torch::equal(gather(comm, own, counts, root), expected))
          << torch::toString(type) << " to " << root;
    }
}

// All ranks start the calls in the same order, but complete the second before the first; its tensor has no
// other owner.
TEST_P(CommunicatorContract, SeveralCallsCanBePending) {
  const std::vector<int64_t> counts(static_cast<size_t>(size), 50'000);
  const auto gathered = [&](int64_t number) {
    torch::Tensor all = torch::zeros({50'000 * size}, torch::kInt64);
    all.narrow(0, int64_t{50'000} * rank, 50'000).fill_(value(rank, 0, number));
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
    EXPECT_TRUE((first.narrow(0, int64_t{50'000} * other, 50'000) == value(other, 0, 1)).all().item<bool>());
  EXPECT_EQ(sums[2].item<int64_t>(), int64_t{size} * (size - 1) / 2);
}

TEST_P(CommunicatorContract, AllReduceComputesSumAndMaximum) {
  for (const torch::ScalarType type : reducible) {
    std::vector<int64_t> mine, sum, largest;
    for (int64_t i = 0; i < 5; ++i) {
      mine.push_back(value(rank, 0, i));
      sum.push_back(0);
      largest.push_back(0);
      for (int other = 0; other < size; ++other) {
        sum.back() += value(other, 0, i);
        largest.back() = std::max(largest.back(), value(other, 0, i));
      }
    }
    torch::Tensor total = tensor_of(mine, type), top = tensor_of(mine, type);
    comm.all_reduce(total, ReduceOp::sum);
    comm.all_reduce(top, ReduceOp::max);
    EXPECT_TRUE(torch::equal(total, tensor_of(sum, type))) << torch::toString(type);
    EXPECT_TRUE(torch::equal(top, tensor_of(largest, type))) << torch::toString(type);
  }
}

TEST_P(CommunicatorContract, BroadcastSendsTheTensorOfAnyRoot) {
  for (const torch::ScalarType type : movable) {
    for (int root = 0; root < size; ++root) {
      torch::Tensor tensor =
          tensor_of({value(rank, 0, 0), value(rank, 0, 1), value(rank, 0, 2)}, type).view({3, 1});
      comm.broadcast(tensor, root);
      EXPECT_TRUE(torch::equal(tensor.view({3}),
                               tensor_of({value(root, 0, 0), value(root, 0, 1), value(root, 0, 2)}, type)))
          << torch::toString(type) << " from " << root;
    }
  }
}

TEST_P(CommunicatorContract, NoRankLeavesABarrierBeforeTheLastEntersIt) {
  using Clock = std::chrono::steady_clock;  // one clock for all processes of a host
  std::this_thread::sleep_for(std::chrono::milliseconds(30 * rank));
  const Clock::rep entered = Clock::now().time_since_epoch().count();
  comm.barrier();
  const Clock::rep left = Clock::now().time_since_epoch().count();
  torch::Tensor last_entered = torch::full({1}, static_cast<int64_t>(entered), torch::kInt64);
  comm.all_reduce(last_entered, ReduceOp::max);
  EXPECT_GE(left, last_entered.item<int64_t>());
}

TEST_P(CommunicatorContract, TextsOfAnyLengthAreBroadcastAndGathered) {
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

TEST_P(CommunicatorContract, TwoCommunicatorsDoNotMixTheirMessages) {
  const std::unique_ptr<Communicator> other_comm = GetParam().make();
  torch::Tensor mine = torch::full({1}, rank, torch::kInt64),
                others = torch::full({1}, 10 * rank, torch::kInt64);
  other_comm->all_reduce(others, ReduceOp::max);
  comm.all_reduce(mine, ReduceOp::max);
  EXPECT_EQ(mine.item<int64_t>(), size - 1);
  EXPECT_EQ(others.item<int64_t>(), 10 * (size - 1));
}

// Every rank throws at once, instead of waiting for messages that are never sent.
TEST_P(CommunicatorContract, RejectsInvalidArguments) {
  const auto world_size = static_cast<size_t>(size);
  const std::vector<int64_t> ones(world_size, 1);
  const auto expect_error = [&](auto&& call, const std::string& why) {
    try {
      call();
      ADD_FAILURE() << "no error: " << why;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(why));
    }
  };
  torch::Tensor fits = torch::zeros({size}), other_type = torch::zeros({size}, torch::kInt64);
  torch::Tensor longer = torch::zeros({size + 1}), turned = torch::zeros({2, 3}).t();
  torch::Tensor half = torch::zeros({1}, torch::kBFloat16);
  expect_error([&] { comm.all_to_all(fits, longer, {ones, ones}); }, "all_to_all: the counts add up to");
  expect_error([&] { comm.all_to_all(fits, other_type, {ones, ones}); }, "all_to_all: send is Float");
  expect_error([&] { comm.all_gather(fits, std::vector<int64_t>(world_size + 1, 1)); }, "all_gather:");
  expect_error([&] { comm.all_gather(longer, ones); }, "all_gather: the counts add up to");
  expect_error([&] { comm.all_reduce(half, ReduceOp::sum); }, "all_reduce: BFloat16 cannot be reduced");
  expect_error([&] { comm.broadcast(turned, 0); }, "broadcast: the tensor is not contiguous");
}

}  // namespace elbo
