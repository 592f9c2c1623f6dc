// A run on disk, opened to use its model: what every command but train begins with.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/data/dataset.h"
#include "elbo/models/model.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

struct SavedRun {
  std::string directory;
  std::unique_ptr<RunConfig> config;  // as the checkpoint keeps it
  Checkpoint checkpoint;
  std::unique_ptr<Dataset> dataset;  // config.data, or `data_path` in its place; null if not asked for
  std::shared_ptr<Model> model;      // with the checkpoint's parameters, on the device
  torch::Device device = torch::kCPU;
  bool names_data = false;  // the user named the data set
  std::string data_path{};  // of the run's own data set

  // The model and copies of it, one for each worker.
  std::vector<std::shared_ptr<Model>> replicas(int workers) const;

  // Rows [first, end) of a split of its data set, binarized as the run says, on the device.
  Batch rows(const std::string& split, int64_t first, int64_t end) const;
  Batch rows(const std::string& split, const std::vector<int64_t>& ids) const;

  // A file that describes the rows of training: the one that training left in the run's folder, or else the
  // first one of the data set; "" where none is there.
  std::string description_file() const;

  // The split that --split=`split` means. auto: all rows of a data set that the user named; of the run's own
  // the test split, or the one that is nearest to it.
  std::string choose_split(const std::string& split) const;
};

// The condition of n samples of a conditional model, from the command line: a class by its name or number,
// the values of a label with commas between, or for "" the classes in turn. Undefined for the other models.
// Throws a usage Error for what the model's labels cannot be.
torch::Tensor labels_for(const SavedRun& run, const std::string& text, int64_t n);

// The file in a run's folder that describes the rows of its data set, as data/description.h reads it.
std::filesystem::path description_path(const std::filesystem::path& run_directory);

// which: "newest", "best" or a step. data_path: "" for the run's own data set, else a file of the same shape
// (checked), of which no rows are held out unless it is the run's own. device: of the model and its batches;
// on a GPU with deterministic kernels if the run was trained with train.exact. Rank 0 reads the checkpoint,
// the others receive it. Throws usage Errors: no run, no valid checkpoint, other shape.
// rows_to_continue: sequences that may also be shorter than those of training.
// The checkpoint of a run that `which` names, as open_run() takes it, read by one rank. Throws usage Errors.
Checkpoint read_run(const std::filesystem::path& directory, const std::string& which);

// Puts the moving average of the parameters in their place, where the run keeps one (optimizer.ema).
void use_average(Checkpoint& checkpoint);

enum class DataNeed { rows, rows_to_continue, none };
SavedRun open_run(Communicator& comm, const std::string& directory, const std::string& which = "newest",
                  const std::string& data_path = "", DataNeed need = DataNeed::rows,
                  torch::Device device = torch::kCPU);

}  // namespace elbo
