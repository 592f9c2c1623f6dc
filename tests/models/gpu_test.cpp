// Losses and gradients on the stand-in for a GPU have the bits of the CPU.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "elbo/nn/kernels.h"
#include "gpu_stand_in/stand_in.h"
#include "small_models.h"

namespace elbo {
namespace {

std::vector<torch::Tensor> losses_and_gradients(Model& model, const Batch& batch) {
  std::vector<torch::Tensor> results;
  for (const Phase& phase : model.phases()) {
    RandomGenerator noise(Key(3).with(phase.name));
    const LossTerms terms = model.objective({phase.name, 0, 0}, batch, noise);
    terms.loss.sum().backward();
    results.push_back(terms.loss.detach());
    for (const torch::Tensor& parameter : model.parameters())
      if (parameter.grad().defined()) results.push_back(parameter.grad().clone());
    model.zero_grad();
  }
  return results;
}

// Each variant with one kind of data, and one of them with every kind.
std::vector<Case> cases_on_a_gpu() {
  std::vector<Case> cases;
  for (const Case& accepted : accepted_cases())
    if (accepted.model == "vae" || std::ranges::find(cases, accepted.model, &Case::model) == cases.end())
      cases.push_back(accepted);
  return cases;
}

TEST(OnAGpu, EveryVariantHasTheBitsOfCpus) {
  use_kernels(Kernels::portable);
  for (const Case& tested : cases_on_a_gpu()) {
    SCOPED_TRACE(testing::Message() << tested);
    const std::shared_ptr<Model> model = small_model(tested.model, tested.data);
    const Batch batch = rows(tested.data, 3);
    const std::vector<torch::Tensor> expected = losses_and_gradients(*model, batch);
    std::vector<torch::Tensor> found;
    {
      const GpuStandIn gpu;
      found = losses_and_gradients(*model, batch);
      EXPECT_GT(gpu.launches(), 0);
    }
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(torch::equal(found[i], expected[i])) << i;
  }
  use_kernels(Kernels::library);
}

}  // namespace
}  // namespace elbo
