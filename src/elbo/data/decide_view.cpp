#include "elbo/data/decide_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "elbo/base/text.h"
#include "elbo/data/file_contents.h"
#include "elbo/data/row_view.h"

namespace elbo {
namespace {

// MATLAB's matrix of rows and columns is stored with the rows last, its array of images with the images
// first. Labels say which it is where there are any.
bool is_reversed(const SplitPaths& paths, const std::vector<int64_t>& stored) {
  if (stored.size() < 2) return false;
  const std::string group = paths.x.substr(0, std::max<size_t>(1, paths.x.rfind('/')));
  const auto has_labels = [&](int64_t rows) {
    return rows > 1 && !labels_in(*paths.file, group, rows).empty();
  };
  if (stored.front() != stored.back()) {
    if (has_labels(stored.front())) return false;
    if (has_labels(stored.back())) return true;
  }
  return stored.size() == 2;
}

bool are_channels(int64_t size) { return size == 1 || size == 3 || size == 4; }

// Pixels of 8 bits, or the counts of a camera.
bool are_pixels(const hdf5::DatasetInfo& info) {
  constexpr int64_t smallest_camera = 16;
  const bool counts = info.type_class == H5T_INTEGER && !info.is_signed && info.type_size == 2;
  return info.bytes() || (counts && info.shape[1] >= smallest_camera && info.shape[2] >= smallest_camera);
}

// matlab: each row has its dimensions in reverse. likely: the order of the images that the run was trained
// on.
std::string likely_axes(const std::string& kind, const hdf5::DatasetInfo& info, bool matlab,
                        const std::string& likely) {
  const std::vector<int64_t>& size = info.shape;
  if (!kind.empty() && kind != "image") return "";
  if (size.size() == 3 && (are_pixels(info) || kind == "image" || likely.size() == 3))
    return matlab ? "NWH" : "NHW";
  if (size.size() != 4) return "";
  if (matlab) return "NCWH";
  const bool last = are_channels(size[3]) && !are_channels(size[1]) && size[1] > size[3] && size[2] > size[3];
  return last ? "NHWC" : "";
}

}  // namespace

std::string kind_of_file(const DataFile& file) {
  static const std::vector<std::string> known{"image",  "tabular", "sequence",    "audio",
                                              "tokens", "video",   "interactions"};
  const std::string kind =
      hdf5::read_text_attribute(hdf5::open_group(file.handle(), "/"), "kind").value_or("");
  if (kind.empty() || std::ranges::find(known, kind) != known.end()) return kind;
  const std::string meant = nearest_name(lower_case(kind), known);
  file.reject(
      fmt::format("its root attribute kind is \"{}\"; expected one of {}{}; correct it, or delete it: the "
                  "kind then follows from the shape of the rows",
                  kind, join(known, ", "), meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant)));
}

void decide_view(SplitPaths& paths, const DataOptions& options, std::vector<std::string>& notes) {
  const DataFile& file = *paths.file;
  const std::vector<int64_t> stored = describe_rows(file, {.path = paths.x}).shape;
  const bool matlab = is_of_matlab(file, paths.x), is_auto = options.transpose == "auto";
  if (options.transpose == "true" && is_table(file.describe(paths.x)))
    file.reject(fmt::format("data.transpose=true: {} is a table, whose rows cannot be its columns", paths.x));
  const bool loom = is_of_loom(file, paths.x);
  paths.reversed = is_auto ? loom || (matlab && is_reversed(paths, stored)) : options.transpose == "true";
  if (paths.reversed && is_auto)
    notes.push_back(fmt::format(
        "{}: {} is read as {} rows of {}, since {} stores dimensions in reverse (data.transpose=false: "
        "{})",
        file.path(), paths.x, stored.back(),
        shape_text(std::vector<int64_t>(stored.rbegin() + 1, stored.rend())), loom ? "Loom" : "MATLAB",
        shape_text(stored)));
  const hdf5::DatasetInfo info = describe_rows(file, {.path = paths.x, .reversed = paths.reversed});
  if (options.axes == "auto") {
    paths.axes = likely_axes(kind_of_file(file), info, matlab && !paths.reversed,
                             options.like ? options.like->axes : "");
    if (paths.axes == "NHWC" || paths.axes.ends_with("WH"))
      notes.push_back(fmt::format("{}: {} of shape {} holds images in the order {}, N for rows (data.axes)",
                                  file.path(), paths.x, shape_text(info.shape), paths.axes));
    return;
  }
  if (options.axes.size() != info.shape.size())
    file.reject(fmt::format("data.axes={}: {} has the shape {}; expected {} dimensions", options.axes,
                            paths.x, shape_text(info.shape), options.axes.size()));
  paths.axes = options.axes;
}

}  // namespace elbo
