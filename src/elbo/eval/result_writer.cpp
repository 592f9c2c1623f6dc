#include "elbo/eval/result_writer.h"

#include <torch/types.h>

#include "elbo/base/text.h"

namespace elbo {

std::vector<std::string> ResultFile::class_names() const { return split(shape.class_names, '\n'); }

ResultRows CollectingWriter::joined() const {
  ResultRows all;
  std::vector<torch::Tensor> labels, lengths, before;
  for (size_t output = 0; output < file_.outputs.size(); ++output) {
    std::vector<torch::Tensor> values;
    values.reserve(parts_.size());
    for (const ResultRows& part : parts_) values.push_back(part.values[output]);
    all.values.push_back(torch::cat(values));
  }
  for (const ResultRows& part : parts_) {
    all.identities.insert(all.identities.end(), part.identities.begin(), part.identities.end());
    if (part.label.defined()) labels.push_back(part.label);
    if (part.length.defined()) lengths.push_back(part.length);
    if (part.before.defined()) before.push_back(part.before);
  }
  if (!labels.empty()) all.label = torch::cat(labels);
  if (!lengths.empty()) all.length = torch::cat(lengths);
  if (!before.empty()) all.before = torch::cat(before);
  return all;
}

}  // namespace elbo
