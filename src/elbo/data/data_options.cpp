#include "elbo/data/data_options.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "elbo/base/memory.h"
#include "elbo/data/decide_view.h"
#include "elbo/data/row_view.h"
#include "elbo/data/transform.h"

namespace elbo {

void DataOptions::bind(OptionTable& table) {
  table.add_path(
      "data.path", path,
      "HDF5 file (docs/data_format.md), a pattern (shards/*.h5), or several of them separated by commas: "
      "many files are one data set; a resumed run may read the same data from another path");
  table.add_path("data.stage", stage,
                 "folder on a local disk of each host, to which one rank of the host copies the files before "
                 "training; for file systems that are slow with small reads; '$TMPDIR', in single quotes, is "
                 "the value of that variable on each host; a copy that is there already is used again if the "
                 "file is unchanged; empty: no copies");
  table.add("data.train", train, "group of the training split");
  table.add("data.validation", validation, "group of the validation split, if the file has one");
  table.add("data.test", test, "group of the test split, if the file has one");
  table.add("data.x", x,
            "dataset of the rows inside a split's group; an absolute path (/images/raw) names the training "
            "rows in a file of another layout");
  table.add("data.label", label,
            "dataset of the labels inside a split's group, or an absolute path; a column of obs in AnnData; "
            "optional");
  std::vector<std::string> kinds = transform_kinds();
  kinds.insert(kinds.begin(), "auto");
  table.add_choice(
      "data.normalize", normalize, kinds,
      "transform of the values before the networks see them, fitted on the training rows, kept with the "
      "model "
      "and undone in results; bytes: 0…255 to [0, 1]; unit: the least to the largest value to [0, 1]; "
      "standardize: mean 0 and standard deviation 1 of each column, feature or channel; robust: the same by "
      "median and quartiles; log1p: log(1 + x); auto: bytes for images of 8 bits, unit for images with other "
      "values outside of [0, 1], standardize where a mean or deviation is above 10 or values are missing, "
      "otherwise none");
  std::vector<std::string> row_kinds = kinds_of_rows();
  row_kinds.insert(row_kinds.begin(), "auto");
  table.add_choice(
      "data.kind", kind, row_kinds,
      "what the rows are, for files without the root attribute kind or with another one; auto: as "
      "the attribute and the shape of the rows say");
  std::vector<std::string> orders = image_axes();
  orders.insert(orders.begin(), "auto");
  table.add_choice(
      "data.axes", axes, orders,
      "order of the dimensions of images and volumes in the file: N rows, C channels, D depth, H height, W "
      "width; auto: NHWC where the last dimension is 1, 3 or 4 and the two before are larger, NDHW or NCDHW "
      "for volumes, H and W swapped in files of MATLAB, else NCHW or NHW");
  table.add_choice("data.transpose", transpose, {"auto", "true", "false"},
                   "whether the dimensions of the rows' dataset are stored in reverse, so that its last one "
                   "counts the rows; auto: as the attribute MATLAB_class and the labels say");
  table.add("data.validation_fraction", validation_fraction,
            "fraction of the training rows that is held out for validation if the file has no validation "
            "split, in whole percents; which rows depends on their numbers alone",
            Range::between(0, 0.9));
  table.add_choice(
      "data.missing", missing, {"refuse", "mask"},
      "what happens to missing values: NaN, and those that data.missing_value or the attributes _FillValue, "
      "missing_value, valid_range, valid_min and valid_max declare; refuse: an error that names the row; "
      "mask: the encoder sees 0 and a mask, and the likelihood counts observed elements only (Mattei & "
      "Frellsen 2019)");
  table.add("data.missing_value", missing_value,
            "numbers that mean a missing value in the file, such as -999 or -9,-99");
  table.add_choice("data.binarize", binarize, {"none", "static", "dynamic"},
                   "replaces each value of x in [0, 1] by a Bernoulli sample with that mean; static: one "
                   "sample for each row (Larochelle & Murray 2011); dynamic: a new sample whenever the row "
                   "is used (Salakhutdinov & Murray 2008), but evaluation uses static ones");
  table.add(
      "data.weights", weights,
      "how often training rows are sampled; empty: each once in an epoch; balanced: rows of each class "
      "equally "
      "often in all; or a dataset of numbers of at least 0, one for each row, inside the training split's "
      "group or "
      "at an absolute path: in proportion to them. An epoch still has as many samples as there are rows; "
      "evaluations use each row once");
  table.add("data.shuffle_buffer_bytes", shuffle_buffer_bytes,
            "bytes of rows that are shuffled together; each rank keeps up to twice as many in memory; a "
            "split of at most this size is shuffled as a whole, and checked before the first step; 0: a "
            "power of two near a sixteenth of the free memory at the start of the run, which run.ini "
            "records; for a larger split the results depend on this value: set it to get the same bits on "
            "another machine",
            Range::at_least(0));
  table.add("data.prefetch", prefetch, "microbatches read ahead for each worker thread",
            Range::between(1, 1024));
}

int64_t default_shuffle_buffer_bytes() {
  constexpr int64_t mebibyte = 1'048'576;
  const auto bytes = static_cast<uint64_t>(std::clamp(free_memory() / 16, 64 * mebibyte, 16'384 * mebibyte));
  return static_cast<int64_t>(std::bit_floor(bytes));
}

}  // namespace elbo
