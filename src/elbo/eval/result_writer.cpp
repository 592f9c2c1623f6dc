#include "elbo/eval/result_writer.h"

#include <torch/types.h>

#include <algorithm>

#include "elbo/base/text.h"

namespace elbo {

bool have_names(const std::vector<RowIdentity>& identities) {
  return std::ranges::any_of(identities, [](const RowIdentity& row) { return !row.name.empty(); });
}

std::vector<std::string> ResultFile::class_names() const { return texts_in_lines(shape.class_names); }

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
