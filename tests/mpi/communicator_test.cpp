#include <sched.h>

#include "../comm/communicator_contract.h"
#include "elbo/base/text.h"
#include "elbo/comm/mpi_communicator.h"
#include "elbo/comm/self.h"
#include "ranks.h"

namespace elbo {
namespace {

INSTANTIATE_TEST_SUITE_P(All, CommunicatorContract,
                         testing::Values(Implementation{"Mpi", [] { return environment().make_world(60); }}));

TEST(Environment, KnowsRanksAndHosts) {
  const int rank = environment().rank(), size = environment().size();
  EXPECT_EQ(world().rank(), rank);
  EXPECT_EQ(world().size(), size);
  EXPECT_EQ(all_gather_text(world(), std::to_string(rank)).at(static_cast<size_t>(rank)),
            std::to_string(rank));
  const std::vector<std::string> hosts = all_gather_text(world(), environment().host());
  EXPECT_EQ(environment().local_size(), std::count(hosts.begin(), hosts.end(), environment().host()));
  EXPECT_EQ(environment().local_rank(),
            std::count(hosts.begin(), hosts.begin() + rank, environment().host()));
}

TEST(Environment, MakesGroupsOfRanks) {
  const int size = world().size(), rank = world().rank();
  const std::unique_ptr<Communicator> group = environment().make_group(world(), rank % 2, 60);
  EXPECT_EQ(group->rank(), rank / 2);
  EXPECT_EQ(group->size(), (size + 1 - rank % 2) / 2);
  torch::Tensor all = torch::full({group->size()}, rank, torch::kInt64);
  group->all_gather(all, std::vector<int64_t>(static_cast<size_t>(group->size()), 1));
  for (int member = 0; member < group->size(); ++member)
    EXPECT_EQ(all[member].item<int64_t>(), 2 * member + rank % 2);
  EXPECT_TRUE(environment().in_blocks()) << "all ranks of this test are on one host";
}

// These tests run without binding: every rank may use all cores.
TEST(Environment, DividesTheCoresOfTheHost) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  EXPECT_EQ(environment().cores(), std::max(1, CPU_COUNT(&allowed) / environment().local_size()));
}

// The last rank makes the call after the others have timed out.
TEST(MpiCommunicator, ATimeoutNamesTheRankAndTheCall) {
  const int rank = environment().rank(), last = environment().size() - 1;
  const RankName name{.rank = rank, .host = environment().host()};
  const auto in_flight = std::make_shared<InFlight>();
  const std::unique_ptr<Communicator> hasty = make_mpi_communicator(name, rank == last ? 60 : 0.2, in_flight);
  world().barrier();
  torch::Tensor all = torch::full({int64_t{1000} * (last + 1)}, rank, torch::kFloat32);
  const std::vector<int64_t> counts(static_cast<size_t>(last + 1), 1000);
  if (rank == last) {
    world().barrier();
    hasty->all_gather(all, counts);
    for (int other = 0; other <= last; ++other)
      EXPECT_EQ(all[int64_t{1000} * other].item<float>(), static_cast<float>(other));
  } else {
    try {
      hasty->all_gather(all, counts);
      ADD_FAILURE() << "the call ended without the last rank";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(to_string(name) + " waited 0.2 s in all_gather of " +
                                                   human_bytes(static_cast<double>(all.nbytes()))));
      ASSERT_EQ(in_flight->calls.size(), 1U);
      EXPECT_STREQ(in_flight->calls.front().name, "all_gather");
      EXPECT_EQ(in_flight->calls.front().tensors.size(), 1U) << "the memory that MPI may still write to";
    }
    world().barrier();
  }
  world().barrier();
}

}  // namespace
}  // namespace elbo
