// What a report shows of a run, as JSON: what its files have, and what its model computes. It is bounded:
// curves have a fixed number of points, images a fixed number of pixels.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace elbo {

struct ReportLimits {
  int64_t points = 800;          // of a curve
  int64_t steps = 120;           // of the KL over time
  int64_t dimensions = 64;       // of the KL over time
  int64_t image_bytes = 600000;  // of the samples over time
};

// Name, configuration, curves, KL of each latent dimension, events, samples; "state": finished, if it was
// evaluated after its last step, or at which step it is. Throws a usage Error where the
// folder holds no run.
nlohmann::ordered_json report_of_files(const std::filesystem::path& run, const ReportLimits& limits);

// Reconstructions, traversals and a map of the latent space, of the newest checkpoint, computed by one rank.
// What cannot be computed is a sentence in "notes".
nlohmann::ordered_json report_of_model(const std::string& run, const ReportLimits& limits);

// "data:image/png;base64,…"
std::string data_address(const std::string& type, const std::string& bytes);

// A number with five digits, which is all that a chart shows; null where it is not finite.
nlohmann::ordered_json short_number(double value);

}  // namespace elbo
