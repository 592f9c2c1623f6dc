// The NCCL world's calls, executed in host memory by the stand-in that takes NCCL's place.
#include <dlfcn.h>

#include "../comm/communicator_contract.h"
#include "../mpi/ranks.h"
#include "elbo/comm/cuda_library.h"

namespace elbo {
namespace {

std::unique_ptr<Communicator> make_nccl(double timeout) {
  return environment().make_nccl_world(world(), torch::kCPU, timeout);
}

INSTANTIATE_TEST_SUITE_P(All, CommunicatorContract,
                         testing::Values(KindOfWorld{"Nccl", [] { return make_nccl(60); }}));

// What this rank has asked of NCCL so far, one operation a line.
std::string record() {
  const auto ask = reinterpret_cast<const char* (*)()>(::dlsym(RTLD_DEFAULT, "nccl_stand_in_record"));
  if (ask == nullptr)
    fail("the NCCL that was loaded is not the stand-in: LD_LIBRARY_PATH must name its folder");
  return ask();
}
std::string recorded_by(const std::function<void()>& calls) {
  const size_t before = record().size();
  calls();
  return record().substr(before);
}

void expect_failure(const std::function<void()>& call, const std::vector<std::string>& parts) {
  const std::string name = to_string(RankName{environment().rank(), environment().host()});
  try {
    call();
    ADD_FAILURE() << name << ": the call ended as if all were well";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith(name));
    for (const std::string& part : parts) EXPECT_THAT(error.what(), testing::HasSubstr(part));
  }
}

// Reproducible sums need a library that moves data and does no arithmetic.
TEST(NcclCommunicator, MovesBytesAndAddsOnlyWhereAskedTo) {
  const std::unique_ptr<Communicator> nccl = make_nccl(60);
  const int size = nccl->size();
  const std::vector<int64_t> twos(static_cast<size_t>(size), 2);
  torch::Tensor mine = torch::zeros({2 * size}), all = torch::zeros({2 * size});
  for (const auto& calls : {std::function<void()>([&] {
                              nccl->all_to_all(mine, all, {twos, twos});
                            }),
                            std::function<void()>([&] { nccl->all_gather(all, twos); })}) {
    const std::string done = recorded_by(calls);
    EXPECT_EQ(std::count(done.begin(), done.end(), '\n'), 2 * (size - 1));
    for (int other = 0; other < size; ++other) {
      if (other == nccl->rank()) continue;
      EXPECT_THAT(done, testing::HasSubstr("send 8 x uint8 to " + std::to_string(other) + "\n"));
      EXPECT_THAT(done, testing::HasSubstr("receive 8 x uint8 from " + std::to_string(other) + "\n"));
    }
  }
  EXPECT_EQ(recorded_by([&] { nccl->all_reduce(all, ReduceOp::max); }),
            "all_reduce " + std::to_string(2 * size) + " x float32 by max\n");
}

TEST(NcclCommunicator, CallsThatDoNotMatchFailOnEveryRankWithWhatDiffers) {
  const bool odd = environment().rank() == 0;
  {
    const std::unique_ptr<Communicator> nccl = make_nccl(60);
    std::vector<int64_t> counts(static_cast<size_t>(nccl->size()), 2);
    if (odd) counts.front() = 1, counts.back() = 3;
    torch::Tensor all = torch::zeros({2 * nccl->size()});
    expect_failure([&] { nccl->all_gather(all, counts); },
                   {"NCCL failed in all_gather of", "calls do not match: rank ", "send ", "receive "});
    expect_failure([&] { nccl->barrier(); }, {"barrier in a world that has failed before"});
  }
  const std::unique_ptr<Communicator> nccl = make_nccl(60);
  torch::Tensor tensor = torch::zeros({4});
  expect_failure([&] { odd ? nccl->broadcast(tensor, 0) : nccl->all_reduce(tensor, ReduceOp::sum); },
                 {"calls do not match", "broadcast 16 x uint8 from 0", "all_reduce 4 x float32 by sum"});
}

TEST(NcclCommunicator, RanksThatComeWithDifferentIdsDoNotMeet) {
  const CudaFunctions& cuda = load_cuda(/*host_memory_only=*/true);
  const RankName name{environment().rank(), environment().host()};
  expect_failure(
      [&] { cuda.make_nccl_world(cuda.make_nccl_id(), name, environment().size(), torch::kCPU, 60); },
      {"making the NCCL world", "ranks came with different ids"});
}

TEST(NcclCommunicator, ARankThatWaitsTooLongSaysWhoItIsAndInWhichCall) {
  const std::unique_ptr<Communicator> nccl = make_nccl(0.3);
  torch::Tensor tensor = torch::zeros({1024});
  world().barrier();
  if (environment().rank() != 0)
    expect_failure([&] { nccl->all_reduce(tensor, ReduceOp::sum); },
                   {"waited 0.3 s in all_reduce of 4.0 KiB"});
  world().barrier();
}

}  // namespace
}  // namespace elbo
