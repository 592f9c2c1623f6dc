#include "elbo/models/sequence_elements.h"

#include <torch/types.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/nn/recurrent.h"

namespace elbo {

void ElementOptions::bind(OptionTable& table) {
  table.add("model.embedding", embedding, "features that represent a token or an image",
            Range::between(1, 1 << 16));
  likelihood.bind(table);
}

namespace {

// Of an element of rows (time, …).
std::shared_ptr<Likelihood> element_likelihood(const LikelihoodOptions& options, const DataShape& data) {
  if (options.library != "none")
    usage_error(
        "model.library={}: a sequence is generated element by element, whose sums are not known before; "
        "use none",
        options.library);
  return make_likelihood(options, {.shape = {data.x.begin() + 1, data.x.end()}});
}

}  // namespace

std::shared_ptr<SequenceElements> make_elements(const ModelContext& context, const ElementOptions& options,
                                                int64_t features, RandomGenerator& init) {
  const DataShape& data = context.data;
  if (data.tokens == 0) {
    const bool pictures = data.x.size() == 4 && !data.is_volume();
    if (data.x.size() != 2 && !pictures)
      usage_error(
          "model.name={}: needs sequences: rows of tokens, (time, features) or (time, channels, height, "
          "width); use vae for other rows",
          context.name);
    if (pictures)
      return make_frame_elements(data.x[0], {data.x[1], data.x[2], data.x[3]}, context.network,
                                 options.embedding, features, element_likelihood(options.likelihood, data),
                                 init, data.masked);
    return make_value_elements(data.x[0], data.x[1], features, context.network.input,
                               element_likelihood(options.likelihood, data), init, data.masked);
  }
  if (options.likelihood.name != "auto")
    usage_error("model.likelihood={}: tokens always have a categorical likelihood; use auto",
                options.likelihood.name);
  if (data.tokens < special_tokens || data.x[0] < 2)
    usage_error(
        "model.name={}: needs rows of at least 2 tokens and a vocabulary that begins with <pad>, <bos>, "
        "<eos>, <unk>; this data set has rows of {} tokens and a vocabulary of {}",
        context.name, data.x[0], data.tokens);
  return make_token_elements(data.tokens, data.x[0], options.embedding, features, init);
}

int64_t prefix_steps(const SequenceElements& elements, const Batch& batch, int64_t prefix_length) {
  return prefix_length - (batch.x.size(1) - elements.steps());
}

int64_t unpadded_steps(const SequenceElements& elements, const Batch& batch) {
  return std::max<int64_t>(1, prefix_steps(elements, batch, longest_row(batch.length, batch.x.size(1))));
}

torch::Tensor predicted_rows(const SequenceElements& elements, const torch::Tensor& features) {
  const torch::Tensor all = elements.choose(features.flatten(0, 1), {});
  return elements.assemble(all.unflatten(0, {features.size(0), features.size(1)}).unbind(1));
}

}  // namespace elbo
