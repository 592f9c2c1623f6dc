#include "elbo/commands/samplers.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/comm/on_root.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t sampler_format_version = 1;

struct NamedSampler {
  std::string_view name;
  bool has_components, has_steps;  // which options have an effect
  std::unique_ptr<FittedSampler> (*make)(const SamplerOptions&, const RunInUse&);
};

constexpr std::array<NamedSampler, 4> fitted_samplers{{{"flow", false, true, make_flow_sampler},
                                                       {"gmm", true, false, make_gmm_sampler},
                                                       {"two_stage", false, true, make_two_stage_sampler},
                                                       {"vampprior", true, false, make_vampprior_sampler}}};

// Throws a usage Error where the option is set and the chosen sampler does not use it.
void refuse_without_effect(const std::string& option, const std::string& value, bool has_effect,
                           bool NamedSampler::*uses) {
  if (value == "auto" || has_effect) return;
  std::vector<std::string> names;
  for (const NamedSampler& named : fitted_samplers)
    if (named.*uses) names.push_back("--sampler=" + std::string(named.name));
  usage_error("--{}={}: has an effect on some fitted samplers only; add {}", option, value,
              join(names, " or "));
}

std::string digest_of(const std::vector<NamedTensor>& tensors) {
  Sha256 digest;
  for (const auto& [name, tensor] : tensors) digest.update(tensor.const_data_ptr(), tensor.nbytes());
  return digest.hex();
}

// The values of a sampler of a checkpoint, and their file.
struct KeptSampler {
  fs::path path;
  std::string name, fingerprint;  // of the checkpoint's parameters
  FittedSampler::FitSettings settings;
  std::vector<NamedTensor> tensors;

  void write() const {
    make_parent(path);
    AtomicFile target(path);
    {
      const auto lock = hdf5::lock();
      const hdf5::Handle file = hdf5::create_file(target.temporary_path());
      const hdf5::Handle root = hdf5::open_group(file, "/");
      hdf5::write_attribute(root, "format_version", sampler_format_version);
      hdf5::write_attribute(root, "sampler", name);
      hdf5::write_attribute(root, "fingerprint", fingerprint);
      for (const auto& [setting, value] : settings) hdf5::write_attribute(root, setting, value);
      hdf5::write_attribute(root, "sha256", digest_of(tensors));
      for (const auto& [tensor_name, tensor] : tensors) hdf5::write_tensor(file, "/" + tensor_name, tensor);
      hdf5::write_out(file, target.temporary_path());
    }
    target.commit();
  }

  // Whether the file is there, whole, and of the same fit; then the values are the file's.
  bool read() {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return false;
    try {
      const auto lock = hdf5::lock();
      const hdf5::Handle file = hdf5::open_file(path);
      const hdf5::Handle root = hdf5::open_group(file, "/");
      if (!is_of_this_fit(root)) return false;
      std::vector<NamedTensor> found;
      found.reserve(tensors.size());
      for (const auto& [tensor_name, tensor] : tensors) {
        const hdf5::Handle dataset = hdf5::open_dataset(file, "/" + tensor_name);
        if (hdf5::describe(dataset).shape != tensor.sizes().vec()) fail("{} has another shape", tensor_name);
        found.emplace_back(tensor_name, hdf5::read_tensor(dataset));
      }
      if (hdf5::read_text_attribute(root, "sha256") != digest_of(found))
        fail("it does not match its checksum");
      for (size_t i = 0; i < found.size(); ++i) tensors[i].second.copy_(found[i].second);
      return true;
    } catch (const Error& error) {
      log::warning("{}: is damaged, and fitted again: {}", path.string(), error.what());
      return false;
    }
  }

 private:
  bool is_of_this_fit(const hdf5::Handle& root) const {
    return hdf5::read_integer_attribute(root, "format_version") == sampler_format_version &&
           hdf5::read_text_attribute(root, "fingerprint") == fingerprint &&
           std::ranges::all_of(settings, [&](const auto& setting) {
             return hdf5::read_integer_attribute(root, setting.first) == setting.second;
           });
  }
};

// A run that others own may be read-only.
void keep(const KeptSampler& sampler) {
  try {
    sampler.write();
  } catch (const Error& error) {
    log::warning("the sampler is not kept, and will be fitted again: {}", error.what());
  }
}

}  // namespace

void SamplerOptions::bind(OptionTable& table) {
  std::vector<std::string> names{"prior"};
  for (const NamedSampler& named : fitted_samplers) names.emplace_back(named.name);
  table.add_choice(
      "sampler", sampler, std::move(names),
      "where codes z of samples come from; prior: p(z); the others are fitted to the codes of training rows, "
      "once for a checkpoint, and kept in the folder samplers of the run; flow: a masked autoregressive "
      "flow; "
      "gmm: a mixture of Gaussians; two_stage: a second VAE; vampprior: the posteriors of some training "
      "rows. "
      "For models conditioned on a class, each is fitted by class");
  table.add_number_or("components", components, {"auto"},
                      "gmm: Gaussians of a mixture, auto: 10; vampprior: training rows (of a class) at most "
                      "whose posteriors are the mixture, auto: 500",
                      Range::between(1, 1 << 20));
  table.add_number_or("sampler_steps", steps, {"auto"},
                      "flow, two_stage: optimiser steps of the fit, of 256 codes each; auto: 5000",
                      Range::between(1, 1e8));
}

std::shared_ptr<const CodeSampler> open_sampler(const SamplerOptions& options, const RunInUse& used,
                                                Workers& workers) {
  const auto* const named = std::ranges::find(fitted_samplers, options.sampler, &NamedSampler::name);
  const bool is_fitted = named != fitted_samplers.end();
  refuse_without_effect("components", options.components, is_fitted && named->has_components,
                        &NamedSampler::has_components);
  refuse_without_effect("sampler_steps", options.steps, is_fitted && named->has_steps,
                        &NamedSampler::has_steps);
  if (!is_fitted) return nullptr;
  const SavedRun& run = used.run;
  if (const std::string why = run.model->why_codes_have_no_density(); !why.empty())
    usage_error(
        "--sampler={}: {} has no codes that a distribution can be fitted to, as {}; use --sampler=prior",
        options.sampler, run.config->model->name(), why);
  const torch::NoGradGuard no_grad;
  std::shared_ptr<FittedSampler> sampler = named->make(options, used);
  KeptSampler kept{.path = fs::path(run.directory) / "samplers" / (options.sampler + ".h5"),
                   .name = options.sampler,
                   .fingerprint = run.checkpoint.fingerprint,
                   .settings = sampler->settings(),
                   .tensors = sampler->tensors()};
  torch::Tensor is_kept = torch::full({1}, used.is_root() && kept.read() ? 1 : 0, torch::kInt32);
  used.world->broadcast(is_kept, 0);
  if (is_kept.item<int>() == 0) {
    sampler->fit(used, workers);
    if (used.is_root()) keep(kept);
  }
  for (auto& [name, tensor] : kept.tensors) used.world->broadcast(tensor, 0);
  sampler->use_on(run.device);
  return sampler;
}

torch::Tensor generate_rows(Model& model, const CodeSampler* sampler, int64_t n, const torch::Tensor& label,
                            const ElementChoice& choice, RandomGenerator& noise) {
  if (sampler == nullptr) return model.generate_rows(n, label, choice, noise);
  return model.decode_as(sampler->sample(n, label, noise), label, choice);
}

}  // namespace elbo
