// A mixture of Gaussians as the distribution of codes, after training (Ghosh et al. 2020, "From variational
// to deterministic autoencoders", section 4): for conditional models p(z | class), for others p(z).
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/comm/on_root.h"
#include "elbo/commands/sample_codes.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t sampler_format_version = 1;

// Mixtures of the classes, or a single one, end to end: (g, k), (g, k, d), (g, k, d, d), all float64.
struct Mixtures {
  torch::Tensor weights, means, factors;
  std::vector<torch::Tensor*> tensors() { return {&weights, &means, &factors}; }
};

Mixtures empty_mixtures(int64_t groups, int64_t k, int64_t d) {
  return {torch::zeros({groups, k}, torch::kFloat64), torch::zeros({groups, k, d}, torch::kFloat64),
          torch::zeros({groups, k, d, d}, torch::kFloat64)};
}

std::string digest_of(Mixtures& mixtures) {
  Sha256 digest;
  for (const torch::Tensor* tensor : mixtures.tensors())
    digest.update(tensor->const_data_ptr(), tensor->nbytes());
  return digest.hex();
}

// What the fit depends on; a file with other values is not used.
struct FitOf {
  std::string fingerprint;
  int64_t components, fitted_rows, groups;
};

void write_mixtures(const fs::path& path, Mixtures& mixtures, const FitOf& of) {
  make_parent(path);
  AtomicFile target(path);
  {
    const auto lock = hdf5::lock();
    const hdf5::Handle file = hdf5::create_file(target.temporary_path());
    const hdf5::Handle root = hdf5::open_group(file, "/");
    hdf5::write_attribute(root, "format_version", sampler_format_version);
    hdf5::write_attribute(root, "sampler", "gmm");
    hdf5::write_attribute(root, "fingerprint", of.fingerprint);
    hdf5::write_attribute(root, "components", of.components);
    hdf5::write_attribute(root, "fitted_rows", of.fitted_rows);
    hdf5::write_attribute(root, "sha256", digest_of(mixtures));
    hdf5::write_tensor(file, "/weights", mixtures.weights);
    hdf5::write_tensor(file, "/means", mixtures.means);
    hdf5::write_tensor(file, "/factors", mixtures.factors);
    hdf5::write_out(file, target.temporary_path());
  }
  target.commit();
}

// Those of the file, if it is there, whole, and of the same fit.
std::optional<Mixtures> read_mixtures(const fs::path& path, const FitOf& of, int64_t d) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    const auto lock = hdf5::lock();
    const hdf5::Handle file = hdf5::open_file(path);
    const hdf5::Handle root = hdf5::open_group(file, "/");
    const bool same = hdf5::read_integer_attribute(root, "format_version") == sampler_format_version &&
                      hdf5::read_text_attribute(root, "fingerprint") == of.fingerprint &&
                      hdf5::read_integer_attribute(root, "components") == of.components &&
                      hdf5::read_integer_attribute(root, "fitted_rows") == of.fitted_rows;
    if (!same) return std::nullopt;
    Mixtures found = empty_mixtures(of.groups, of.components, d);
    for (const auto& [name, tensor] : std::vector<std::pair<const char*, torch::Tensor*>>{
             {"/weights", &found.weights}, {"/means", &found.means}, {"/factors", &found.factors}}) {
      const hdf5::Handle dataset = hdf5::open_dataset(file, name);
      if (hdf5::describe(dataset).shape != tensor->sizes().vec()) fail("{} has another shape", name);
      *tensor = hdf5::read_tensor(dataset);
    }
    if (hdf5::read_text_attribute(root, "sha256") != digest_of(found)) fail("it does not match its checksum");
    return found;
  } catch (const Error& error) {
    log::warning("{}: is damaged, and fitted again: {}", path.string(), error.what());
    return std::nullopt;
  }
}

// The points of the rows of a class.
SharedPoints points_of_class(const TrainingCodes& codes, int64_t label) {
  SharedPoints points{.parts = codes.points.parts, .own = {}};
  points.own.reserve(codes.points.own.size());
  for (size_t i = 0; i < codes.points.own.size(); ++i)
    points.own.push_back(codes.points.own[i].index_select(0, codes.labels[i].eq(label).nonzero().squeeze(1)));
  return points;
}

// d + 1 points have a covariance with an inverse.
void require_points(int64_t points, const FitOf& of, int64_t d, const std::string& whose) {
  const int64_t least = of.components * (d + 1);
  if (points >= least) return;
  const int64_t possible = points / (d + 1);
  usage_error(
      "--sampler=gmm: {} Gaussians of {} dimensions need {} training rows{}, and there are {}; expected {}",
      of.components, d, least, whose, points,
      possible > 0 ? fmt::format("at most --components={}", possible) : "--sampler=prior");
}

MixtureFit fit_group(const RunInUse& used, Workers& workers, const TrainingCodes& codes, const FitOf& of,
                     int64_t group) {
  const bool by_class = of.groups > 1 || used.run.model->conditional();
  const SharedPoints points =
      by_class && used.run.checkpoint.data.classes > 0 ? points_of_class(codes, group) : codes.points;
  const std::vector<std::string> names = texts_in_lines(used.run.checkpoint.data.class_names);
  const auto place = static_cast<size_t>(group);
  require_points(count_points(*used.world, points), of, used.run.model->latent_size(),
                 of.groups == 1 ? ""
                                : fmt::format(" of class {}",
                                              place < names.size() ? names[place] : std::to_string(group)));
  const auto seed = static_cast<uint64_t>(used.run.config->train.seed);
  return fit_mixture(*used.world, workers, points, {.components = of.components},
                     Key(seed).with("gmm").with(static_cast<uint64_t>(group)));
}

Mixtures fit_mixtures(const RunInUse& used, Workers& workers, const FitOf& of) {
  const TrainingCodes codes = codes_of_training_rows(used, workers, of.fitted_rows);
  const int64_t d = used.run.model->latent_size();
  Mixtures all = empty_mixtures(of.groups, of.components, d);
  double log_prob = 0;
  for (int64_t group = 0; group < of.groups; ++group) {
    const MixtureFit fit = fit_group(used, workers, codes, of, group);
    all.weights[group].copy_(fit.mixture.weights);
    all.means[group].copy_(fit.mixture.means);
    all.factors[group].copy_(fit.mixture.factors);
    log_prob += fit.log_prob / static_cast<double>(of.groups);
  }
  log::info(
      "{}: the sampler gmm is fitted to {} codes of training rows{}: log p(z) is {:.2f} nats on average",
      used.run.directory, count_points(*used.world, codes.points),
      of.groups > 1 ? fmt::format(" of {} classes", of.groups) : "", log_prob);
  return all;
}

class MixtureSampler final : public CodeSampler {
 public:
  MixtureSampler(const Mixtures& all, torch::Device device) {
    for (int64_t group = 0; group < all.weights.size(0); ++group)
      mixtures_.push_back(
          GaussianMixture{all.weights[group], all.means[group], all.factors[group]}.to(device));
  }

  // Of each class of the label that is there, in order.
  torch::Tensor sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) const override {
    if (mixtures_.size() == 1) return mixtures_.front().sample(n, noise);
    torch::Tensor z =
        torch::empty({n, mixtures_.front().dimensions()}, label.options().dtype(torch::kFloat32));
    for (size_t group = 0; group < mixtures_.size(); ++group) {
      const torch::Tensor own = label.eq(static_cast<int64_t>(group)).nonzero().squeeze(1);
      if (own.size(0) > 0) z.index_copy_(0, own, mixtures_[group].sample(own.size(0), noise));
    }
    return z;
  }

 private:
  std::vector<GaussianMixture> mixtures_;
};

// A run that others own may be read-only.
void keep_mixtures(const fs::path& path, Mixtures& mixtures, const FitOf& of) {
  try {
    write_mixtures(path, mixtures, of);
  } catch (const Error& error) {
    log::warning("the sampler is not kept, and will be fitted again: {}", error.what());
  }
}

}  // namespace

std::shared_ptr<const CodeSampler> open_mixture_sampler(const SamplerOptions& options, const RunInUse& used,
                                                        Workers& workers) {
  constexpr int64_t most_numbers = 1 << 22;  // of the covariances of a mixture: 32 MiB
  const torch::NoGradGuard no_grad;
  const SavedRun& run = used.run;
  const int64_t d = run.model->latent_size();
  if (d * d * options.components > most_numbers)
    usage_error(
        "--sampler=gmm: {} covariances of {} dimensions have too many numbers; expected "
        "components·dimensions² "
        "of at most {}; use fewer --components or --sampler=prior",
        options.components, d, most_numbers);
  const FitOf of{.fingerprint = run.checkpoint.fingerprint,
                 .components = options.components,
                 .fitted_rows = options.fitted_rows,
                 .groups = run.model->conditional() ? std::max<int64_t>(run.checkpoint.data.classes, 1) : 1};
  const fs::path path = fs::path(run.directory) / "samplers" / "gmm.h5";
  std::optional<Mixtures> kept;
  if (used.is_root()) kept = read_mixtures(path, of, d);
  torch::Tensor is_kept = torch::full({1}, kept ? 1 : 0, torch::kInt32);
  used.world->broadcast(is_kept, 0);
  Mixtures all = kept ? *kept : empty_mixtures(of.groups, of.components, d);
  if (is_kept.item<int>() == 0) {
    all = fit_mixtures(used, workers, of);
    if (used.is_root()) keep_mixtures(path, all, of);
  }
  for (torch::Tensor* tensor : all.tensors()) used.world->broadcast(*tensor, 0);
  return std::make_shared<MixtureSampler>(all, run.device);
}

}  // namespace elbo
