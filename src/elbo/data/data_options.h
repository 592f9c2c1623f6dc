// Which data a run reads, and how.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "elbo/base/options.h"
#include "elbo/data/batch.h"
#include "elbo/data/check_values.h"

namespace elbo {

struct DataOptions {
  std::string path;   // HDF5 files (data/data_files.h)
  std::string stage;  // folder on this host to which the files are copied first (data/stage.h); "": no copy
  std::string train = "train", validation = "validation", test = "test";  // groups; unused with an absolute x
  std::string x = "x", label = "label";  // datasets in a split's group, or absolute paths ("/images/raw")
  std::string normalize = "auto";        // auto, or a kind of data/transform.h
  std::string kind = "auto";             // of the rows, in place of the file's attribute `kind`
  std::string axes = "auto";             // of images and volumes in the file: auto, or of image_axes()
  std::string transpose = "auto";        // auto | true | false: dimensions are stored in reverse
  double validation_fraction = 0;        // of the training rows, if the files have no validation split
  std::string missing = "refuse";        // refuse | mask: what happens to missing values
  std::string missing_value;             // further numbers that mean a missing value, "-9,-99"
  std::string binarize = "none";         // none | static | dynamic
  std::string weights;                   // of training rows: "", balanced, or a dataset
  int64_t shuffle_buffer_bytes = 0;      // 0: default_shuffle_buffer_bytes()
  int64_t prefetch = 4;                  // microbatches read ahead, for each worker
  void bind(OptionTable& table);         // under data.*

  // Not options: what the model's likelihood takes of transformed values.
  ValueRule values{};
  bool tolerates_missing = false;  // rows have a mask, whatever `missing` says, if they can have one
  // Of a data set that is not the run's own:
  bool requires_named = true;       // groups and labels that are named must exist
  std::optional<DataShape> like{};  // that the run was trained on: decides where the file leaves it open
};

// A power of two from 64 MiB to 16 GiB, at most a sixteenth of the free memory if that is above 64 MiB: each
// rank of a host keeps two shuffle buffers.
int64_t default_shuffle_buffer_bytes();

}  // namespace elbo
