// RUN/samples: what the model generates and reconstructs while it trains, as images, sound or text. The
// random numbers are the same at each step, so that files show how the same samples change.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "elbo/data/row_source.h"
#include "elbo/eval/result_writer.h"
#include "elbo/models/model.h"
#include "elbo/run/run_plan.h"

namespace elbo {

class SampleWriter {
 public:
  // Used by one rank. rows: of the split that is evaluated, read with `binarize` and the run's seed. Both
  // outlive the object.
  SampleWriter(const RunPlan& plan, const RowSource& rows, std::string binarize, uint64_t seed);

  // RUN/samples/step_%09d.png and step_%09d_reconstruction.png, or with another ending; none where rows are
  // nothing to look at. What fails is a warning, and no more samples are written.
  std::vector<std::filesystem::path> write(Model& model, int64_t step);

 private:
  bool prepare(const Transform& transform);
  std::filesystem::path write_samples(Model& model, const std::string& name);
  std::filesystem::path write_reconstructions(Model& model, const std::string& name);
  std::filesystem::path write_rows(const Model& model, const std::string& name,
                                   std::vector<RowOutput> outputs, ResultRows rows) const;

  const RunPlan& plan_;
  const RowSource& rows_;
  std::string binarize_;
  uint64_t seed_;
  ResultFile form_;     // what the rows mean
  std::string ending_;  // "": not known yet
  bool works_ = true;
};

}  // namespace elbo
