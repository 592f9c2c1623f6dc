// A checkpoint: an HDF5 file that is there whole or not at all, proves itself by checksums, and does not know
// the number of ranks (docs/checkpoint_format.md). It is written and read by one process; loading runs no
// code.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/data/batch.h"

namespace elbo {

using NamedTensor = std::pair<std::string, torch::Tensor>;

// A tensor that a checkpoint will hold.
struct TensorShape {
  std::string name;
  std::vector<int64_t> sizes;
  torch::ScalarType type = torch::kFloat32;
};
// Rows of the first dimension of such a tensor; all of it where it has no dimensions.
struct TensorRows {
  size_t tensor = 0;  // its number
  int64_t first = 0;
  torch::Tensor values;
};

// How far a run has come: what of its state is not a tensor.
struct Progress {
  int64_t step = 0;                  // updates that were made
  std::optional<double> first_loss;  // the first finite loss of a step in training
  // Moving averages of the loss of finite steps, and of its distance from that (train.spike_factor).
  std::optional<double> loss_level, loss_spread;
  // The best validation loss so far, or what evaluate.best names, as lower_is_better() has it, and its step.
  std::optional<double> best_loss;
  int64_t best_step = 0;
  // The last that was better by evaluate.min_delta, and the number of evaluations since then.
  std::optional<double> gain_loss;
  int64_t stalled = 0;
  int64_t lr_drops = 0;             // of the schedule plateau
  bool evaluation_pending = false;  // an evaluation of this step was due and was interrupted
  std::optional<double> lr_factor;  // of the learning rate, after the run has diverged
};

// The whole state of a run, and what it belongs to.
struct Checkpoint : Progress {
  std::string fingerprint;  // of the parameters
  std::string config;       // resolved INI
  std::string dataset_fingerprint;
  DataShape data;                         // of the data set that the model was built for
  int64_t world_size = 1;                 // for information
  std::string cpu{};                      // where bits depend on it (run/cpu_bits.h)
  std::vector<NamedTensor> parameters{};  // in order of registration
  std::vector<NamedTensor> buffers{};
  std::vector<NamedTensor> optimizer{};  // "<phase>/<state>/<parameter>"
};

// Every field once, as visit(name, value, is_required): what writes, reads and broadcasts checkpoints goes
// over this list. A field that is not required is missing in files of earlier versions and keeps its default.
template <typename AnyCheckpoint, typename Visit>
void for_each_field(AnyCheckpoint& checkpoint, Visit&& visit) {
  visit("step", checkpoint.step, true);
  visit("fingerprint", checkpoint.fingerprint, true);
  visit("config", checkpoint.config, true);
  visit("dataset_fingerprint", checkpoint.dataset_fingerprint, true);
  visit("data_row", checkpoint.data.x, true);
  visit("data_kind", checkpoint.data.kind, true);
  visit("data_integer", checkpoint.data.integer_x, true);
  visit("data_bytes", checkpoint.data.bytes_x, false);
  visit("data_in_unit_interval", checkpoint.data.in_unit_interval, false);
  visit("data_masked", checkpoint.data.masked, false);
  visit("data_classes", checkpoint.data.classes, true);
  visit("data_label_features", checkpoint.data.label_features, true);
  visit("data_rows", checkpoint.data.rows, false);
  visit("data_tokens", checkpoint.data.tokens, false);
  visit("data_axes", checkpoint.data.axes, false);
  visit("data_class_names", checkpoint.data.class_names, false);
  visit("world_size", checkpoint.world_size, true);
  visit("cpu", checkpoint.cpu, false);
  visit("evaluation_pending", checkpoint.evaluation_pending, false);
  visit("first_loss", checkpoint.first_loss, false);
  visit("loss_level", checkpoint.loss_level, false);
  visit("loss_spread", checkpoint.loss_spread, false);
  visit("best_loss", checkpoint.best_loss, false);
  visit("best_step", checkpoint.best_step, false);
  visit("lr_factor", checkpoint.lr_factor, false);
  visit("gain_loss", checkpoint.gain_loss, false);
  visit("stalled", checkpoint.stalled, false);
  visit("lr_drops", checkpoint.lr_drops, false);
}

// In the same way its groups of tensors, as visit(name, tensors).
template <typename AnyCheckpoint, typename Visit>
void for_each_group(AnyCheckpoint& checkpoint, Visit&& visit) {
  visit("parameters", checkpoint.parameters);
  visit("buffers", checkpoint.buffers);
  visit("optimizer", checkpoint.optimizer);
}

constexpr int64_t checkpoint_format_version = 1;

// Writes to a temporary name, syncs, reads back and verifies, renames, syncs the folder. Throws Error (a full
// disk, …); then no file of that name has appeared. Training writes piece by piece (run/checkpoint_file.h).
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

// A checkpoint that is intact, in a format that only a newer elbo reads.
class NewerCheckpoint : public Error {
 public:
  explicit NewerCheckpoint(const std::string& message) : Error(ExitCode::usage, message) {}
};

// Reads and verifies everything; throws Error that names the file and what is damaged, or NewerCheckpoint.
Checkpoint read_checkpoint(const std::filesystem::path& path);

// RUN/checkpoints/step_%09d.h5
std::filesystem::path checkpoint_path(const std::filesystem::path& run_directory, int64_t step);

// Steps of the checkpoints in a run directory, ascending, by their names; temporary files are not among them.
std::vector<int64_t> checkpoint_steps(const std::filesystem::path& run_directory);

// Whether the file is as elbo wrote it, whatever it holds: a checkpoint of a newer version is intact, too.
bool is_intact(const std::filesystem::path& path);

// The newest checkpoint that verifies; others are named in a warning and passed over. None if all are
// damaged; throws NewerCheckpoint where a newer elbo can read one of them. Training may remove old ones at
// the same time.
std::optional<Checkpoint> newest_valid_checkpoint(const std::filesystem::path& run_directory);

}  // namespace elbo
