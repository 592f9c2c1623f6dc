// NumPy's .npz archives: arrays by name.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/convert/array_names.h"
#include "elbo/convert/array_splits.h"
#include "elbo/convert/format.h"

namespace elbo {
namespace {

struct NpzOptions {
  ArrayOptions arrays;
  std::string x, label;
  void bind(OptionTable& table) {
    table.add("x", x, "array of the rows; empty: x, data, images, features or arr_0");
    table.add("label", label,
              "array of the labels; empty: y, label, labels, target, targets or arr_1, if there is one");
    arrays.bind(table);
  }
};

constexpr std::string_view ending = ".npy";

std::vector<std::string> arrays_in(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string& member : zip_members(path))
    if (member.ends_with(ending)) names.push_back(member.substr(0, member.size() - ending.size()));
  if (names.empty()) usage_error("{}: holds no arrays; expected a file written by numpy.savez()", path);
  return names;
}

// Its data are the non-zeros; the other arrays have their places.
void refuse_sparse(const std::string& path, const std::vector<std::string>& names) {
  const auto has = [&](const char* name) { return std::ranges::find(names, name) != names.end(); };
  if (!has("format") || !has("shape") || !has("data")) return;
  const std::string file = std::filesystem::path(path).filename().string();
  usage_error(
      "{}: is a sparse matrix of SciPy; expected arrays with all numbers; in Python: import numpy, "
      "scipy.sparse; numpy.savez(\"dense_{}\", x=scipy.sparse.load_npz(\"{}\").toarray()); if that is too "
      "large, store it as AnnData, which elbo reads as it is: import anndata; "
      "anndata.AnnData(scipy.sparse.load_npz(\"{}\").tocsr()).write_h5ad(\"rows.h5ad\")",
      path, file, file, file);
}

void convert_npz(const std::vector<std::string>& inputs, const Target& target, const NpzOptions& options) {
  const std::string& path = inputs.front();
  const std::vector<std::string> names = arrays_in(path);
  refuse_sparse(path, names);
  const auto xs = find_arrays(names, options.x, usual_rows());
  const auto labels = find_arrays(names, options.label, usual_labels());
  if (xs.empty())
    usage_error("{}: has no array {}; set --x=NAME to one of {}", path,
                options.x.empty() ? "named " + join(usual_rows(), ", ") : options.x, join(names, ", "));
  if (!options.label.empty() && labels.empty())
    usage_error("--label={}: {} has no such array; it holds {}", options.label, path, join(names, ", "));
  const auto open = [&](const std::string& name) {
    return NpyReader(open_zip_member(path, name + std::string(ending)));
  };
  std::vector<ArraySplit> arrays;
  for (const auto& [split, name] : xs) {
    ArraySplit& added = arrays.emplace_back(ArraySplit{split, open(name), std::nullopt});
    if (const auto label = labels.find(split); label != labels.end())
      added.label.emplace(open(label->second));
  }
  convert_arrays(std::move(arrays), options.arrays, target);
}

}  // namespace

Format npz_format() {
  return {.name = "npz",
          .takes = "FILE.npz",
          .summary = "a NumPy archive; arrays named x_train, x_test (or train_x …) give the splits",
          .least = 1,
          .most = 1,
          .bind = with_options(convert_npz)};
}

}  // namespace elbo
