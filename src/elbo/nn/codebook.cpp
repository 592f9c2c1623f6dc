#include "elbo/nn/codebook.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/memory.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

// Four values per element: the vectors, their gradients or averages, and the statistics of a step.
void require_memory(int64_t size, int64_t dim) {
  const double bytes = 4.0 * sizeof(float) * static_cast<double>(size) * static_cast<double>(dim);
  const auto most = static_cast<double>(free_memory());
  if (bytes > most)
    usage_error(
        "model.codebook_size={}: this number of vectors of model.code_dim={} needs {} of memory to train, "
        "this machine has {} free; choose fewer or shorter vectors",
        size, dim, human_bytes(bytes), human_bytes(most));
}

// Rows are processed in parts: the distances of a part to all vectors take at most 64 MiB.
constexpr int64_t distances_at_once = 1 << 24;

// One-hot: (rows) int64 → (rows, size) float32. Sums per code are matrix products with it: unlike scattered
// additions, their order does not depend on the device's scheduling.
torch::Tensor indicators(const torch::Tensor& codes, int64_t size) {
  return torch::zeros({codes.size(0), size}, codes.options().dtype(torch::kFloat32))
      .scatter_(1, codes.unsqueeze(1), 1.0);
}

}  // namespace

void CodebookOptions::bind(OptionTable& table) {
  table.add("model.codebook_size", size, "vectors of the codebook", Range::between(1, 1 << 24));
  table.add_choice("model.codebook", learning, {"ema", "gradient"},
                   "how the codebook learns; ema: exponential moving averages of the encodings that are "
                   "assigned to each vector; gradient: the gradient of the codebook loss");
  table.add("model.ema_decay", decay, "ema: decay of the moving averages per step",
            Range{.low = 0, .high = 0.999999});
  table.add("model.restart_below", restart_below,
            "ema: a vector that is used fewer times per step than this, on average, is replaced by an "
            "encoding; 0: never",
            Range::at_least(0));
}

// U(-1/√dim, 1/√dim), as the weights of layers: near the outputs of an untrained encoder.
Codebook::Codebook(const CodebookOptions& options, int64_t dim, RandomGenerator& init)
    : options_(options), dim_(dim) {
  require_memory(options.size, dim);
  const double bound = 1.0 / std::sqrt(static_cast<double>(dim));
  const torch::Tensor first = init.uniform({options.size, dim}).mul_(2.0 * bound).sub_(bound);
  if (learns_by_gradient()) {
    vectors_ = register_parameter("vectors", first);
  } else {
    vectors_ = register_buffer("vectors", first);
    uses_ = register_buffer("uses", torch::ones({options.size}));
    sums_ = register_buffer("sums", first.clone());
  }
}

torch::Tensor Codebook::nearest(const torch::Tensor& z) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor squares = vectors_.square().sum(1);
  std::vector<torch::Tensor> codes;
  for (const torch::Tensor& part :
       z.detach().reshape({-1, dim_}).split(std::max<int64_t>(1, distances_at_once / options_.size)))
    // ‖z‖² is the same for all vectors.
    codes.emplace_back((squares - 2 * part.matmul(vectors_.t())).argmin(1));
  return torch::cat(codes).view(z.sizes().slice(0, static_cast<size_t>(z.dim()) - 1));
}

torch::Tensor Codebook::vectors(const torch::Tensor& codes) const {
  return torch::embedding(vectors_, codes);
}

int64_t Codebook::candidates() const {
  constexpr int64_t most = 16;
  return options_.restart_below > 0 ? std::min(options_.size, most) : 0;
}

torch::Tensor Codebook::statistics(const torch::Tensor& z, const torch::Tensor& codes, bool with_candidates,
                                   RandomGenerator& noise) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor rows = z.detach().reshape({-1, dim_});
  const int64_t at_once = std::max<int64_t>(1, distances_at_once / options_.size);
  torch::Tensor counts = torch::zeros({options_.size}, rows.options());
  torch::Tensor sums = torch::zeros({options_.size, dim_}, rows.options());
  for (int64_t first = 0; first < rows.size(0); first += at_once) {
    const int64_t count = std::min(at_once, rows.size(0) - first);
    const torch::Tensor assigned = indicators(codes.reshape(-1).narrow(0, first, count), options_.size);
    counts += assigned.sum(0);
    sums += assigned.t().matmul(rows.narrow(0, first, count));
  }
  torch::Tensor chosen = torch::zeros({candidates(), dim_}, rows.options());
  if (with_candidates && candidates() > 0) {
    const torch::Tensor places = (noise.uniform({candidates()}) * static_cast<double>(rows.size(0)))
                                     .to(torch::kInt64)
                                     .clamp_max(rows.size(0) - 1);  // the product may round up
    chosen = rows.index_select(0, places);
  }
  return torch::cat({counts, sums.flatten(), chosen.flatten()});
}

void Codebook::update_statistics(const torch::Tensor& statistics) {
  const torch::NoGradGuard no_grad;
  const std::vector<torch::Tensor> parts =
      statistics.split_with_sizes({options_.size, options_.size * dim_, candidates() * dim_});
  const torch::Tensor& counts = parts[0];
  uses_.mul_(options_.decay).add_(counts, 1 - options_.decay);
  sums_.mul_(options_.decay).add_(parts[1].view_as(sums_), 1 - options_.decay);
  // A vector that the step did not use stays: numerator and denominator decay alike and may underflow.
  const torch::Tensor used = counts.gt(0).unsqueeze(1);
  vectors_.copy_(torch::where(used, sums_ / uses_.unsqueeze(1), vectors_));
  if (options_.restart_below > 0) restart(parts[2].view({-1, dim_}));
}

void Codebook::restart(const torch::Tensor& encodings) {
  const torch::Tensor dead = uses_.lt(options_.restart_below).nonzero().flatten();
  const int64_t count = std::min(dead.size(0), encodings.size(0));
  const torch::Tensor places = dead.narrow(0, 0, count), fresh = encodings.narrow(0, 0, count);
  const double uses = std::max(1.0, options_.restart_below);  // a new vector is not restarted at once
  vectors_.index_copy_(0, places, fresh);
  uses_.index_fill_(0, places, uses);
  sums_.index_copy_(0, places, fresh * uses);
}

// z + (e - z) would differ from e in its last bits.
torch::Tensor straight_through(const torch::Tensor& z, const torch::Tensor& e) {
  return e.detach() + (z - z.detach());
}

torch::Tensor codebook_loss(const torch::Tensor& z, const torch::Tensor& e) {
  return (z.detach() - e).square().sum({1, 2});
}

torch::Tensor commitment_loss(const torch::Tensor& z, const torch::Tensor& e) {
  return (z - e.detach()).square().sum({1, 2});
}

CodebookUsage codebook_usage(const torch::Tensor& codes, int64_t size) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor counts = torch::bincount(codes.reshape(-1), {}, size).to(torch::kFloat32);
  const torch::Tensor frequency = counts / static_cast<double>(codes.numel());
  return {torch::special_entr(frequency).sum().exp(), counts.gt(0).sum().to(torch::kFloat32)};
}

}  // namespace elbo
