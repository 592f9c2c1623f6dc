#include "elbo/run/auto_config.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "elbo/nn/networks.h"
#include "elbo/run/normalization.h"
#include "elbo/run/row_pass.h"

namespace elbo {
namespace {

struct Values {
  double lowest, highest, mean, deviation;
  bool far_from_standard() const {
    return deviation > 0 && (std::fabs(mean) > 3 * deviation || deviation > 10 || deviation < 0.1);
  }
  // Their deviation after the transform.
  double deviation_after(const std::string& transform) const {
    if (transform == "standardize") return 1;
    if (transform == "bytes") return deviation / 255;
    return transform == "unit" ? deviation / (highest - lowest) : deviation;
  }
};

Values values_of(const RowSource& rows, int64_t features) {
  const torch::Tensor x = sample_rows(rows, features).to(torch::kFloat64);
  return {x.min().item<double>(), x.max().item<double>(), x.mean().item<double>(),
          x.std(false).item<double>()};
}

// The nearest multiple of `unit` within the limits.
int64_t rounded(double x, int64_t unit, int64_t low, int64_t high) {
  return std::clamp(static_cast<int64_t>(std::llround(x / static_cast<double>(unit))) * unit, low, high);
}

class Choices {
 public:
  template <typename T>
  void choose(const std::string& key, const T& value, const std::string& why) {
    all.push_back({{key, fmt::format("{}", value)}, why});
  }
  std::vector<Choice> all;
};

void choose_likelihood(Choices& choices, Communicator& world, const Dataset& data) {
  const Normalization normalization =
      choose_normalization(world, data, /*counts=*/false, /*binarized=*/false);
  if (data.shape().is_image() && normalization.in_unit_interval) {
    choices.choose("model.likelihood", "bernoulli",
                   "images, whose values in [0, 1] are taken as probabilities");
    return;
  }
  if (data.shape().kind == "interactions") {
    choices.choose("model.likelihood", "multinomial", "interactions, as counts (Liang et al. 2018)");
    return;
  }
  const Values values = values_of(data.split("train"), data.shape().features());
  const double deviation = values.deviation_after(normalization.kind);
  const bool as_they_are = normalization.kind == "none";
  choices.choose("model.likelihood", "gaussian",
                 fmt::format("real values, from {:.3g} to {:.3g}{}", values.lowest, values.highest,
                             as_they_are && values.far_from_standard()
                                 ? "; training is quicker with mean 0 and deviation 1"
                                 : ""));
  choices.choose("model.likelihood_variance", "learned", "the noise level is unknown, so it is learned");
  if (deviation > 0)
    choices.choose("model.likelihood_scale", fmt::format("{:.1e}", deviation),
                   as_they_are ? "the values' standard deviation, where learning starts"
                               : "the standard deviation of the transformed values, where learning starts");
}

void choose_vae(Choices& choices, Communicator& world, const Dataset& data) {
  const DataShape& shape = data.shape();
  choices.choose("model.name", "vae", "the standard variational autoencoder");
  const double features = static_cast<double>(shape.features());
  const int64_t most_latent = std::max<int64_t>(1, shape.features() / 2);
  choices.choose("model.latent", std::min(most_latent, rounded(0.7 * std::sqrt(features), 1, 2, 256)),
                 fmt::format("near 0.7 times the root of the {} values of a row", shape.features()));
  choose_likelihood(choices, world, data);
  const bool convolutional = is_convolutional({}, shape.x);
  choices.choose("network.kind", convolutional ? "conv" : "mlp",
                 convolutional ? "images of at least 16×16"
                               : "rows without the neighbourhoods of an image of at least 16×16");
  choices.choose("network.hidden", rounded(features / 2, 8, 64, 512),
                 "half as wide as a row, from 64 to 512");
}

void choose_length(Choices& choices, int64_t rows) {
  constexpr int64_t usual_batch = 128, fewest_steps = 5000, steps_between_evaluations = 500;
  const auto tenth = static_cast<uint64_t>(std::max<int64_t>(8, rows / 10));
  const int64_t batch = std::min<int64_t>(usual_batch, static_cast<int64_t>(std::bit_floor(tenth)));
  choices.choose(
      "train.batch", batch,
      batch == usual_batch ? "the usual size" : fmt::format("ten steps an epoch at least, of {} rows", rows));
  const int64_t steps = std::max<int64_t>(1, rows / batch);
  choices.choose("train.epochs", std::clamp<int64_t>((fewest_steps + steps - 1) / steps, 10, 1000),
                 fmt::format("about {} steps or ten epochs, whichever is more", fewest_steps));
  if (2 * steps <= steps_between_evaluations)
    choices.choose("evaluate.every", steps_between_evaluations, "steps, since an epoch is short");
}

}  // namespace

std::vector<Choice> auto_config(Communicator& world, const Dataset& data) {
  Choices choices;
  const int64_t rows = data.split("train").rows();
  if (data.splits().size() == 1 && rows >= 100)
    choices.choose("data.validation_fraction", 0.1,
                   "the data have no split to evaluate on, so a tenth is held out");
  if (data.shape().tokens > 0) {
    choices.choose("model.name", "sequence_vae", "tokens, whose numbers are names");
  } else {
    choose_vae(choices, world, data);
  }
  choose_length(choices, rows);
  return std::move(choices.all);
}

std::string as_ini(const std::vector<Choice>& choices) {
  std::string text, section;
  for (const auto& [setting, why] : choices) {
    const auto& [key, value] = setting;
    const size_t dot = key.find('.');
    if (key.substr(0, dot) != section) {
      section = key.substr(0, dot);
      text += fmt::format("[{}]\n", section);
    }
    text += why.empty()
                ? fmt::format("{} = {}\n", key.substr(dot + 1), value)
                : fmt::format("{:<34} # {}\n", fmt::format("{} = {}", key.substr(dot + 1), value), why);
  }
  return text;
}

}  // namespace elbo
