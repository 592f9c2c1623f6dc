#include "elbo/train/bad_rows.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "elbo/base/append_file.h"
#include "elbo/base/error.h"
#include "elbo/base/host.h"
#include "elbo/base/log.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

constexpr int64_t rows_of_a_rank = 8;  // at most that many are reported

// JSON has no numbers for them.
ordered_json any_number(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(fmt::format("{}", value));
}

ordered_json describe_row(const Batch& batch, int64_t row, bool with_values) {
  const torch::Tensor values = batch.x[row].flatten().cpu();
  const int64_t element = values.abs().argmax().item<int64_t>();
  ordered_json json{{"row", batch.ids[row].item<int64_t>()},
                    {"largest", any_number(values[element].item<double>())},
                    {"element", element}};
  if (with_values) {
    json["values"] = ordered_json::array();
    for (int64_t i = 0; i < values.numel(); ++i)
      json["values"].push_back(any_number(values[i].item<double>()));
  }
  return json;
}

// The first term of each row that is not finite. Where samples are coupled, a term is of the whole
// microbatch.
void add_bad_terms(const LossTerms& terms, const Batch& batch, bool with_values, ordered_json& rows) {
  auto all = terms.parts;
  all.emplace_back("loss", terms.loss.detach());
  const auto count = static_cast<int64_t>(rows.size());
  for (int64_t row = 0; row < batch.size() && static_cast<int64_t>(rows.size()) < rows_of_a_rank; ++row)
    for (const auto& [name, tensor] : all) {
      const torch::Tensor value = tensor.dim() == 0 ? tensor : tensor[row];
      if (value.isfinite().all().item<bool>()) continue;
      ordered_json json{{"term", name}, {"value", any_number(value.sum().item<double>())}};
      json.update(describe_row(batch, row, with_values));
      rows.push_back(std::move(json));
      break;
    }
  if (terms.loss.dim() == 0 && static_cast<int64_t>(rows.size()) > count + 1)  // the row is not known
    rows.erase(rows.begin() + count + 1, rows.end());
}

// The row of the largest loss among this rank's, after a spike.
ordered_json own_worst_row(DataParallelStep& step, int64_t number, bool with_values) {
  ordered_json found = ordered_json::array();
  double most = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < step.local_microbatches().size(); ++i) {
    const Batch& batch = step.batches()[static_cast<size_t>(i)];
    const torch::Tensor losses =
        step.recompute(0, number - 1, step.local_microbatches().first + i).loss.detach().cpu();
    if (losses.dim() == 0 || losses.max().item<double>() <= most)
      continue;  // of coupled rows none is the worst
    most = losses.max().item<double>();
    ordered_json line{{"step", number},
                      {"phase", step.phases().front().name},
                      {"rank", step.comm().rank()},
                      {"host", host_name()},
                      {"term", "loss"},
                      {"value", most}};
    line.update(describe_row(batch, losses.argmax().item<int64_t>(), with_values));
    found = ordered_json::array({line});
  }
  return found;
}

// What this rank has to say, as lines of bad_rows.jsonl.
ordered_json own_bad_rows(DataParallelStep& step, int64_t number, bool with_values) {
  ordered_json found = ordered_json::array();
  for (size_t phase = 0; phase < step.phases().size(); ++phase) {
    if (!step.phases()[phase].active(number - 1)) continue;
    ordered_json rows = ordered_json::array();
    for (int64_t i = 0; i < step.local_microbatches().size(); ++i) {
      const Batch& batch = step.batches()[static_cast<size_t>(i)];
      if (static_cast<int64_t>(rows.size()) >= rows_of_a_rank || !batch.x.defined()) break;
      const LossTerms terms = step.recompute(phase, number - 1, step.local_microbatches().first + i);
      add_bad_terms(terms, batch, with_values, rows);
    }
    if (const std::string layer = rows.empty() ? step.nonfinite_gradient(phase) : ""; !layer.empty())
      rows.push_back({{"layer", layer}});
    for (ordered_json& row : rows) {
      ordered_json line{{"step", number},
                        {"phase", step.phases()[phase].name},
                        {"rank", step.comm().rank()},
                        {"host", host_name()}};
      line.update(row);
      found.push_back(std::move(line));
    }
  }
  return found;
}

std::string sentence(const ordered_json& line) {
  const std::string where = fmt::format("on rank {}", line["rank"].get<int>());
  if (line.contains("layer"))
    return fmt::format("the gradient of {} is not finite, with losses that are ({})",
                       line["layer"].get<std::string>(), where);
  return fmt::format("{} of training row {} is {}; the row's largest value is {}, in element {} ({})",
                     line["term"].get<std::string>(), line["row"].get<int64_t>(), line["value"].dump(),
                     line["largest"].dump(), line["element"].get<int64_t>(), where);
}

void dump(const RunPlan& plan, const ordered_json& lines) {
  const std::filesystem::path path = std::filesystem::path(plan.directory) / "bad_rows.jsonl";
  std::string text;
  for (const ordered_json& line : lines) text += line.dump() + "\n";
  try {
    AppendFile file(path);
    if (const std::string why = file.append(text); !why.empty())
      log::warning("{}: cannot be written: {}", path.string(), why);
  } catch (const Error& error) {
    log::warning("{}", error.what());
  }
}

}  // namespace

void report_bad_rows(const RunPlan& plan, DataParallelStep& step, int64_t number, bool spike) {
  const std::string own = (spike ? own_worst_row(step, number, plan.dump_bad_rows)
                                 : own_bad_rows(step, number, plan.dump_bad_rows))
                              .dump();
  ordered_json all = ordered_json::array();
  for (const std::string& rank : all_gather_text(step.comm(), own))
    for (const ordered_json& line : ordered_json::parse(rank)) all.push_back(line);
  if (step.comm().rank() != 0) return;
  if (spike && all.size() > 1)  // one of each rank
    all = ordered_json::array({*std::ranges::max_element(
        all, {}, [](const ordered_json& line) { return line["value"].get<double>(); })});
  // A row says more than the gradient that it made.
  const auto row = std::ranges::find_if(all, [](const ordered_json& line) { return line.contains("row"); });
  const auto first = row != all.end() ? row : all.begin();
  log::warning("step {} is skipped{}: {}{}", number,
               spike ? " for the size of its loss (train.spike_factor)" : "",
               first == all.end() ? spike ? "no row is known" : "the loss or its gradient is not finite"
                                  : sentence(*first),
               all.size() > 1 ? fmt::format("; and {} more", all.size() - 1) : "");
  if (plan.dump_bad_rows) dump(plan, all);
}

}  // namespace elbo
