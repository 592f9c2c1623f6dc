#include "elbo/comm/host_ranks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

#include "elbo/base/file.h"

namespace elbo {
namespace {

using Variables = std::string;  // as in /proc/PID/environ: NAME=VALUE, each followed by '\0'

std::optional<std::string> value_of(const Variables& variables, std::string_view name) {
  for (size_t at = 0; at < variables.size();) {
    const std::string_view variable = variables.c_str() + at;
    if (variable.size() > name.size() && variable.starts_with(name) && variable[name.size()] == '=')
      return std::string(variable.substr(name.size() + 1));
    at += variable.size() + 1;
  }
  return std::nullopt;
}

// "" if there is no such process, or it belongs to another user.
Variables variables_of(int64_t process) {
  std::ifstream file(fmt::format("/proc/{}/environ", process), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// value(name): of an environment variable.
template <typename Value>
std::optional<int> rank_of(Value&& value) {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"})
    if (const std::optional<std::string> text = value(name))
      return static_cast<int>(std::strtol(text->c_str(), nullptr, 10));
  return std::nullopt;
}

std::optional<std::string> own_value(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

std::optional<int> launched_rank() { return rank_of(own_value); }

std::vector<RankState> stuck_ranks(const std::string& host) {
  const ProcessState self = process_state(::getpid());
  const std::optional<std::string> job = own_value("PMIX_NAMESPACE");
  std::vector<RankState> stuck;
  std::error_code ignored;  // without /proc nothing is known
  for (const std::filesystem::path& entry : entries_of("/proc", ignored)) {
    const std::string name = entry.filename();
    int64_t process = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), process).ec != std::errc()) continue;
    const ProcessState state = process_state(process);
    if (std::string_view("ZTtD").find(state.letter) == std::string_view::npos) continue;
    const Variables variables = variables_of(process);
    const auto rank = rank_of([&](const char* variable) { return value_of(variables, variable); });
    const bool same_job = job ? value_of(variables, "PMIX_NAMESPACE") == job : state.parent == self.parent;
    if (!rank || !same_job) continue;
    stuck.emplace_back();
    stuck.back().rank = *rank;
    stuck.back().host = host;
    stuck.back().process = process;
    stuck.back().state = state.letter;
  }
  return stuck;
}

}  // namespace elbo
