#include "elbo/data/why_no_rows.h"

#include <fmt/format.h>

#include <filesystem>

#include "elbo/base/text.h"
#include "elbo/data/row_view.h"

namespace elbo {
namespace {

// The Python that makes train/x of `rows`, an expression of the dataset d. more: further statements.
std::string python_of_dataset(const DataFile& file, const std::string& path, const std::string& rows,
                              const std::string& more = "") {
  return fmt::format(
      "in Python: import h5py, numpy; f = h5py.File(\"{}\", \"a\"); d = f[\"{}\"][()]; "
      "f[\"train/x\"] = {}{}; f.close()",
      std::filesystem::path(file.path()).filename().string(), path, rows, more);
}

bool holds_lists_of_bytes(const hdf5::Handle& dataset) {
  const auto guard = hdf5::lock();
  const hdf5::Handle type(H5Dget_type(dataset.get()), H5Tclose);
  const hdf5::Handle element(H5Tget_super(type.get()), H5Tclose);
  return H5Tget_class(element.get()) == H5T_INTEGER && H5Tget_size(element.get()) == 1;
}

// NumPy's complex numbers are records of r and i.
bool is_complex(const hdf5::Handle& dataset) {
  const auto guard = hdf5::lock();
  const hdf5::Handle type(H5Dget_type(dataset.get()), H5Tclose);
  return H5Tget_nmembers(type.get()) == 2 && H5Tget_member_index(type.get(), "r") == 0 &&
         H5Tget_member_index(type.get(), "i") == 1;
}

std::string why_no_numbers(const DataFile& file, const std::string& path, const hdf5::DatasetInfo& info) {
  const std::string name = std::filesystem::path(file.path()).filename().string();
  const hdf5::Handle dataset = hdf5::open_dataset(file.handle(), path);
  switch (info.type_class) {
    case H5T_COMPOUND:
      if (is_complex(dataset))
        return "holds complex numbers; expected real ones; " +
               python_of_dataset(file, path, "numpy.stack([d.real, d.imag], 1)");
      return fmt::format("is a table in {} dimensions; expected one dimension, or numbers; {}",
                         info.shape.size(),
                         python_of_dataset(file, path, "numpy.stack([d[n] for n in d.dtype.names], -1)"));
    case H5T_VLEN:
      if (holds_lists_of_bytes(dataset))
        return fmt::format(
            "holds lists of bytes; if they are compressed images: in Python: import h5py, os; "
            "os.mkdir(\"images\"); [open(f\"images/{{i:08}}.jpg\", \"wb\").write(d.tobytes()) for i, d in "
            "enumerate(h5py.File(\"{}\")[\"{}\"])]; then elbo convert images images --out=images.h5",
            name, path);
      return "holds lists of different lengths; expected rows of one length, padded, and the lengths; " +
             python_of_dataset(file, path,
                               "numpy.stack([numpy.pad(r, (0, m - len(r)))[:, None] for m in [max(map(len, "
                               "d))] for r in d])",
                               "; f[\"train/length\"] = [len(r) for r in d]");
    case H5T_REFERENCE:
      return "holds references to other datasets; expected numbers; " +
             python_of_dataset(file, path, "numpy.stack([f[r][()] for r in d.ravel()])");
    case H5T_STRING:
      if (info.shape.size() != 1) break;
      return fmt::format(
          "holds texts (string); expected numbers; in Python: import h5py; open(\"texts.txt\", \"wb\")"
          ".write(b\"\\n\".join(h5py.File(\"{}\")[\"{}\"][()])); then elbo convert text texts.txt "
          "--out=texts.h5",
          name, path);
    default:
      break;
  }
  return fmt::format("holds {}; expected numbers", info.type_name);
}

}  // namespace

std::string why_no_rows(const DataFile& file, const std::string& path) {
  constexpr size_t fewest_dimensions = 2;
  constexpr int64_t long_recording = 1024, window = 256;
  const hdf5::DatasetInfo info = file.describe(path);
  for (const int64_t size : info.shape)
    if (size == 0)
      return fmt::format("is empty: its shape is {}; expected at least one row", shape_text(info.shape));
  if (is_table(info)) return "";
  if (!info.numeric()) return why_no_numbers(file, path, info);
  if (holds_dates(file, path)) return "holds dates as integers; expected numbers";
  if (info.shape.size() >= fewest_dimensions) return "";
  std::string sentence = fmt::format("has the shape {}; expected (rows, …) with at least {} dimensions",
                                     shape_text(info.shape), fewest_dimensions);
  if (info.shape.size() == 1 && info.shape.front() >= long_recording)
    sentence += fmt::format(
        "; to cut a recording into windows: {}",
        python_of_dataset(file, path, fmt::format("d[:len(d) // {0} * {0}].reshape(-1, {0})", window)));
  return sentence;
}

}  // namespace elbo
