#include "elbo/train/run_events.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/eval/evaluation_metrics.h"
#include "elbo/run/checkpoint.h"

namespace elbo {
namespace {

using EventJson = nlohmann::ordered_json;

std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

EventJson event(const char* name, int64_t step) {
  return {{"event", name}, {"step", step}, {"time", time_now()}};
}

// A path or a message need not be UTF-8.
std::string text_of(const EventJson& json) {
  return json.dump(-1, ' ', false, EventJson::error_handler_t::replace);
}

}  // namespace

RunEvents::RunEvents(const RunPlan& plan, bool is_root) : plan_(plan) {
  if (!is_root || plan.is_over(plan.start)) return;
  hooks_.emplace();
  try {
    file_.emplace(std::filesystem::path(plan.directory) / "events.jsonl");
  } catch (const Error& error) {
    log::warning("{}; training continues without it", error.what());
  }
  EventJson line = event(plan.start.step > 0 ? "resumed" : "started", plan.start.step);
  if (!plan.changes.empty()) line["changes"] = plan.changes;
  write(text_of(line));
}

void RunEvents::write(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (!file_) return;
  const std::string why = file_->append(line + "\n");
  if (!why.empty() && complete_)
    log::warning("{}/events.jsonl: cannot be written: {}; training continues", plan_.directory, why);
  complete_ = why.empty();
}

void RunEvents::after_evaluation(int64_t step, const Evaluation& evaluation, bool is_best) {
  if (!hooks_) return;
  EventJson json = event("evaluation", step);
  json["directory"] = plan_.directory;
  json["split"] = evaluation.split;
  json["best"] = is_best;
  for (const auto& [name, value] : metrics_of(evaluation))
    json["metrics"][name] = std::isfinite(value) ? EventJson(value) : EventJson(nullptr);
  hooks_->run("hooks.on_evaluation", plan_.hooks.on_evaluation, text_of(json));
}

void RunEvents::after_checkpoint(int64_t step, bool is_best) {
  if (!hooks_) return;
  EventJson json = event("checkpoint", step);
  json["best"] = is_best;
  write(text_of(json));
  json["directory"] = plan_.directory;
  json["path"] = checkpoint_path(plan_.directory, step).string();
  if (hooks_) hooks_->run("hooks.on_checkpoint", plan_.hooks.on_checkpoint, text_of(json));
}

void RunEvents::after_skip(int64_t step) { write(text_of(event("skipped", step))); }

void RunEvents::go_back(int64_t from, int64_t to, const std::string& why) {
  EventJson json = event("went_back", from);
  json["to"] = to;
  json["why"] = why;
  write(text_of(json));
}

void RunEvents::change_lr(int64_t step, double lr, const std::string& why) {
  EventJson json = event("learning_rate", step);
  json["lr"] = lr;
  json["why"] = why;
  write(text_of(json));
}

void RunEvents::end(const RunEnd& end) {
  if (!hooks_) return;
  EventJson json = event("ended", end.step);
  json["how"] = end.how;
  if (!end.fingerprint.empty()) json["fingerprint"] = end.fingerprint;
  if (!end.error.empty()) json["error"] = end.error;
  write(text_of(json));
  json["directory"] = plan_.directory;
  if (hooks_) hooks_->run("hooks.on_end", plan_.hooks.on_end, text_of(json));
}

}  // namespace elbo
