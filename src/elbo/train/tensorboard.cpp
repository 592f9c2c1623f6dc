#include "elbo/train/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <system_error>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/eval/evaluation_metrics.h"
#include "elbo/train/event_file.h"

namespace elbo {
namespace {

constexpr std::string_view events_prefix = "events.out.tfevents.", events_suffix = ".elbo";
constexpr int64_t most_steps = 2000;
constexpr std::string_view train_prefix = "train/";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// The files of elbo's own, in order; another program may have put its files there.
std::vector<std::filesystem::path> event_files(const std::filesystem::path& directory) {
  std::error_code ignored;
  std::vector<std::filesystem::path> files = entries_of(directory, ignored);
  std::erase_if(files, [](const std::filesystem::path& path) {
    const std::string name = path.filename();
    return !name.starts_with(events_prefix) || !name.ends_with(events_suffix);
  });
  std::ranges::sort(files);
  return files;
}

// Whether a run from `start` writes the event again.
bool is_written_again(const EventHead& event, const Progress& start) {
  if (event.step != start.step || !start.evaluation_pending) return event.step > start.step;
  return !event.tag.starts_with(train_prefix);
}

// Cuts the file before the first such event, or before what a kill left of one. A file without events goes.
void cut_back_events(const std::filesystem::path& path, const Progress& start) {
  const std::string content = read_file(path);
  RecordReader records(content);
  size_t kept = 0;
  bool any = false;
  while (records.next()) {
    const EventHead event = head_of(records.message());
    if (is_written_again(event, start)) break;
    any |= !event.tag.empty();
    kept = records.end();
  }
  std::error_code error;
  if (!any) {
    std::filesystem::remove(path, error);
  } else if (kept < content.size()) {
    std::filesystem::resize_file(path, kept, error);
  }
  if (error) fail("{}: cannot be cut back to step {}: {}", path.string(), start.step, error.message());
}

// A name after all that are there: files are read in the order of their names.
std::filesystem::path next_event_file(const std::filesystem::path& directory) {
  const std::vector<std::filesystem::path> files = event_files(directory);
  for (auto seconds = static_cast<int64_t>(now());; ++seconds) {
    std::filesystem::path path = directory / fmt::format("{}{:010}{}", events_prefix, seconds, events_suffix);
    if (files.empty() || path > files.back()) return path;
  }
}

void add_sample(const std::string& content, const std::filesystem::path& file, EventSummary& summary) {
  const bool given = file.stem().string().find("reconstruction") != std::string::npos;
  const std::string ending = file.extension(), tag = given ? "reconstructions" : "samples";
  if (ending == ".png") summary.png(tag, content);
  if (ending == ".wav") summary.wav(tag, content);
  // TensorBoard shows Markdown: four blanks keep each line as it is.
  if (ending == ".txt") summary.text(tag, "    " + join(split(content, '\n'), "\n    "));
}

}  // namespace

TensorBoard::TensorBoard(std::filesystem::path run_directory, const Progress& start, int64_t end_step)
    : directory_(std::move(run_directory)),
      end_step_(end_step),
      every_(std::max<int64_t>(1, (end_step + most_steps - 1) / most_steps)) {
  open(start);
}

void TensorBoard::open(const Progress& start) {
  file_.reset();
  complete_ = true;
  try {
    for (const std::filesystem::path& path : event_files(directory_)) cut_back_events(path, start);
    file_ = std::make_unique<AppendFile>(next_event_file(directory_));
    write(version_record(now()));
  } catch (const Error& error) {
    log::warning("{}; training continues without events for TensorBoard", error.what());
  }
}

void TensorBoard::go_back(const Progress& start) {
  if (file_) static_cast<void>(file_->flush());
  open(start);
}

void TensorBoard::report(const std::string& why) {
  if (!why.empty() && complete_)
    log::warning("{}/{}*: cannot be written: {}; training continues, events are written later",
                 directory_.string(), events_prefix, why);
  complete_ = why.empty();
}

void TensorBoard::write(const std::string& record) {
  if (file_) report(file_->append(record));
}

void TensorBoard::finish() {
  if (file_ && !complete_) report(file_->flush());
}

void TensorBoard::after_step(int64_t step, const StepReport& report, double samples_per_s) {
  if (step % every_ != 0 && step != end_step_) return;
  EventSummary summary;
  summary.scalar("train/loss", report.loss);
  for (const auto& [name, value] : report.terms) summary.scalar(fmt::format("train/{}", name), value);
  summary.scalar("train/lr", report.lr);
  summary.scalar("train/gradient_norm", report.gradient_norm);
  summary.scalar("train/samples_per_s", samples_per_s);
  write(summary.record(step, now()));
}

void TensorBoard::after_evaluation(int64_t step, const Evaluation& evaluation) {
  EventSummary summary;
  for (const auto& [name, value] : metrics_of(evaluation))
    summary.scalar(fmt::format("{}/{}", evaluation.split, name), value);
  if (!evaluation.kl_per_dim.empty())
    summary.bars(fmt::format("{}/kl_per_dim", evaluation.split), evaluation.kl_per_dim);
  if (!evaluation.code_uses.empty())
    summary.bars(fmt::format("{}/code_uses", evaluation.split),
                 {evaluation.code_uses.begin(), evaluation.code_uses.end()});
  write(summary.record(step, now()));
}

void TensorBoard::after_samples(int64_t step, const std::vector<std::filesystem::path>& files) {
  if (files.empty()) return;
  EventSummary summary;
  try {
    for (const std::filesystem::path& file : files) add_sample(read_file(file), file, summary);
  } catch (const Error& error) {
    log::warning("{}; TensorBoard does not show it", error.what());
  }
  if (!summary.empty()) write(summary.record(step, now()));
}

}  // namespace elbo
