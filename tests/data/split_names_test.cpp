#include "elbo/data/split_names.h"

#include <gtest/gtest.h>

namespace elbo {
namespace {

TEST(SplitMeant, KnowsTheUsualWords) {
  for (const char* name : {"train", "Training"}) EXPECT_EQ(split_meant(name), "train") << name;
  for (const char* name : {"validation", "val", "VALID", "dev"})
    EXPECT_EQ(split_meant(name), "validation") << name;
  for (const char* name : {"test", "testing", "eval", "holdout", "hold_out", "Held-Out"})
    EXPECT_EQ(split_meant(name), "test") << name;
  for (const char* name : {"values", "testimony", "x", ""}) EXPECT_EQ(split_meant(name), "") << name;
}

TEST(ArrayMeant, TakesASplitAndARoleInOneName) {
  const auto expect = [](const char* name, const char* split, ArrayRole role) {
    EXPECT_EQ(array_meant(name).split, split) << name;
    EXPECT_EQ(array_meant(name).role, role) << name;
  };
  for (const char* name : {"x_train", "X_train", "trainX", "train_images", "train_set_x", "train"})
    expect(name, "train", ArrayRole::rows);
  for (const char* name : {"y_val", "valid_labels", "validationTargets", "dev_y"})
    expect(name, "validation", ArrayRole::labels);
  expect("x_holdout", "test", ArrayRole::rows);
  for (const char* name : {"training_time", "latest", "x", "trainer", "test_ids"})
    expect(name, "", ArrayRole::none);
}

}  // namespace
}  // namespace elbo
