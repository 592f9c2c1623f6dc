#include "elbo/train/train_on_rows.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>

#include "elbo/base/error.h"
#include "elbo/comm/self.h"
#include "elbo/models/registry.h"
#include "elbo/parallel/flat_parameters.h"
#include "ranks.h"

namespace elbo {
namespace {

constexpr int64_t row_features = 6;

std::shared_ptr<Model> vae_of_rows() {
  const std::unique_ptr<ModelSpec> spec = find_model("vae");
  OptionTable table;
  spec->bind(table);
  table.set({"model.latent", "2"}, "");
  table.set({"model.likelihood", "gaussian"}, "");
  NetworkOptions network;
  network.hidden = {16};
  RandomGenerator init(Key(7));
  return spec->build({.data = {.x = {row_features}, .kind = "tabular"}, .network = network, .name = "vae"},
                     init);
}

// On a line, with little noise.
torch::Tensor rows_on_a_line() {
  RandomGenerator noise(Key(1));
  return noise.normal({300, 1}) * torch::arange(1, row_features + 1) +
         0.1 * noise.normal({300, row_features});
}

struct TrainedVae {
  double loss;
  std::vector<torch::Tensor> parameters;
};

TrainedVae train_vae(Communicator& comm, int worker_count, const torch::Tensor& x, int64_t steps) {
  Workers workers(worker_count);
  std::vector<std::shared_ptr<Model>> replicas;
  for (int i = 0; i < worker_count; ++i) replicas.push_back(vae_of_rows());
  const double loss =
      train_on_rows(comm, workers, replicas, {.x = x, .label = {}, .ids = {}},
                    {.steps = steps, .batch = 32, .microbatch = 8, .seed = 3, .optimizer = {.lr = 1e-2}});
  return {loss, replicas.back()->parameters()};
}

TEST(TrainOnRows, HasTheSameBitsOnAnyNumberOfRanksAndWorkers) {
  const TrainedVae all = train_vae(world(), 1 + world().rank() % 2, rows_on_a_line(), 20);
  const TrainedVae alone = train_vae(*make_self_communicator(), 3, rows_on_a_line(), 20);
  EXPECT_EQ(all.loss, alone.loss);
  for (size_t i = 0; i < all.parameters.size(); ++i)
    EXPECT_TRUE(torch::equal(all.parameters[i], alone.parameters[i])) << i;
}

TEST(TrainOnRows, LowersTheLoss) {
  const double first = train_vae(world(), 1, rows_on_a_line(), 1).loss;
  EXPECT_LT(train_vae(world(), 1, rows_on_a_line(), 200).loss, 0.5 * first);
}

TEST(TrainOnRows, RefusesALossThatIsNotFinite) {
  torch::Tensor x = rows_on_a_line();
  x[0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(train_vae(world(), 1, x, 20), Error);
}

}  // namespace
}  // namespace elbo
