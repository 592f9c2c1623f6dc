// A folder of images. Sub-folders are classes, optionally inside folders of splits.
#include <torch/types.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
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

void convert_images(const std::vector<std::string>& inputs, const Target& target,
                    const ImagesOptions& options) {
  const std::string& folder = inputs.front();
  if (options.channels == 2) usage_error("--channels=2: expected 1 (grey) or 3 (colour)");
  const std::vector<FolderFile> files = files_of_splits(folder, image_files());
  const std::vector<std::string> classes = classes_of(files, folder);
  DatasetWriter out(target, "image");
  RowWriter rows(out, options.splits);
  OneSize one_size(options.size);
  int64_t skipped = 0;
  for (const FolderFile& file : files) {
    torch::Tensor image;
    try {
      image = read_image(file.path, options.channels);
    } catch (const Error& error) {
      if (!options.skip_damaged) usage_error("{} with --skip_damaged", error.what());
      log::warning("{}", error.what());
      ++skipped;
      continue;
    }
    Rows row{{"x", one_size(image, file.path).unsqueeze(0)}};
    if (!classes.empty())
      row.emplace_back(
          "label", torch::full({1}, std::ranges::find(classes, file.label) - classes.begin(), torch::kInt32));
    rows.append(row, file.split);
  }
  if (skipped > 0) log::warning("{} of {} images were left out", skipped, files.size());
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
