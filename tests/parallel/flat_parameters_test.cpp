#include "elbo/parallel/flat_parameters.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <atomic>
#include <cstring>
#include <stdexcept>

#include "elbo/base/error.h"
#include "elbo/parallel/workers.h"

namespace elbo {
namespace {

struct Net : torch::nn::Module {
  Net() {
    encoder = register_module("encoder", torch::nn::Linear(3, 5));
    decoder = register_module("decoder", torch::nn::Linear(5, 3));
    critic = register_module("critic", torch::nn::Linear(3, 1));
  }
  torch::nn::Linear encoder = nullptr, decoder = nullptr, critic = nullptr;
};

const std::vector<Phase> whole{{"model", {}}};
const std::vector<Phase> adversarial{{"model", {"encoder", "decoder"}}, {"critic", {"critic"}}};

TEST(FlatParameters, KeepsTheValuesAndSharesThemWithReplicas) {
  Net net;
  const torch::Tensor before = net.decoder->weight.detach().clone();
  FlatParameters flat_parameters(net, whole);
  EXPECT_TRUE(torch::equal(net.decoder->weight, before));
  flat_parameters.values().fill_(2);
  EXPECT_TRUE(torch::equal(net.decoder->weight, torch::full({3, 5}, 2.0F)));
  Net replica;
  flat_parameters.bind(replica);
  EXPECT_EQ(replica.critic->bias.const_data_ptr<float>(), net.critic->bias.const_data_ptr<float>());
}

TEST(FlatParameters, PhasesAreRangesOfWholeBlocksThatDoNotOverlap) {
  Net net;
  const FlatParameters flat_parameters(net, adversarial);
  const IndexRange model = flat_parameters.range(0), critic = flat_parameters.range(1);
  EXPECT_EQ(model.first % block_elements, 0);
  EXPECT_EQ(model.size() % block_elements, 0);
  EXPECT_EQ(critic.size() % block_elements, 0);
  EXPECT_LE(model.end, critic.first);
  for (const FlatParameters::Item& item : flat_parameters.items()) {
    const IndexRange range = item.name.starts_with("critic") ? critic : model;
    EXPECT_GE(item.offset, range.first);
    EXPECT_LE(item.offset + item.elements, range.end);
    EXPECT_EQ(item.offset % 16, 0);  // 64 bytes
  }
}

TEST(FlatParameters, APhaseMustNameConsecutiveModules) {
  Net net;
  EXPECT_THROW(FlatParameters(net, {{"model", {"encodre"}}}), Error);
  EXPECT_THROW(FlatParameters(net, {{"model", {"encoder", "critic"}}}), Error);  // not consecutive
}

TEST(FlatParameters, TheFingerprintDependsOnEveryBitButNotOnTheLayout) {
  torch::manual_seed(1);
  Net one, two;
  const FlatParameters first(one, whole);
  FlatParameters second(two, adversarial);
  EXPECT_NE(fingerprint(first), fingerprint(second));
  for (size_t i = 0; i < one.parameters().size(); ++i) {
    const torch::NoGradGuard no_grad;
    two.parameters()[i].copy_(one.parameters()[i]);
  }
  EXPECT_EQ(fingerprint(first), fingerprint(second));  // the layouts differ
  auto* bits = static_cast<unsigned char*>(two.critic->bias.mutable_data_ptr());
  bits[0] ^= 1U;
  EXPECT_NE(fingerprint(first), fingerprint(second));
}

TEST(PartitionBlocks, CoversARangeInWholeBlocks) {
  for (const int64_t blocks : {1, 2, 7, 64})
    for (int64_t owners = 1; owners <= 9; ++owners) {
      int64_t next = 3 * block_elements;
      const IndexRange range{next, next + blocks * block_elements};
      for (int64_t owner = 0; owner < owners; ++owner) {
        const IndexRange part = partition_blocks(range, owner, owners);
        EXPECT_EQ(part.first, next);
        EXPECT_EQ(part.size() % block_elements, 0);
        next = part.end;
      }
      EXPECT_EQ(next, range.end);
    }
}

TEST(Workers, RunATaskOnceOnEachThread) {
  Workers workers(3);
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> seen = 0;
    workers.run([&](int worker) { seen += 1 << (4 * worker); });
    ASSERT_EQ(seen, 0x111);
  }
}

TEST(Workers, RethrowTheExceptionOfTheLowestWorker) {
  Workers workers(3);
  try {
    workers.run([](int worker) {
      if (worker > 0) throw std::runtime_error(std::to_string(worker));
    });
    FAIL() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "1");
  }
  int runs = 0;
  workers.run([&](int worker) {
    if (worker == 0) ++runs;
  });
  EXPECT_EQ(runs, 1);  // the workers are still usable
}

}  // namespace
}  // namespace elbo
