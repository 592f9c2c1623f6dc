#include "elbo/run/config.h"

#include <gmock/gmock.h>

#include "elbo/base/error.h"

namespace elbo {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<RunConfig> config_of(const std::string& ini, const std::vector<Setting>& line = {}) {
  return parse_config("[data]\npath = data.h5\n" + ini, "my.ini", line);
}

std::string refusal(const std::string& ini, const std::vector<Setting>& line = {}) {
  try {
    config_of(ini, line);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
}

TEST(RunConfig, TheLengthIsGivenInStepsOrInEpochsAndNeverPassedOver) {
  EXPECT_EQ(config_of("")->train.epochs, 10);
  EXPECT_EQ(config_of("[train]\nsteps = 7\n")->train.steps, 7);
  EXPECT_EQ(config_of("[train]\nsteps = 7\n")->train.epochs, 0);
  const std::string both = refusal("[train]\nsteps = 7\nepochs = 3\n");
  EXPECT_THAT(
      both, AllOf(HasSubstr("my.ini: train.steps=7"), HasSubstr("train.epochs=3"), HasSubstr("one of them")));
  EXPECT_THAT(refusal("", {{"train.steps", "7"}, {"train.epochs", "3"}}), HasSubstr("--train.steps=7"));
  EXPECT_THAT(refusal("[train]\nepochs = 0\n"), HasSubstr("train.epochs=0"));
}

TEST(RunConfig, TheCommandLineDecidesTheLengthAgainstTheFile) {
  const auto by_epochs = config_of("[train]\nsteps = 7\n", {{"train.epochs", "3"}});
  EXPECT_EQ(by_epochs->train.steps, 0);
  EXPECT_EQ(by_epochs->train.epochs, 3);
  const auto by_steps = config_of("[train]\nepochs = 7\n", {{"train.steps", "3"}});
  EXPECT_EQ(by_steps->train.steps, 3);
  EXPECT_EQ(by_steps->train.epochs, 0);
}

TEST(RunConfig, WhatItWritesDownIsReadBackAlsoFromVersionsThatWroteBothLengths) {
  for (const std::string length : {"steps = 7", "epochs = 4"}) {
    const auto config = config_of("[train]\n" + length + "\n");
    const auto again = parse_config(config->saved_ini(), "run.ini", {});
    EXPECT_EQ(again->train.steps, config->train.steps);
    EXPECT_EQ(again->train.epochs, config->train.epochs);
  }
  const auto old = saved_config("[data]\npath = data.h5\n[train]\nsteps = 7\nepochs = 10\n", "run.ini");
  EXPECT_EQ(old->train.steps, 7);
}

TEST(RunConfig, SettingsWithoutEffectAreRefused) {
  EXPECT_THAT(refusal("[optimizer]\nmin_lr = 1e-5\n"),
              AllOf(HasSubstr("optimizer.min_lr"), HasSubstr("no effect with optimizer.schedule=constant"),
                    HasSubstr("cosine")));
  EXPECT_THAT(refusal("[optimizer]\nmomentum = 0.9\n"), HasSubstr("optimizer.momentum=0.9: has no effect"));
  EXPECT_THAT(refusal("[optimizer]\nname = sgd\nbeta1 = 0.5\n"),
              HasSubstr("optimizer.beta1=0.5: has no effect"));
  EXPECT_THAT(refusal("", {{"model.likelihood", "bernoulli"}, {"model.likelihood_scale", "0.2"}}),
              HasSubstr("model.likelihood_scale=0.2: has no effect with model.likelihood=bernoulli"));
  EXPECT_THAT(refusal("[model]\nname = iaf_vae\nflow = planar\nflow_hidden = 8\n"),
              HasSubstr("model.flow_hidden=8: has no effect with model.flow=planar; it needs iaf"));
  EXPECT_EQ(refusal("[optimizer]\nname = sgd\nmomentum = 0.9\n"), "");
  EXPECT_EQ(refusal("[optimizer]\nbeta1 = 0.9\nmin_lr = 0\n"), "") << "the defaults";
}

TEST(RunConfig, SharesOfTheSumOfARowNeedAllOfItsValues) {
  const std::string mask = "missing = mask\n";
  EXPECT_EQ(refusal(mask), "");
  EXPECT_EQ(refusal(mask + "[model]\nlikelihood = negative_binomial\n"), "");
  EXPECT_THAT(refusal(mask + "[model]\nlikelihood = multinomial\n"),
              AllOf(HasSubstr("data.missing=mask: model.likelihood=multinomial"), HasSubstr("fill")));
  EXPECT_THAT(refusal(mask + "[model]\nlikelihood = poisson\nlibrary = observed\n"),
              HasSubstr("model.library=observed needs the sum of each row"));
}

TEST(RunConfig, AScheduleNeedsItsNumbers) {
  EXPECT_THAT(refusal("[optimizer]\nschedule = step\n"), HasSubstr("needs optimizer.schedule_steps"));
  EXPECT_THAT(refusal("[optimizer]\nschedule = milestones\n"), HasSubstr("needs optimizer.milestones"));
  EXPECT_EQ(refusal("[optimizer]\nschedule = step\nschedule_steps = 5\ngamma = 0.5\n"), "");
  EXPECT_EQ(refusal("[optimizer]\nschedule = cosine\nmin_lr = 1e-5\n"), "");
}

TEST(RunConfig, TheLikelihoodSaysWhatRowsMayBe) {
  EXPECT_EQ(config_of("")->data.values.support, Support::real);
  const auto counts = config_of("[model]\nlikelihood = multinomial\n");
  EXPECT_EQ(counts->data.values.support, Support::non_negative);
  EXPECT_THAT(counts->data.values.remedy,
              HasSubstr("model.likelihood=multinomial needs values of 0 or more"));
  const auto genes = config_of("[model]\nlikelihood = negative_binomial\n");
  EXPECT_EQ(genes->data.values.support, Support::counts);
  EXPECT_THAT(genes->data.values.remedy,
              AllOf(HasSubstr("model.likelihood=negative_binomial needs whole numbers of 0 or more"),
                    HasSubstr("/layers/counts")));
}

TEST(RunConfig, NetworksSeeTheLogarithmOfCountsWhoseLikelihoodTakesThemAsTheyAre) {
  EXPECT_EQ(config_of("")->network.input, "raw");
  EXPECT_EQ(config_of("[model]\nlikelihood = multinomial\n")->network.input, "raw");
  EXPECT_EQ(config_of("[model]\nlikelihood = poisson\n")->network.input, "log1p");
  EXPECT_EQ(config_of("[model]\nlikelihood = poisson\n[network]\ninput = raw\n")->network.input, "raw");
  EXPECT_THAT(refusal("[model]\nlikelihood = poisson\n[data]\nnormalize = log1p\n"),
              AllOf(HasSubstr("data.normalize=log1p"), HasSubstr("network.input")));
  EXPECT_THAT(refusal("[model]\nlikelihood = poisson\ndispersion = gene-cell\n"),
              HasSubstr("model.dispersion=gene-cell: has no effect with model.likelihood=poisson"));
  EXPECT_THAT(refusal("[model]\nlikelihood = poisson\nlibrary = observed\n[data]\nmissing = mask\n"),
              HasSubstr("data.missing=mask: model.library=observed needs the sum of each row"));
  EXPECT_THAT(refusal("[model]\nlikelihood = gaussian\nlibrary = observed\n"),
              HasSubstr("model.library=observed: has no effect"));
  EXPECT_THAT(refusal("[model]\nlikelihood = poisson\nlikelihood_scale = 2\n"),
              HasSubstr("model.likelihood_scale=2: has no effect"));
}

}  // namespace
}  // namespace elbo
