#include "elbo/nn/hierarchy.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <string_view>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

// No level is above it: its prior is N(0, I), and its posterior depends on the bottom-up features only.
class LadderTop : public StochasticLevel {
 public:
  LadderTop(int64_t latent, const HierarchyShape& shape, RandomGenerator& init)
      : head_(register_module("head", std::make_shared<Linear>(shape.width, 2 * latent, init))),
        latent_(latent) {
    shape.weights.set_head(*head_);
  }

  DiagonalNormal prior(const torch::Tensor& state) override {
    const torch::Tensor zeros = torch::zeros({state.size(0), latent_}, state.options());
    return {zeros, zeros};
  }
  DiagonalNormal posterior(const DiagonalNormal&, const torch::Tensor&,
                           const torch::Tensor& bottom_up) override {
    return DiagonalNormal::of(head_->forward(bottom_up));
  }
  torch::Tensor next_state(const torch::Tensor&, const torch::Tensor& z) override { return z; }

 private:
  std::shared_ptr<Linear> head_;
  int64_t latent_;
};

class LadderLevel : public StochasticLevel {
 public:
  LadderLevel(int64_t above, int64_t latent, const HierarchyShape& shape, RandomGenerator& init)
      : head_(register_module("head", std::make_shared<Linear>(shape.width, 2 * latent, init))),
        prior_(register_module("prior", std::make_shared<Mlp>(std::vector{above, shape.width, 2 * latent},
                                                              shape.activation, init))) {
    shape.weights.set_head(*head_);
    prior_->initialize(shape.weights, shape.weights.head);
  }

  DiagonalNormal prior(const torch::Tensor& state) override {
    return DiagonalNormal::of(prior_->forward(state));
  }
  DiagonalNormal posterior(const DiagonalNormal& prior, const torch::Tensor&,
                           const torch::Tensor& bottom_up) override {
    return precision_weighted(DiagonalNormal::of(head_->forward(bottom_up)), prior);
  }
  torch::Tensor next_state(const torch::Tensor&, const torch::Tensor& z) override { return z; }

 private:
  std::shared_ptr<Linear> head_;
  std::shared_ptr<Mlp> prior_;
};

class Ladder : public Hierarchy {
 public:
  Ladder(const HierarchyShape& shape, RandomGenerator& init)
      : activation_(shape.activation), output_size_(shape.latents.front()) {
    for (size_t i = 1; i < shape.latents.size(); ++i) {
      upwards_.push_back(
          register_module(fmt::format("up{}", i), std::make_shared<Linear>(shape.width, shape.width, init)));
      shape.weights.set_hidden(*upwards_.back());
    }
    append(std::make_shared<LadderTop>(shape.latents.back(), shape, init));
    for (size_t i = shape.latents.size() - 1; i-- > 0;)
      append(std::make_shared<LadderLevel>(shape.latents[i + 1], shape.latents[i], shape, init));
  }

  std::vector<torch::Tensor> bottom_up(const torch::Tensor& features) override {
    std::vector<torch::Tensor> levels{activation_(features)};
    for (const auto& up : upwards_) levels.push_back(activation_(up->forward(levels.back())));
    return {levels.rbegin(), levels.rend()};
  }
  torch::Tensor initial_state(int64_t n) const override {
    return torch::empty({n, 0}, parameters().front().options());
  }
  int64_t output_size() const override { return output_size_; }

 private:
  std::vector<std::shared_ptr<Linear>> upwards_;
  Activation activation_;
  int64_t output_size_;
};

class DeepLevel : public StochasticLevel {
 public:
  DeepLevel(int64_t latent, const HierarchyShape& shape, RandomGenerator& init) {
    const int64_t width = shape.width;
    const auto mlp = [&](int64_t in, int64_t out) {
      return std::make_shared<Mlp>(std::vector{in, width, out}, shape.activation, init);
    };
    prior_ = register_module("prior", mlp(width, 2 * latent));
    posterior_ = register_module("posterior", mlp(2 * width, 2 * latent));
    update_ = register_module("update", mlp(width + latent, width));
    prior_->initialize(shape.weights, shape.weights.head);
    posterior_->initialize(shape.weights, shape.weights.head);
    update_->initialize(shape.weights, shape.weights.hidden);
  }

  DiagonalNormal prior(const torch::Tensor& state) override {
    return DiagonalNormal::of(prior_->forward(state));
  }
  DiagonalNormal posterior(const DiagonalNormal&, const torch::Tensor& state,
                           const torch::Tensor& bottom_up) override {
    return DiagonalNormal::of(posterior_->forward(torch::cat({state, bottom_up}, 1)));
  }
  torch::Tensor next_state(const torch::Tensor& state, const torch::Tensor& z) override {
    return state + update_->forward(torch::cat({state, z}, 1));
  }

 private:
  std::shared_ptr<Mlp> prior_, posterior_, update_;
};

class Deep : public Hierarchy {
 public:
  Deep(const HierarchyShape& shape, RandomGenerator& init) : width_(shape.width) {
    for (size_t i = 1; i < shape.latents.size(); ++i) {
      upwards_.push_back(register_module(
          fmt::format("up{}", i),
          std::make_shared<Mlp>(std::vector{width_, width_, width_}, shape.activation, init)));
      upwards_.back()->initialize(shape.weights, shape.weights.hidden);
    }
    top_ = register_parameter("top", torch::zeros({1, width_}));
    for (size_t i = shape.latents.size(); i-- > 0;)
      append(std::make_shared<DeepLevel>(shape.latents[i], shape, init));
  }

  std::vector<torch::Tensor> bottom_up(const torch::Tensor& features) override {
    std::vector<torch::Tensor> levels{features};
    for (const auto& up : upwards_) levels.push_back(levels.back() + up->forward(levels.back()));
    return {levels.rbegin(), levels.rend()};
  }
  torch::Tensor initial_state(int64_t n) const override { return top_.expand({n, width_}); }
  int64_t output_size() const override { return width_; }

 private:
  std::vector<std::shared_ptr<Mlp>> upwards_;
  torch::Tensor top_;  // (1, width)
  int64_t width_;
};

template <typename Kind>
std::shared_ptr<Hierarchy> made(const HierarchyShape& shape, RandomGenerator& init) {
  return std::make_shared<Kind>(shape, init);
}

struct NamedHierarchy {
  std::string_view name;
  std::shared_ptr<Hierarchy> (*make)(const HierarchyShape&, RandomGenerator&);
};

constexpr NamedHierarchy hierarchies[] = {{"ladder", made<Ladder>}, {"deep", made<Deep>}};

}  // namespace

DiagonalNormal precision_weighted(const DiagonalNormal& a, const DiagonalNormal& b) {
  const torch::Tensor weight_of_a = torch::sigmoid(b.logvar - a.logvar);
  const torch::Tensor mean = b.mean + weight_of_a * (a.mean - b.mean);
  return {mean, -torch::logaddexp(-a.logvar, -b.logvar)};
}

void Hierarchy::append(std::shared_ptr<StochasticLevel> level) {
  levels_.push_back(register_module(fmt::format("level{}", levels_.size()), std::move(level)));
}

std::vector<std::string> hierarchy_names() {
  std::vector<std::string> names;
  for (const NamedHierarchy& hierarchy : hierarchies) names.emplace_back(hierarchy.name);
  return names;
}

std::shared_ptr<Hierarchy> make_hierarchy(const std::string& name, const HierarchyShape& shape,
                                          RandomGenerator& init) {
  for (const NamedHierarchy& hierarchy : hierarchies)
    if (hierarchy.name == name) return hierarchy.make(shape, init);
  usage_error("model.kind={}: expected one of {}", name, join(hierarchy_names(), ", "));
}

}  // namespace elbo
