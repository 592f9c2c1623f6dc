#include "elbo/run/auto_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include "elbo/nn/networks.h"
#include "elbo/run/auto_table.h"
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
  const torch::Tensor x = observed_or_zero(sample_rows(rows, features)).to(torch::kFloat64);
  return {x.min().item<double>(), x.max().item<double>(), x.mean().item<double>(),
          x.std(false).item<double>()};
}

// How long a run is.
struct Length {
  int64_t rows, batch, epochs;
  int64_t wanted_steps;  // 0: as many as the epochs have
  int64_t steps_of_epoch() const { return std::max<int64_t>(1, rows / batch); }
  int64_t steps() const { return wanted_steps > 0 ? wanted_steps : epochs * steps_of_epoch(); }
};

constexpr int64_t common_batch = 128, common_steps = 5000;

// The largest batch, and why.
struct BatchLimit {
  int64_t rows;
  std::string why;
};

BatchLimit batch_limit(const DataShape& shape, bool sequence) {
  constexpr int64_t numbers_of_volumes = 1 << 22;  // a step keeps them in memory many times over
  if (sequence) return {32, "rows of many steps"};
  if (!shape.is_volume()) return {common_batch, "the usual size"};
  const auto fits = static_cast<uint64_t>(std::max<int64_t>(1, numbers_of_volumes / shape.features()));
  return {std::min(common_batch, static_cast<int64_t>(std::bit_floor(fits))),
          fmt::format("volumes of {} numbers", shape.features())};
}

Length length_for(int64_t rows, int64_t largest_batch, int64_t fewest_steps, const WantedLength& wanted) {
  const auto tenth = static_cast<uint64_t>(std::max<int64_t>(8, rows / 10));
  const int64_t batch = std::min<int64_t>(largest_batch, static_cast<int64_t>(std::bit_floor(tenth)));
  Length length{.rows = rows, .batch = batch, .epochs = wanted.epochs, .wanted_steps = wanted.steps};
  const int64_t steps = length.steps_of_epoch();
  if (length.epochs == 0) length.epochs = std::clamp<int64_t>((fewest_steps + steps - 1) / steps, 10, 1000);
  return length;
}

void choose_length(Choices& choices, const Length& length, const BatchLimit& limit, int64_t fewest_steps) {
  constexpr int64_t steps_between_evaluations = 500;
  choices.choose("train.batch", length.batch,
                 length.batch == limit.rows
                     ? limit.why
                     : fmt::format("ten steps an epoch at least, of {} rows", length.rows));
  choices.choose("train.epochs", length.epochs,
                 fmt::format("about {} steps or ten epochs, whichever is more", fewest_steps));
  if (2 * length.steps_of_epoch() <= steps_between_evaluations)
    choices.choose("evaluate.every", steps_between_evaluations, "steps, since an epoch is short");
}

void choose_gaussian(Choices& choices, const Dataset& data, const std::string& transform) {
  const Values values = values_of(data.split("train"), data.shape().features());
  const double deviation = values.deviation_after(transform);
  const bool as_they_are = transform == "none";
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

// Layers of 3-D convolutions, until the longest side is at most 7.
void choose_channels(Choices& choices, const DataShape& shape) {
  constexpr int64_t fewest = 16, most = 128;
  const auto [shortest, longest] = std::ranges::minmax(std::span(shape.x).last(3));
  std::vector<int64_t> channels{fewest};
  for (int64_t halved = 2; longest / halved > 7 && shortest / halved > 1; halved *= 2)
    channels.push_back(std::min(most, 2 * channels.back()));
  choices.choose("network.channels", fmt::format("{}", fmt::join(channels, ",")),
                 "each layer halves the sides, to at most 7");
}

int64_t warmup_steps(const Length& length) { return std::max<int64_t>(1, length.steps() / 5); }

// Decoders that see the preceding elements learn to do without z if its KL has its weight early.
void choose_warmup(Choices& choices, const Length& length) {
  choices.choose(
      "model.warmup_steps", std::max<int64_t>(1, length.steps() / 3),
      "the KL's weight rises over a third of the run, so that z is used beside the preceding elements");
}

void choose_text(Choices& choices, const Length& length) {
  choices.choose("model.name", "sequence_vae", "tokens, whose numbers are names");
  choices.choose("model.word_dropout", 0.25,
                 "hides a part of the preceding tokens, so that the decoder needs z (Bowman et al. 2016)");
  choose_warmup(choices, length);
  choices.choose("model.free_bits", 0.2,
                 "nats of each dimension that cost nothing: else the posterior collapses to the prior "
                 "(Kingma et al. 2016)");
}

// (time, features): a z for each step.
void choose_vrnn(Choices& choices, Communicator& world, const Dataset& data, const Length& length) {
  const DataShape& shape = data.shape();
  choices.choose("model.name", "vrnn", fmt::format("sequences of {} steps, each with a z", shape.x[0]));
  choices.choose("model.latent", rounded(static_cast<double>(shape.x[1]) / 2, 1, 2, 16),
                 fmt::format("half as many as the {} features of a step, from 2 to 16", shape.x[1]));
  choices.choose("model.hidden", rounded(1.5 * static_cast<double>(shape.x[1]), 32, 64, 256),
                 "the state, wider than a step");
  if (all_zero_or_one(world, data.split("train"), shape.features()))
    choices.choose("model.likelihood", "bernoulli", "all values are 0 or 1");
  else
    choose_gaussian(choices, data,
                    choose_normalization(world, data, /*counts=*/false, /*binarized=*/false).kind);
  choose_warmup(choices, length);
  choices.choose("network.hidden", rounded(1.5 * static_cast<double>(shape.x[1]), 32, 64, 256),
                 "one layer in each network, as wide as the state");
}

// (time, channels, height, width): one z for the row.
void choose_video(Choices& choices, Communicator& world, const Dataset& data, const Length& length) {
  const Normalization normalization =
      choose_normalization(world, data, /*counts=*/false, /*binarized=*/false);
  choices.choose("model.name", "sequence_vae", "video, with one z for all frames");
  choices.choose("model.latent", 64, "the usual size for video");
  if (normalization.in_unit_interval)
    choices.choose("model.likelihood", "bernoulli",
                   "frames, whose values in [0, 1] are taken as probabilities");
  else
    choose_gaussian(choices, data, normalization.kind);
  choose_warmup(choices, length);
}

// Mult-VAE of Liang et al. 2018, section 4.3, smaller where there are few items.
void choose_recommender(Choices& choices, const Dataset& data, const Length& length) {
  const auto items = static_cast<double>(data.shape().features());
  const int64_t latent = rounded(items / 10, 1, 8, 200);
  choices.choose("model.name", "vae", "interactions: Mult-VAE (Liang et al. 2018)");
  choices.choose("model.latent", latent, fmt::format("a tenth of the {:.0f} items, from 8 to 200", items));
  choices.choose("model.likelihood", "multinomial", "interactions, as counts (Liang et al. 2018)");
  choices.choose("model.input_dropout", 0.5,
                 "items that the encoder does not see, which it learns to predict");
  choices.choose("model.beta", 0.2, "the weight of the KL term that ranks best (section 2.2.2 there)");
  choices.choose("model.warmup_steps", std::max<int64_t>(1, length.steps() / 2),
                 "the weight rises over half of the run");
  choices.choose("network.hidden", 3 * latent, "three times the latent size");
  choices.choose("network.activation", "tanh", "as in the paper");
  choices.choose("network.input", "l2", "rows divided by their norm, as in the paper");
}

// Images, and rows of other kinds.
void choose_vae(Choices& choices, Communicator& world, const Dataset& data) {
  const DataShape& shape = data.shape();
  choices.choose("model.name", "vae", "the standard variational autoencoder");
  const double features = static_cast<double>(shape.features());
  const int64_t most_latent = std::max<int64_t>(1, shape.features() / 2);
  choices.choose("model.latent", std::min(most_latent, rounded(0.7 * std::sqrt(features), 1, 2, 256)),
                 fmt::format("near 0.7 times the root of the {} values of a row", shape.features()));
  const Normalization normalization =
      choose_normalization(world, data, /*counts=*/false, /*binarized=*/false);
  if ((shape.is_image() || shape.is_volume()) && normalization.in_unit_interval)
    choices.choose("model.likelihood", "bernoulli",
                   fmt::format("{}, whose values in [0, 1] are taken as probabilities",
                               shape.is_volume() ? "volumes" : "images"));
  else
    choose_gaussian(choices, data, normalization.kind);
  NetworkOptions network;
  network.spatial = shape.spatial();
  const bool convolutional = is_convolutional(network, shape.x);
  choices.choose("network.kind", convolutional ? "conv" : "mlp",
                 !convolutional      ? "rows without the neighbourhoods of an image of at least 16×16"
                 : shape.is_volume() ? "volumes of at least 8×8×8"
                                     : "images of at least 16×16");
  if (convolutional && shape.is_volume()) choose_channels(choices, shape);
  choices.choose("network.hidden", rounded(features / 2, 8, 64, 512),
                 "half as wide as a row, from 64 to 512");
  choices.choose("network.init", "he", "layers begin by keeping the size of what passes (He et al. 2015)");
}

}  // namespace

std::vector<Choice> auto_config(Communicator& world, const Dataset& data, const WantedLength& wanted) {
  Choices choices;
  const DataShape& shape = data.shape();
  const int64_t rows = data.split("train").rows();
  if (data.splits().size() == 1 && rows >= 100)
    choices.choose("data.validation_fraction", 0.1,
                   "the data have no split to evaluate on, so a tenth is held out");
  // Each step of a sequence is computed after the one before: a run has fewer and smaller steps.
  const bool sequence = shape.kind == "sequence" || shape.kind == "video";
  const BatchLimit limit = batch_limit(shape, sequence);
  const int64_t fewest_steps = sequence ? 2000 : common_steps;
  const Length length = length_for(rows, limit.rows, fewest_steps, wanted);
  if (shape.tokens > 0)
    choose_text(choices, length);
  else if (shape.kind == "interactions")
    choose_recommender(choices, data, length);
  else if (sequence && shape.x.size() == 4)
    choose_video(choices, world, data, length);
  else if (sequence && shape.x.size() == 2)
    choose_vrnn(choices, world, data, length);
  else if (shape.x.size() == 1 && shape.kind != "audio")
    choose_table(choices, world, data, warmup_steps(length));
  else
    choose_vae(choices, world, data);
  choose_length(choices, length, limit, fewest_steps);
  if (sequence && length.batch >= 8)
    choices.choose("train.microbatch", length.batch / 4, "so that four cores can work at a time");
  if (shape.kind == "interactions")
    choices.choose("evaluate.best", "ndcg_100", "the best checkpoint is the one that ranks best");
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
