#include "elbo/comm/self.h"

#include "communicator_contract.h"

namespace elbo {
namespace {

INSTANTIATE_TEST_SUITE_P(All, CommunicatorContract,
                         testing::Values(Implementation{"Self", make_self_communicator}));

TEST(Self, HasOneRank) {
  const std::unique_ptr<Communicator> comm = make_self_communicator();
  EXPECT_EQ(comm->rank(), 0);
  EXPECT_EQ(comm->size(), 1);
}

}  // namespace
}  // namespace elbo
