// Frames of videos, one folder per video, as clips.
#include <torch/types.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/convert/folder.h"
#include "elbo/convert/format.h"
#include "elbo/convert/image_file.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

struct VideoOptions {
  ImageSize size;
  int64_t channels = 3, frames = 16, stride = 0;
  SplitOptions splits;
  void bind(OptionTable& table) {
    size.bind(table);
    table.add("channels", channels, "channels of an image: 1 (grey) or 3 (colour)", Range::between(1, 3));
    table.add("frames", frames, "frames of a clip", Range::between(1, 10000));
    table.add("stride", stride, "frames from one clip to the next; 0: the length of a clip",
              Range::between(0, 1e6));
    splits.bind(table);
  }
};

// "frame9" comes before "frame10": runs of digits are compared as numbers.
bool comes_before(const std::string& a, const std::string& b) {
  const auto digit = [](const std::string& text, size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  const auto number = [&](const std::string& text, size_t& place) {
    while (digit(text, place) && text[place] == '0') ++place;
    const size_t begin = place;
    while (digit(text, place)) ++place;
    return text.substr(begin, place - begin);
  };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a, i) && digit(b, j)) {
      const std::string left = number(a, i), right = number(b, j);
      if (left != right) return left.size() != right.size() ? left.size() < right.size() : left < right;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

void convert_video(const std::vector<std::string>& inputs, const Target& target,
                   const VideoOptions& options) {
  const std::string& folder = inputs.front();
  if (options.channels == 2) usage_error("--channels=2: expected 1 (grey) or 3 (colour)");
  const int64_t stride = options.stride == 0 ? options.frames : options.stride;
  if (stride < options.frames && options.splits.divides())
    usage_error(
        "--stride={}: clips of {} frames overlap, so splits would share frames; expected --stride={}, or "
        "folders train, validation and test instead of fractions",
        stride, options.frames, options.frames);
  std::vector<FolderFile> files = files_of_splits(folder, image_files());
  const auto video_of = [](const FolderFile& file) { return std::filesystem::path(file.path).parent_path(); };
  std::ranges::stable_sort(files, [&](const FolderFile& a, const FolderFile& b) {
    return video_of(a) != video_of(b) ? video_of(a) < video_of(b) : comes_before(a.path, b.path);
  });
  DatasetWriter out(target, "sequence");
  RowWriter rows(out, options.splits);
  OneSize one_size(options.size);
  std::vector<torch::Tensor> clip;
  int64_t to_skip = 0;  // frames between clips
  for (size_t i = 0; i < files.size(); ++i) {
    if (i > 0 && video_of(files[i]) != video_of(files[i - 1])) clip.clear(), to_skip = 0;
    if (to_skip > 0) {
      --to_skip;
      continue;
    }
    clip.push_back(one_size(read_image(files[i].path, options.channels), files[i].path));
    if (static_cast<int64_t>(clip.size()) < options.frames) continue;
    rows.append({{"x", torch::stack(clip).unsqueeze(0)}}, files[i].split);
    to_skip = std::max<int64_t>(0, stride - options.frames);
    clip.erase(clip.begin(), clip.begin() + std::min(stride, options.frames));
  }
  rows.finish();
  out.commit();
}

}  // namespace

Format video_format() {
  return {
      .name = "video",
      .takes = "FOLDER",
      .summary =
          "clips of video frames (images) in the order of their names; each folder is a video, optionally "
          "inside train, validation and test",
      .least = 1,
      .most = 1,
      .bind = with_options(convert_video)};
}

}  // namespace elbo
