#include "elbo/train/coordinator.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

using nlohmann::ordered_json;

// Lines of steps that the resumed run will take again would otherwise stand there twice. A last line cut
// short by a kill goes, too.
void cut_back(const fs::path& path, int64_t step, bool evaluates_again) {
  if (!fs::exists(path)) return;
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    if (parsed.is_discarded()) continue;
    const auto done = parsed.value("step", step + 1);
    const bool comes_again = done == step && evaluates_again && parsed.value("split", "") != "train";
    if (done <= step && !comes_again) kept += line + "\n";
  }
  write_file(path, kept);
}

ordered_json number(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr);
}

}  // namespace

Coordinator::Coordinator(const RunConfig& config, bool is_root, int64_t rows, int64_t first_step,
                         int64_t end_step, bool evaluates_again)
    : config_(config),
      is_root_(is_root),
      rows_(rows),
      first_step_(first_step),
      end_step_(end_step),
      directory_(config.directory()),
      last_line_step_(first_step) {
  if (!is_root_) return;
  const fs::path path = directory_ / "metrics.jsonl";
  cut_back(path, first_step, evaluates_again);
  metrics_.open(path, std::ios::app);
  if (!metrics_) usage_error("{}: cannot be written; check the folder's permissions", path.string());
}

void Coordinator::restore_best(std::optional<double> loss, int64_t step) {
  best_loss_ = loss;
  best_step_ = step;
}

bool Coordinator::evaluation_due(int64_t done) const {
  const std::string& every = config_.evaluate.every;
  if (every == "never") return false;
  if (done == end_step_) return true;
  if (every == "epoch") return done * config_.train.batch / rows_ > (done - 1) * config_.train.batch / rows_;
  int64_t steps = 1;
  std::from_chars(every.data(), every.data() + every.size(), steps);
  return done % steps == 0;
}

bool Coordinator::checkpoint_due(int64_t done) const {
  const int64_t every = config_.checkpoint.every_steps;
  return done == end_step_ || (every > 0 && done % every == 0);
}

bool Coordinator::wants_checkpoint() const {
  const double minutes = config_.checkpoint.every_minutes;
  return is_root_ && minutes > 0 &&
         std::chrono::duration<double>(Clock::now() - last_checkpoint_).count() >= minutes * 60;
}

double Coordinator::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Coordinator::write_line(const std::string& line) {
  metrics_ << line << '\n' << std::flush;
  if (!metrics_) fail("{}: cannot be written: is the disk full?", (directory_ / "metrics.jsonl").string());
}

void Coordinator::after_step(int64_t done, const StepReport& report) {
  if (!is_root_) return;
  const double epoch = static_cast<double>(done * config_.train.batch) / static_cast<double>(rows_);
  if (done % config_.run.metrics_every == 0 || done == end_step_) {
    const double since = std::chrono::duration<double>(Clock::now() - last_line_).count();
    const auto samples = static_cast<double>((done - last_line_step_) * config_.train.batch);
    last_line_ = Clock::now();
    last_line_step_ = done;
    ordered_json line{{"step", done},
                      {"epoch", epoch},
                      {"split", "train"},
                      {"loss", number(report.loss)},
                      {"terms", ordered_json::object()},
                      {"lr", report.lr},
                      {"gradient_norm", number(report.gradient_norm)},
                      {"samples_per_s", number(samples / since)},
                      {"seconds", seconds()},
                      {"data_wait_seconds", report.data_wait},
                      {"step_seconds",
                       {{"compute", report.seconds.compute},
                        {"rank_0", report.seconds.rank_0},
                        {"slowest_rank", report.seconds.slowest_rank},
                        {"fastest", report.seconds.fastest},
                        {"overlapped", report.seconds.overlapped},
                        {"exchange", report.seconds.exchange},
                        {"update", report.seconds.update},
                        {"publish", report.seconds.all_gather_parameters}}}};
    if (report.memory)
      line["device_memory"] = {{"allocated", report.memory->allocated},
                               {"peak", report.memory->peak},
                               {"total", report.memory->total}};
    for (const auto& [name, value] : report.terms) line["terms"][name] = number(value);
    if (!report.finite) line["skipped"] = true;
    write_line(line.dump());
  }
  const bool first = done == first_step_ + 1;
  if (report.finite) shown_loss_ = first ? report.loss : 0.98 * shown_loss_ + 0.02 * report.loss;
  const double rate = static_cast<double>(done - first_step_) / seconds();
  log::progress(fmt::format("epoch {:.2f}  step {}/{}  loss {:.3f}  {:.0f} samples/s  {} to go", epoch, done,
                            end_step_, shown_loss_, rate * static_cast<double>(config_.train.batch),
                            human_duration(static_cast<double>(end_step_ - done) / rate)),
                10.0, done == end_step_ || report.stop);
}

bool Coordinator::after_evaluation(int64_t done, const Evaluation& evaluation) {
  const bool best = evaluation.split == "validation" && std::isfinite(evaluation.loss) &&
                    (!best_loss_ || evaluation.loss < *best_loss_);
  if (best) {
    best_loss_ = evaluation.loss;
    best_step_ = done;
  }
  if (is_root_) {
    ordered_json line{{"step", done},
                      {"epoch", static_cast<double>(done * config_.train.batch) / static_cast<double>(rows_)},
                      {"split", evaluation.split},
                      {"loss", number(evaluation.loss)},
                      {"terms", ordered_json::object()}};
    for (const auto& [name, value] : evaluation.terms) line["terms"][name] = number(value);
    if (evaluation.nll) line["nll"] = number(*evaluation.nll);
    line["seconds"] = seconds();
    write_line(line.dump());
    log::info("{} after step {}: loss {:.3f}{}", evaluation.split, done, evaluation.loss,
              best ? ", the best so far" : "");
  }
  return best;
}

void Coordinator::after_checkpoint(int64_t done, bool best) {
  last_checkpoint_ = Clock::now();
  if (!is_root_) return;
  if (best) {
    const fs::path link = directory_ / "checkpoints" / "best.h5";
    const fs::path fresh = link.string() + ".partial";
    fs::remove(fresh);
    fs::create_symlink(checkpoint_path(directory_, done).filename(), fresh);
    fs::rename(fresh, link);
  }
  const CheckpointOptions& keep = config_.checkpoint;
  if (keep.keep_last == 0) return;
  std::vector<int64_t> steps = checkpoint_steps(directory_);
  std::erase_if(steps, [&](int64_t step) { return step > done; });  // of a longer history, not this run's
  if (steps.size() <= static_cast<size_t>(keep.keep_last)) return;
  steps.resize(steps.size() - static_cast<size_t>(keep.keep_last));
  for (const int64_t step : steps)
    if (!(best_loss_ && step == best_step_) && !(keep.keep_every > 0 && step % keep.keep_every == 0))
      fs::remove(checkpoint_path(directory_, step));
}

}  // namespace elbo
