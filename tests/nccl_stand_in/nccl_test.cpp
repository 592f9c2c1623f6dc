// NcclCommunicator on the NCCL stand-in, in host memory.
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
                         testing::Values(Implementation{"Nccl", [] { return make_nccl(60); }}));

// The NCCL operations of this rank so far, one per line.
std::string record() {
  const auto read = reinterpret_cast<const char* (*)()>(::dlsym(RTLD_DEFAULT, "nccl_stand_in_record"));
  if (read == nullptr) fail("the loaded NCCL is not the stand-in: LD_LIBRARY_PATH must contain its folder");
  return read();
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
    ADD_FAILURE() << name << ": no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith(name));
    for (const std::string& part : parts) EXPECT_THAT(error.what(), testing::HasSubstr(part));
  }
}

// Reproducible sums require that the library moves data without arithmetic.
TEST(NcclCommunicator, OnlyMovesBytesExceptInAllReduce) {
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

TEST(NcclCommunicator, MismatchedCallsFailOnEveryRankWithTheDifference) {
  const bool odd = environment().rank() == 0;
  {
    const std::unique_ptr<Communicator> nccl = make_nccl(60);
    std::vector<int64_t> counts(static_cast<size_t>(nccl->size()), 2);
    if (odd) counts.front() = 1, counts.back() = 3;
    torch::Tensor all = torch::zeros({2 * nccl->size()});
    expect_failure([&] { nccl->all_gather(all, counts); },
                   {"NCCL failed in all_gather of", "calls do not match: rank ", "send ", "receive "});
    expect_failure([&] { nccl->barrier(); }, {"barrier on an NCCL communicator that has already failed"});
  }
  const std::unique_ptr<Communicator> nccl = make_nccl(60);
  torch::Tensor tensor = torch::zeros({4});
  expect_failure([&] { odd ? nccl->broadcast(tensor, 0) : nccl->all_reduce(tensor, ReduceOp::sum); },
                 {"calls do not match", "broadcast 16 x uint8 from 0", "all_reduce 4 x float32 by sum"});
}

TEST(NcclCommunicator, RanksWithDifferentIdsFail) {
  const CudaFunctions& cuda = load_cuda(/*host_memory_only=*/true);
  const RankName name{environment().rank(), environment().host()};
  expect_failure(
      [&] { cuda.make_nccl_world(cuda.make_nccl_id(), name, environment().size(), torch::kCPU, 60); },
      {"creation of the NCCL communicator", "ranks have different unique ids"});
}

TEST(NcclCommunicator, ATimeoutNamesTheRankAndTheCall) {
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
