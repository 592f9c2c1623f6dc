// A folder of images. Sub-folders are classes, optionally inside folders of splits.
#include <torch/types.h>

#include <algorithm>
#include <span>

#include "elbo/base/cores.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/parallel_for.h"
#include "elbo/convert/folder.h"
#include "elbo/convert/format.h"
#include "elbo/convert/image_file.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

struct ImagesOptions {
  ImageSize size;
  int64_t channels = 3;
  bool skip_damaged = false;
  SplitOptions splits;
  void bind(OptionTable& table) {
    size.bind(table);
    table.add("channels", channels, "channels of an image: 1 (grey) or 3 (colour)", Range::between(1, 3));
    table.add("skip_damaged", skip_damaged, "leaves out images that cannot be read, with a warning");
    splits.bind(table);
  }
};

struct ReadImage {
  torch::Tensor image;  // undefined if it cannot be read
  std::string why_not;
  bool loses_bits = false;
};

std::vector<ReadImage> read_images(std::span<const FolderFile> files, int64_t channels, int threads) {
  std::vector<ReadImage> images(files.size());
  parallel_for(static_cast<int64_t>(files.size()), threads, [&](int64_t i) {
    const auto index = static_cast<size_t>(i);
    try {
      images[index].image = read_image(files[index].path, channels);
      images[index].loses_bits = loses_bits(files[index].path);
    } catch (const Error& error) {
      images[index].why_not = error.what();
    }
  });
  return images;
}

void convert_images(const std::vector<std::string>& inputs, const Target& target,
                    const ImagesOptions& options) {
  const std::string& folder = inputs.front();
  if (options.channels == 2) usage_error("--channels=2: expected 1 (grey) or 3 (colour)");
  const std::vector<FolderFile> files = files_of_splits(folder, image_files());
  const std::vector<std::string> classes = classes_of(files, folder);
  DatasetWriter out(target, "image");
  RowWriter rows(out, options.splits);
  OneSize one_size(options.size);
  int64_t skipped = 0, rounded = 0;
  const auto append = [&](const FolderFile& file, const ReadImage& read) {
    if (!read.image.defined()) {
      if (!options.skip_damaged)
        usage_error("{}{} with --skip_damaged", read.why_not,
                    read.why_not.ends_with("leave it out") ? "" : ", or leave it out");
      log::warning("{}", read.why_not);
      ++skipped;
      return;
    }
    if (read.loses_bits) ++rounded;
    Rows row{{"x", one_size(read.image, file.path).unsqueeze(0)}};
    if (!classes.empty())
      row.emplace_back(
          "label", torch::full({1}, std::ranges::find(classes, file.label) - classes.begin(), torch::kInt32));
    rows.append(row, file.split, {name_below(folder, file.path)});
  };
  // A few files at a time are decoded on all cores, and stored in their order.
  const int threads = cores_of({core_allowance()}, 0);
  const size_t at_once = 4 * static_cast<size_t>(threads);
  for (size_t first = 0; first < files.size(); first += at_once) {
    const auto few = std::span(files).subspan(first, std::min(at_once, files.size() - first));
    const std::vector<ReadImage> images = read_images(few, options.channels, threads);
    for (size_t i = 0; i < few.size(); ++i) append(few[i], images[i]);
  }
  if (skipped > 0) log::warning("{} of {} images were left out", skipped, files.size());
  if (rounded > 0)
    log::warning(
        "{} of {} images have 16 bits for a value, of which 8 are kept; for all of them, save an array with "
        "NumPy "
        "and use elbo convert npy",
        rounded, files.size());
  rows.name_classes(classes);
  rows.finish();
  out.commit();
}

}  // namespace

Format images_format() {
  return {.name = "images",
          .takes = "FOLDER",
          .summary =
              "PNG, JPEG, BMP and PNM files; sub-folders are classes, optionally inside train, validation "
              "and test",
          .least = 1,
          .most = 1,
          .bind = with_options(convert_images)};
}

}  // namespace elbo
