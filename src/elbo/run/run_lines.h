// Lines of a run's metrics.jsonl and events.jsonl.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace elbo {

// A line as elbo writes it: an object with the step, and a split or the name of an event; what elbo writes as
// a text, a number, numbers by name or a list is one. None for other lines, which somebody else wrote or a
// kill cut off.
std::optional<nlohmann::ordered_json> parse_run_line(const std::string& line);

}  // namespace elbo
