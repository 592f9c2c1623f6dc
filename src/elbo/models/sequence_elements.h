// What variants of sequences share: which rows they take, and the elements of those.
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

// features: numbers from which an element is told. Throws a usage Error for rows that are no sequences.
std::shared_ptr<SequenceElements> make_elements(const ModelContext& context, const ElementOptions& options,
                                                int64_t features, RandomGenerator& init);

// How many steps (SequenceElements::steps) the first `given` elements of a row take.
int64_t steps_of(const SequenceElements& elements, const Batch& batch, int64_t given);
// The element that follows from features (n, hidden) when a row is continued.
torch::Tensor next_element(const SequenceElements& elements, const Continuation& continuation,
                           const torch::Tensor& features, RandomGenerator& noise);

}  // namespace elbo
