// Lines of a run's metrics.jsonl and events.jsonl.
#pragma once
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace elbo {

// A line as elbo writes it: an object with the step, and a split or the name of an event; what elbo writes as
// a text, a number, numbers by name or a list is one. None for other lines, which somebody else wrote or a
// kill cut off.
std::optional<nlohmann::ordered_json> parse_run_line(const std::string& line);

// Opens a file of such lines; the stream fails where there is none. Throws a usage Error where it is not a
// regular file or cannot be read.
std::ifstream open_run_lines(const std::filesystem::path& path);

}  // namespace elbo
