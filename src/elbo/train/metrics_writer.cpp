#include "elbo/train/metrics_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/run/run_lines.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

using nlohmann::ordered_json;

// Whether the line is of a step that a run from `start` takes again, or of its evaluation.
bool is_repeated(const ordered_json& line, const Progress& start) {
  const auto step = line["step"].get<int64_t>();
  if (step != start.step || !start.evaluation_pending) return step > start.step;
  return line.value("split", "") != "train";
}

// Removes the lines of steps that the resumed run takes again, and lines that are not of elbo.
void cut_back(const fs::path& path, const Progress& start) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const std::optional<ordered_json> parsed = parse_run_line(line);
    if (parsed && !is_repeated(*parsed, start)) kept += line + "\n";
  }
  write_file(path, kept);
}

ordered_json number(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}

// Times to a microsecond and rates to a tenth: more digits of a clock are noise, and a third of a line.
double rounded(double value, double parts) { return std::round(value * parts) / parts; }
double rounded_seconds(double seconds) { return rounded(seconds, 1e6); }

using NamedValues = std::vector<std::pair<std::string, double>>;

// Moving averages; of other values than before, the values themselves.
NamedValues averages(const NamedValues& before, NamedValues now) {
  const auto name = &NamedValues::value_type::first;
  if (std::ranges::equal(before, now, {}, name, name))
    for (size_t i = 0; i < now.size(); ++i) now[i].second = 0.98 * before[i].second + 0.02 * now[i].second;
  return now;
}

// The values after the loss, such as "  (reconstruction 85.1, kl 24.9)".
std::string parts_text(const NamedValues& values) {
  std::string text;
  for (size_t i = 1; i < values.size(); ++i)
    text += fmt::format("{}{} {:.4g}", i == 1 ? "  (" : ", ", values[i].first, values[i].second);
  return text.empty() ? "" : text + ")";
}

// What distinguishes ranks is left out where there is only one.
ordered_json step_seconds(const StepReport& report) {
  const StepSeconds& seconds = report.seconds;
  ordered_json json{{"compute", rounded_seconds(seconds.compute)},
                    {"forward", rounded_seconds(seconds.forward)},
                    {"exchange", rounded_seconds(seconds.exchange)},
                    {"update", rounded_seconds(seconds.update)}};
  if (report.ranks.size() == 1) return json;
  json.update({{"rank_0", rounded_seconds(seconds.rank_0)},
               {"slowest_rank", seconds.slowest_rank},
               {"fastest", rounded_seconds(seconds.fastest)},
               {"overlapped", rounded_seconds(seconds.overlapped)},
               {"publish", rounded_seconds(seconds.publish)}});
  return json;
}

}  // namespace

MetricsWriter::MetricsWriter(const RunPlan& plan, bool is_root, const std::vector<RankPlace>& places)
    : plan_(plan), last_line_step_(plan.start.step), ranks_(places) {
  if (!is_root) return;
  const fs::path path = fs::path(plan.directory) / "metrics.jsonl";
  cut_back(path, plan.start);
  file_.emplace(path);
  if (plan.tensorboard && !plan.is_over(plan.start))
    tensorboard_.emplace(plan.directory, plan.start, plan.end_step);
}

void MetricsWriter::go_back(const Progress& start) {
  last_line_step_ = start.step;
  if (!file_) return;
  const fs::path path = fs::path(plan_.directory) / "metrics.jsonl";
  try {
    static_cast<void>(file_->flush());
    cut_back(path, start);
    file_.emplace(path);
  } catch (const Error& error) {
    log::warning("{}; lines of steps that are taken again stay in it", error.what());
  }
  if (tensorboard_) tensorboard_->go_back(start);
}

void MetricsWriter::write_line(const std::string& line) {
  if (!file_) return;
  const std::string why = file_->append(line + "\n");
  if (!why.empty() && complete_)
    log::warning("{}/metrics.jsonl: cannot be written: {}; training continues, its lines are written later",
                 plan_.directory, why);
  if (why.empty() && !complete_) log::info("{}/metrics.jsonl is complete again", plan_.directory);
  complete_ = why.empty();
}

void MetricsWriter::after_step(int64_t step, const StepReport& report) {
  if (!file_) return;
  if (plan_.metrics_due(step)) {
    const double since = std::chrono::duration<double>(Clock::now() - last_line_).count();
    const auto samples = static_cast<double>((step - last_line_step_) * plan_.batch);
    last_line_ = Clock::now();
    last_line_step_ = step;
    ordered_json line{{"step", step},
                      {"epoch", plan_.epochs(step)},
                      {"split", "train"},
                      {"phase", report.phase},
                      {"loss", number(report.loss)},
                      {"terms", ordered_json::object()},
                      {"lr", report.lr},
                      {"gradient_norm", number(report.gradient_norm)},
                      {"samples_per_s", number(rounded(samples / since, 10))},
                      {"seconds", rounded_seconds(seconds())},
                      {"data_wait_seconds", rounded_seconds(report.data_wait)},
                      {"step_seconds", step_seconds(report)}};
    if (report.memory)
      line["device_memory"] = {{"allocated", report.memory->allocated},
                               {"peak", report.memory->peak},
                               {"total", report.memory->total}};
    for (const auto& [name, value] : report.terms) line["terms"][name] = number(value);
    if (!report.finite) line["skipped"] = true;
    write_line(line.dump());
    if (tensorboard_) tensorboard_->after_step(step, report, samples / since);
  }
  ranks_.add(report.ranks);
  show_progress(step, report);
}

void MetricsWriter::show_progress(int64_t step, const StepReport& report) {
  // The losses of two phases have different meanings.
  const bool first = report.phase != shown_phase_;
  if (first && !shown_phase_.empty())
    log::info("from step {} the phase {} is trained: loss is that of {} from now on", step, report.phase,
              report.phase);
  shown_phase_ = report.phase;
  if (first) shown_.clear();
  if (report.finite) {
    NamedValues now = report.terms;
    now.insert(now.begin(), {"loss", report.loss});
    shown_ = averages(shown_, std::move(now));
  }
  const double rate = static_cast<double>(step - plan_.start.step) / seconds();
  const double waiting = std::min(1.0, ranks_.data_wait() / seconds());
  log::progress(
      fmt::format("epoch {:.2f}  step {}/{}  loss {:.3f}  {:.0f} samples/s  waiting {:.0f} %  {} to go{}",
                  plan_.epochs(step), step, plan_.end_step,
                  shown_.empty() ? report.loss : shown_.front().second,
                  rate * static_cast<double>(plan_.batch), 100 * waiting,
                  human_duration(static_cast<double>(plan_.end_step - step) / rate), parts_text(shown_)),
      10.0, step == plan_.end_step || report.stop);
}

void MetricsWriter::after_evaluation(int64_t step, const Evaluation& evaluation, bool is_best) {
  if (!file_) return;
  ordered_json line{{"step", step},
                    {"epoch", plan_.epochs(step)},
                    {"split", evaluation.split},
                    {"loss", number(evaluation.loss)},
                    {"terms", ordered_json::object()}};
  for (const auto& [name, value] : evaluation.terms) line["terms"][name] = number(value);
  if (evaluation.nll) line["nll"] = number(*evaluation.nll);
  if (evaluation.ndcg_100) line["ndcg_100"] = number(*evaluation.ndcg_100);
  if (evaluation.recall_20) line["recall_20"] = number(*evaluation.recall_20);
  if (evaluation.recall_50) line["recall_50"] = number(*evaluation.recall_50);
  if (evaluation.active_units) line["active_units"] = *evaluation.active_units;
  if (!evaluation.kl_per_dim.empty()) {
    line["kl_per_dim"] = ordered_json::array();
    for (const double kl : evaluation.kl_per_dim) line["kl_per_dim"].push_back(number(kl));
  }
  if (!evaluation.code_uses.empty()) line["code_uses"] = evaluation.code_uses;
  line["seconds"] = rounded_seconds(seconds());
  write_line(line.dump());
  if (tensorboard_) tensorboard_->after_evaluation(step, evaluation);
  log::info("{} after step {}: loss {:.3f}{}", evaluation.split, step, evaluation.loss,
            is_best ? ", the best so far" : "");
}

void MetricsWriter::after_samples(int64_t step, const std::vector<std::filesystem::path>& files) {
  if (tensorboard_) tensorboard_->after_samples(step, files);
}

void MetricsWriter::finish() {
  if (tensorboard_) tensorboard_->finish();
  if (!file_ || complete_) return;
  std::string why = file_->flush();
  for (int seconds = 1; !why.empty() && seconds <= 8; seconds *= 2) {
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    why = file_->flush();
  }
  if (!why.empty()) fail("{}/metrics.jsonl: its last lines cannot be written: {}", plan_.directory, why);
}

}  // namespace elbo
