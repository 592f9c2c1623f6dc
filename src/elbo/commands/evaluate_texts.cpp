// How many drawn texts are valid, different and new, by a command that knows what a valid text is: such as a
// parser of SMILES or a compiler.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <unordered_set>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/shell_command.h"
#include "elbo/base/text.h"
#include "elbo/comm/on_root.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

std::string joined_lines(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) {
    for (const char letter : text) all += letter == '\n' || letter == '\r' ? ' ' : letter;
    all += '\n';
  }
  return all;
}

std::vector<std::string> lines_of(const std::string& output) {
  std::vector<std::string> lines;
  std::istringstream stream(output);
  for (std::string line; std::getline(stream, line);) lines.push_back(trim(line));
  return lines;
}

class Texts final : public Measure {
 public:
  Texts(const MeasureOptions& options, const MeasuredRun& measured)
      : options_(options), measured_(measured) {}

  std::string refusal() override {
    if (measured_.used.run.checkpoint.data.tokens == 0) return "the rows are not texts";
    return options_.validity.empty() ? "there is no command that judges them; expected --validity=COMMAND"
                                     : "";
  }

  ordered_json result() override {
    const torch::Tensor tokens = drawn_tokens();
    return on_root<ordered_json>(*measured_.used.world, [&] { return judged(tokens); });
  }

 private:
  // (samples, time) on rank 0.
  torch::Tensor drawn_tokens() const {
    const RunInUse& used = measured_.used;
    const torch::Tensor label = labels_for(used.run, "", options_.samples);
    const Key key = Key(measured_.how.seed).with("evaluate").with("texts");
    SamplerOptions sampling = options_.sampler;
    sampling.fitted_rows = options_.fitted_rows;
    const std::shared_ptr<const CodeSampler> sampler = open_sampler(sampling, used, measured_.workers);
    return measured_.collect(
        options_.samples, used.run.checkpoint.data.x.front(),
        [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
          RandomGenerator noise(key.with(static_cast<uint64_t>(microbatch)), used.run.device);
          RandomGenerator of_elements(key.with("elements").with(static_cast<uint64_t>(microbatch)),
                                      used.run.device);
          const torch::Tensor condition = label.defined() ? label.slice(0, first, end) : label;
          return generate_rows(measured_.model(worker), sampler.get(), end - first, condition,
                               {.how = Elements::drawn, .noise = &of_elements}, noise);
        });
  }

  ordered_json judged(const torch::Tensor& tokens) const {
    const std::vector<std::string> texts = measured_.used.run.dataset->vocabulary().texts(tokens);
    const std::vector<std::string> lines =
        lines_of(output_of("--validity", options_.validity, joined_lines(texts)));
    if (lines.size() != texts.size())
      usage_error(
          "--validity={}: printed {} lines for {} texts; expected a line for each, empty where a text is not "
          "valid",
          options_.validity, lines.size(), texts.size());
    std::unordered_set<std::string> different;
    int64_t valid = 0;
    for (const std::string& line : lines) {
      if (line.empty()) continue;
      ++valid;
      different.insert(line);
    }
    const auto share = [](int64_t part, int64_t all) {
      return all == 0 ? ordered_json(nullptr)
                      : ordered_json(static_cast<double>(part) / static_cast<double>(all));
    };
    const int64_t unique = std::ssize(different);
    const Dataset& data = *measured_.used.run.dataset;
    return {{"command", options_.validity},
            {"sampler", options_.sampler.sampler},
            {"drawn", std::ssize(texts)},
            {"valid", share(valid, std::ssize(texts))},
            {"unique", share(unique, valid)},
            {"novel", data.has("train") ? share(unique - seen_in_training(different), unique)
                                        : ordered_json(nullptr)}};
  }

  // How many of them are rows of the training split.
  int64_t seen_in_training(const std::unordered_set<std::string>& texts) const {
    constexpr int64_t at_once = 8192;
    const RowSource& rows = measured_.used.run.dataset->split("train");
    const Vocabulary vocabulary = measured_.used.run.dataset->vocabulary();
    std::unordered_set<std::string> seen;
    for (int64_t first = 0; first < rows.rows(); first += at_once) {
      std::vector<int64_t> ids = all_ids(std::min(at_once, rows.rows() - first));
      for (int64_t& id : ids) id += first;
      for (const std::string& text : vocabulary.texts(rows.read(ids).x))
        if (texts.contains(text)) seen.insert(text);
    }
    return std::ssize(seen);
  }

  MeasureOptions options_;
  MeasuredRun measured_;
};

}  // namespace

std::unique_ptr<Measure> measure_of_texts(const MeasureOptions& options, const MeasuredRun& measured) {
  return std::make_unique<Texts>(options, measured);
}

}  // namespace elbo
