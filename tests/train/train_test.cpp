#include "elbo/train/train.h"

#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "loop.h"

namespace elbo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class TrainTest : public LoopTest {
 protected:
  bool run() {
    MetricsWriter metrics(plan_, /*is_root=*/true, {RankPlace{}});
    CheckpointManager checkpoints(plan_, *comm_);
    RunEvents events(plan_, /*is_root=*/true);
    return train(plan_, progress_, step(), inputs_, metrics, checkpoints, events);
  }
  // Steps of the lines of a split in metrics.jsonl.
  std::vector<int64_t> lines(const std::string& split) const {
    std::istringstream text(read_file(folder_ / "metrics.jsonl"));
    std::vector<int64_t> steps;
    for (std::string line; std::getline(text, line);) {
      const auto parsed = nlohmann::json::parse(line);
      if (parsed["split"] == split) steps.push_back(parsed["step"]);
    }
    return steps;
  }

  Progress progress_;
  std::vector<double> losses_{3, 2, 4};  // of the evaluations
  int64_t evaluations_ = 0;
  TrainInputs inputs_{.data = rows,
                      .data_wait = [] { return 0.0; },
                      .evaluate = [this]() -> std::optional<Evaluation> {
                        Evaluation evaluation;
                        evaluation.split = plan_.evaluation_split;
                        evaluation.loss = losses_.at(static_cast<size_t>(evaluations_++));
                        return evaluation;
                      },
                      .stop_requested = [] { return false; }};
};

TEST_F(TrainTest, TakesEveryStepAndSavesTheLast) {
  EXPECT_FALSE(run());
  EXPECT_EQ(progress_.step, 6);
  EXPECT_THAT(lines("train"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(6));
  const Checkpoint last = read_checkpoint(checkpoint_path(folder_, 6));
  EXPECT_EQ(last.fingerprint, step().fingerprint());
  EXPECT_EQ(last.config, plan_.ini);
  EXPECT_EQ(last.dataset_fingerprint, plan_.dataset_fingerprint);
}

TEST_F(TrainTest, EvaluatesAndKeepsTheBest) {
  plan_.evaluation_split = "validation";
  plan_.evaluate.every = "2";
  run();
  EXPECT_THAT(lines("validation"), ElementsAre(2, 4, 6));
  EXPECT_EQ(progress_.best_loss, 2);
  EXPECT_EQ(progress_.best_step, 4);
  EXPECT_EQ(std::filesystem::read_symlink(folder_ / "checkpoints/best.h5"), "step_000000004.h5");
}

TEST_F(TrainTest, ATestSplitDecidesNoBest) {
  plan_.evaluation_split = "test";
  plan_.evaluate.every = "2";
  run();
  EXPECT_FALSE(progress_.best_loss);
}

TEST_F(TrainTest, StopsAfterTheStepInWhichItIsAskedAndSaves) {
  inputs_.stop_requested = [this] { return progress_.step == 2; };
  EXPECT_TRUE(run());
  EXPECT_EQ(progress_.step, 3);
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(3));
}

TEST_F(TrainTest, ContinuesWithoutATraceInTheMetrics) {
  inputs_.stop_requested = [this] { return progress_.step == 2; };
  run();
  inputs_.stop_requested = [] { return false; };
  plan_.start = progress_;
  EXPECT_FALSE(run());
  EXPECT_THAT(lines("train"), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(TrainTest, AnInterruptedEvaluationIsRepeatedFirst) {
  plan_.evaluation_split = "validation";
  plan_.evaluate.every = "2";
  const auto evaluate = inputs_.evaluate;
  inputs_.evaluate = [] { return std::nullopt; };
  EXPECT_TRUE(run());
  EXPECT_EQ(progress_.step, 2);
  EXPECT_TRUE(progress_.evaluation_pending);
  EXPECT_TRUE(read_checkpoint(checkpoint_path(folder_, 2)).evaluation_pending);
  inputs_.evaluate = evaluate;
  plan_.start = progress_;
  EXPECT_FALSE(run());
  EXPECT_THAT(lines("validation"), ElementsAre(2, 4, 6));
}

TEST_F(TrainTest, SkipsSomeStepsThatAreNotFiniteAndEndsAfterTooMany) {
  plan_.max_nonfinite_steps = 2;
  const auto spoilt = [](int64_t end) {
    return [end](int64_t number, int64_t microbatch) {
      Batch batch = rows(number, microbatch);
      if (number >= 1 && number < end) batch.x.fill_(std::numeric_limits<float>::quiet_NaN());
      return batch;
    };
  };
  inputs_.data = spoilt(3);
  EXPECT_FALSE(run());
  progress_ = {};
  inputs_.data = spoilt(4);
  EXPECT_THROW(run(), Error);
  EXPECT_EQ(progress_.step, 4);
}

TEST_F(TrainTest, ARunMayEndWithAStepThatIsNotFinite) {
  plan_.max_nonfinite_steps = 2;
  inputs_.data = [](int64_t number, int64_t microbatch) {
    Batch batch = rows(number, microbatch);
    if (number == 5) batch.x.fill_(std::numeric_limits<float>::quiet_NaN());
    return batch;
  };
  EXPECT_FALSE(run());
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(6));
}

TEST_F(TrainTest, NamesTheRowThatMadeAStepNotFinite) {
  plan_.max_nonfinite_steps = 2;
  plan_.dump_bad_rows = true;
  inputs_.data = [](int64_t number, int64_t microbatch) {
    Batch batch = rows(number, microbatch);
    if (number == 3 && microbatch == 1) batch.x[1][2] = 1e30F;
    return batch;
  };
  testing::internal::CaptureStderr();
  EXPECT_FALSE(run());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("step 4 is skipped: "));
  EXPECT_THAT(log, HasSubstr("of training row 1 is"));
  EXPECT_THAT(log, HasSubstr("in element 2 (on rank 0)"));
  const auto line = nlohmann::json::parse(read_file(folder_ / "bad_rows.jsonl"));
  EXPECT_EQ(line["step"], 4);
  EXPECT_EQ(line["row"], 1);
  EXPECT_EQ(line["values"].size(), 4U);
}

// What Training::go_back() does.
class SetbackTest : public TrainTest {
 protected:
  void SetUp() override {
    TrainTest::SetUp();
    plan_.checkpoint.every_steps = 2;
    inputs_.go_back = [this]() -> std::optional<Progress> {
      const std::optional<Checkpoint> newest = newest_valid_checkpoint(folder_);
      if (!newest) return std::nullopt;
      ++setbacks_;
      step().restore(*newest, "the test");
      return Progress(*newest);
    };
  }
  void flip_a_bit(int32_t bit = 4) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor parameter = step().replicas().front()->parameters().front().view({-1});
    parameter.view(torch::kInt32)[0] = parameter.view(torch::kInt32)[0].item<int32_t>() ^ bit;
  }
  int setbacks_ = 0;
};

TEST_F(SetbackTest, AFlippedBitIsFoundAndTheRunEndsWithTheSameBits) {
  run();
  const std::string undisturbed = step().fingerprint();
  // Of an exponent, too: the loss is not finite then, which is not taken for a divergence.
  for (const int32_t bit : {4, 1 << 30}) {
    forget_step();
    std::filesystem::remove_all(folder_ / "checkpoints");
    std::filesystem::remove(folder_ / "metrics.jsonl");
    progress_ = {};
    setbacks_ = 0;
    inputs_.data = [this, bit](int64_t number, int64_t microbatch) {
      if (number == 4 && microbatch == 0 && setbacks_ == 0) flip_a_bit(bit);
      return rows(number, microbatch);
    };
    testing::internal::CaptureStderr();
    EXPECT_FALSE(run());
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("the memory of rank 0 on "));
    EXPECT_EQ(setbacks_, 1);
    EXPECT_EQ(step().fingerprint(), undisturbed);
    EXPECT_THAT(lines("train"), ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(2, 4, 6));
  }
}

TEST_F(SetbackTest, MemoryThatIsDamagedAgainAndAgainEndsTheRun) {
  plan_.check_every = 1;
  inputs_.data = [this](int64_t number, int64_t microbatch) {
    if (number == 4 && microbatch == 0) flip_a_bit();
    return rows(number, microbatch);
  };
  EXPECT_THROW(run(), Error);
  EXPECT_EQ(setbacks_, 3);
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(2, 4));
}

TEST_F(SetbackTest, AfterADivergenceItContinuesOnceWithALowerLearningRate) {
  plan_.lr_after_divergence = 0.5;
  inputs_.data = [this](int64_t number, int64_t microbatch) {
    Batch batch = rows(number, microbatch);
    if (number == 4 && setbacks_ == 0) batch.x.fill_(std::numeric_limits<float>::quiet_NaN());
    return batch;
  };
  EXPECT_FALSE(run());
  EXPECT_EQ(progress_.lr_factor, 0.5);
  EXPECT_EQ(read_checkpoint(checkpoint_path(folder_, 6)).lr_factor, 0.5);
  const auto last = nlohmann::json::parse(
      read_file(folder_ / "metrics.jsonl").substr(read_file(folder_ / "metrics.jsonl").rfind("{\"step\"")));
  EXPECT_DOUBLE_EQ(last["lr"], 0.5e-3);
  forget_step();
  std::filesystem::remove_all(folder_ / "checkpoints");
  progress_ = {};
  inputs_.data = [](int64_t number, int64_t microbatch) {
    Batch batch = rows(number, microbatch);
    if (number == 4) batch.x.fill_(std::numeric_limits<float>::quiet_NaN());
    return batch;
  };
  EXPECT_THROW(run(), Error) << "the second time";
}

class SpikeTest : public TrainTest {
 protected:
  void SetUp() override {
    TrainTest::SetUp();
    plan_.end_step = 130;
    plan_.spike_factor = 10;
    plan_.max_nonfinite_steps = 5;
  }
  // Row 1 of microbatch 1 of step 120 is a hundred times too large.
  void make_a_spike(int64_t last = 119) {
    inputs_.data = [last](int64_t number, int64_t microbatch) {
      Batch batch = rows(number, microbatch);
      if (number >= 119 && number <= last && microbatch == 1) batch.x[1] *= 100;
      return batch;
    };
  }
  std::vector<int64_t> skipped() const {
    std::istringstream text(read_file(folder_ / "metrics.jsonl"));
    std::vector<int64_t> steps;
    for (std::string line; std::getline(text, line);)
      if (const auto parsed = nlohmann::json::parse(line); parsed.contains("skipped"))
        steps.push_back(parsed["step"]);
    return steps;
  }
  std::string log_of_run() {
    testing::internal::CaptureStderr();
    EXPECT_FALSE(run());
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(SpikeTest, SkipsTheStepAndNamesItsRow) {
  make_a_spike();
  EXPECT_THAT(log_of_run(),
              HasSubstr("step 120 is skipped for the size of its loss (train.spike_factor): loss of "
                        "training row 1 is "));
  EXPECT_THAT(skipped(), ElementsAre(120));
}

TEST_F(SpikeTest, TakesTheSameDecisionsAfterAResume) {
  make_a_spike();
  plan_.checkpoint.every_steps = 110;
  log_of_run();
  const std::string whole = step().fingerprint();
  const Checkpoint middle = read_checkpoint(checkpoint_path(folder_, 110));
  forget_step();
  std::filesystem::remove_all(folder_ / "checkpoints");
  step().restore(middle, "the test");
  progress_ = plan_.start = middle;
  log_of_run();
  EXPECT_EQ(step().fingerprint(), whole);
}

TEST_F(SpikeTest, WithoutTheOptionNoStepIsSkipped) {
  make_a_spike();
  plan_.spike_factor = 0;
  EXPECT_THAT(log_of_run(), Not(HasSubstr("skipped")));
}

TEST_F(SpikeTest, SpikesThatDoNotEndAreDivergence) {
  make_a_spike(1000);
  EXPECT_THROW(run(), Error);
  EXPECT_EQ(progress_.step, 125);
}

TEST_F(TrainTest, ALossFarAboveTheFirstIsNeverTheBestAndEndsTheRun) {
  plan_.evaluation_split = "validation";
  plan_.evaluate.every = "1";
  losses_ = {3, 2, 1, 0.5, 0.2};
  inputs_.data = [](int64_t number, int64_t microbatch) {
    Batch batch = rows(number, microbatch);
    return number == 0 ? batch : Batch{batch.x * 1e5, batch.label, batch.ids};
  };
  EXPECT_THROW(run(), Error);
  EXPECT_EQ(progress_.step, 6);
  EXPECT_EQ(progress_.best_step, 1);
  EXPECT_EQ(progress_.best_loss, 3);
  EXPECT_THAT(checkpoint_steps(folder_), ElementsAre(1));
  EXPECT_TRUE(read_checkpoint(checkpoint_path(folder_, 1)).first_loss);
}

TEST_F(TrainTest, NothingIsLeftToDoAtTheEnd) {
  progress_.step = plan_.start.step = plan_.end_step;
  EXPECT_FALSE(run());
  EXPECT_TRUE(checkpoint_steps(folder_).empty());
}

}  // namespace
}  // namespace elbo
