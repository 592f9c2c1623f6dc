#include "elbo/data/decide_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

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

// matlab: each row has its dimensions in reverse. like: the images or volumes that the run was trained on.
std::string likely_axes(const std::string& kind, const hdf5::DatasetInfo& info, bool matlab,
                        const std::optional<DataShape>& like) {
  const std::vector<int64_t>& size = info.shape;
  const bool is_like_volumes = like && like->is_volume();
  if (kind == "volume" || (kind.empty() && (is_like_volumes || !like)))
    if (std::string axes = axes_of_volumes(size, kind == "volume" || is_like_volumes, matlab); !axes.empty())
      return axes;
  if (!kind.empty() && kind != "image") return "";
  if (size.size() == 3 && (are_pixels(info) || kind == "image" || (like && like->axes.size() == 3)))
    return matlab ? "NWH" : "NHW";
  if (size.size() != 4) return "";
  if (matlab) return "NCWH";
  return are_channels_last(size) ? "NHWC" : "";
}

// What a reader of the log should know: which order was taken as meant.
bool is_worth_a_note(const std::string& axes) {
  return axes == "NHWC" || axes.ends_with("WH") || are_of_volumes(axes);
}

}  // namespace

std::vector<std::string> kinds_of_rows() {
  return {"image", "volume", "tabular", "sequence", "audio", "tokens", "video", "counts", "interactions"};
}

std::string kind_of_rows(const DataFile& file, const DataOptions& options) {
  if (options.kind != "auto") return options.kind;
  const std::vector<std::string> known = kinds_of_rows();
  const std::string kind =
      hdf5::read_text_attribute(hdf5::open_group(file.handle(), "/"), "kind").value_or("");
  if (kind.empty() || std::ranges::find(known, kind) != known.end()) return kind;
  const std::string meant = nearest_name(lower_case(kind), known);
  file.reject(
      fmt::format("its root attribute kind is \"{}\"; expected one of {}{}; correct it, or delete it: the "
                  "kind then follows from the shape of the rows",
                  kind, join(known, ", "), meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant)));
}

std::string axes_of_volumes(const std::vector<int64_t>& shape, bool is_said, bool matlab) {
  constexpr int64_t smallest = 8, most_channels = 4;
  const size_t dimensions = shape.size();
  if (dimensions != 4 && dimensions != 5) return "";
  const auto is_channels = [&](int64_t size) { return size <= most_channels; };
  const auto [shortest, longest] = std::ranges::minmax(std::span(shape).last(3));
  const bool is_like_a_cube = shortest >= smallest && longest < 2 * shortest;
  if (dimensions == 4 && !is_said && !is_like_a_cube) return "";
  if (dimensions == 4) return matlab ? "NDWH" : "NDHW";
  if (is_said && !matlab && is_channels(shape[4]) && !is_channels(shape[1])) return "NDHWC";
  if (!is_said && !(shortest >= smallest && is_channels(shape[1]))) return "";
  return matlab ? "NCDWH" : "NCDHW";
}

bool are_channels_last(const std::vector<int64_t>& shape) {
  constexpr int64_t smallest = 16;
  if (shape.size() != 4 || are_channels(shape[1])) return false;
  const bool usual = are_channels(shape[3]) && shape[1] > shape[3] && shape[2] > shape[3];
  // Of satellites and microscopes: any number of bands, in square images.
  const bool bands = shape[1] == shape[2] && shape[1] >= smallest && 2 * shape[3] <= shape[1];
  return usual || bands;
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
    paths.axes = likely_axes(kind_of_rows(file, options), info, matlab && !paths.reversed, options.like);
    if (is_worth_a_note(paths.axes))
      notes.push_back(fmt::format("{}: {} of shape {} holds {} in the order {}, N for rows (data.axes)",
                                  file.path(), paths.x, shape_text(info.shape),
                                  are_of_volumes(paths.axes) ? "volumes" : "images", paths.axes));
    return;
  }
  if (options.axes.size() != info.shape.size())
    file.reject(fmt::format("data.axes={}: {} has the shape {}; expected {} dimensions", options.axes,
                            paths.x, shape_text(info.shape), options.axes.size()));
  paths.axes = options.axes;
}

}  // namespace elbo
