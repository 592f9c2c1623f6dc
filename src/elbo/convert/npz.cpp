// NumPy's .npz archives: arrays by name.
#include <fmt/format.h>

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
              "array of the labels; empty: y, label, labels, targets or arr_1, if there is one");
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

void convert_npz(const std::vector<std::string>& inputs, const Target& target, const NpzOptions& options) {
  const std::string& path = inputs.front();
  const std::vector<std::string> names = arrays_in(path);
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
