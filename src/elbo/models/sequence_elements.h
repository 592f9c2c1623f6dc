// Shared by the variants for sequences: the elements of their rows.
#pragma once
#include <cstdint>
#include <memory>

#include "elbo/base/options.h"
#include "elbo/models/registry.h"
#include "elbo/nn/likelihood.h"
#include "elbo/nn/sequences.h"

namespace elbo {

struct ElementOptions {
  int64_t embedding = 128;
  LikelihoodOptions likelihood;
  void bind(OptionTable& table);  // model.embedding and model.likelihood*
};

// The elements of the data set's rows, predicted from `features` numbers. Throws a usage Error for rows that
// are not sequences.
std::shared_ptr<SequenceElements> make_elements(const ModelContext& context, const ElementOptions& options,
                                                int64_t features, RandomGenerator& init);

// The steps (of SequenceElements::steps()) that a prefix covers.
int64_t prefix_steps(const SequenceElements& elements, const Batch& batch, int64_t prefix_length);
// The steps up to the last target that is not padding in every row, 1 … steps(). The steps after it need not
// be computed: they count in no term.
int64_t unpadded_steps(const SequenceElements& elements, const Batch& batch);
// The mean of each element, or the most probable token, from the features of each step (b, steps, hidden).
torch::Tensor predicted_rows(const SequenceElements& elements, const torch::Tensor& features);

}  // namespace elbo
