// What tests of the loop's parts share: a folder, a plan, a small step on one rank.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "elbo/comm/self.h"
#include "elbo/models/registry.h"
#include "elbo/run/run_plan.h"
#include "elbo/train/data_parallel_step.h"

namespace elbo {

class LoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "elbo_loop_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::filesystem::create_directories(folder_ / "checkpoints");
    plan_.ini = "[train]\nsteps = 6\n";
    plan_.directory = folder_;
    plan_.model = "vae";
    plan_.data = {.x = {4}, .kind = "tabular", .rows = 10};
    plan_.dataset_fingerprint = std::string(64, 'd');
    plan_.rows = 10;
    plan_.batch = 4;
    plan_.microbatch = 2;
    plan_.end_step = 6;
    plan_.phases = {{.name = "model", .modules = {}}};
    plan_.evaluate.every = "never";
    plan_.checkpoint = {.every_steps = 0, .every_minutes = 0, .keep_last = 3, .keep_every = 0};
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  DataParallelStep& step() {
    if (!step_) {
      const std::unique_ptr<ModelSpec> spec = find_model("vae");
      OptionTable table;
      spec->bind(table);
      table.set({"model.latent", "2"}, "");
      table.set({"model.likelihood", "gaussian"}, "");
      NetworkOptions network;
      network.hidden = {8};
      RandomGenerator init(Key(1).with("init"));
      step_ = std::make_unique<DataParallelStep>(
          *comm_, *comm_, workers_,
          std::vector<std::shared_ptr<Model>>{spec->build({plan_.data, network, "vae"}, init)},
          DataParallelOptions{
              .batch = plan_.batch, .microbatch = plan_.microbatch, .end_step = plan_.end_step});
    }
    return *step_;
  }

  void forget_step() { step_.reset(); }  // the next is a new one

  static Batch rows(int64_t number, int64_t microbatch) {
    RandomGenerator noise(Key(static_cast<uint64_t>(number)).with(static_cast<uint64_t>(microbatch)));
    return {.x = noise.normal({2, 4}), .label = {}, .ids = torch::arange(2)};
  }

  std::filesystem::path folder_;
  RunPlan plan_;

  std::unique_ptr<Communicator> comm_ = make_self_communicator();

 private:
  Workers workers_{1};
  std::unique_ptr<DataParallelStep> step_;
};

}  // namespace elbo
