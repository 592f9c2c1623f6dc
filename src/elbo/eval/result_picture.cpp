// Images: grids as PNG, and animations as GIF.
#include <torch/types.h>

#include <algorithm>
#include <numeric>

#include "elbo/eval/gif.h"
#include "elbo/eval/images.h"
#include "elbo/eval/result_writer.h"

namespace elbo {
namespace {

// A line of the grid from each output in turn, so that, for example, an input is above its reconstruction.
torch::Tensor interleave(const std::vector<torch::Tensor>& outputs, int64_t columns) {
  std::vector<torch::Tensor> lines;
  const int64_t n = outputs.front().size(0);
  for (int64_t first = 0; first < n; first += columns)
    for (const torch::Tensor& values : outputs) {
      torch::Tensor line = values.narrow(0, first, std::min(columns, n - first));
      if (const int64_t lacking = columns - line.size(0); lacking > 0 && outputs.size() > 1) {
        std::vector<int64_t> shape = line.sizes().vec();
        shape.front() = lacking;
        line = torch::cat({line, torch::full(shape, 0.5)});
      }
      lines.push_back(line);
    }
  return torch::cat(lines);
}

// .png: a grid of images, a line for each output in turn; of video one line for each row. .gif: video, with
// the outputs of a row above each other; of images, one frame for each row.
class PictureWriter final : public CollectingWriter {
 public:
  explicit PictureWriter(ResultFile file) : CollectingWriter(std::move(file)) {}

 private:
  bool is_video() const { return file().shape.is_video(); }

  void write(const ResultRows& all) const override {
    const std::vector<torch::Tensor> outputs = pictures_of(all);
    if (file().path.ends_with(".gif")) return write_animation(outputs);
    if (!is_video())
      return write_png(file().path, image_grid(interleave(outputs, file().columns), file().columns));
    const int64_t time = outputs.front().size(1);
    std::vector<torch::Tensor> frames;
    frames.reserve(outputs.size());
    for (const torch::Tensor& values : outputs) frames.push_back(values.flatten(0, 1));
    write_png(file().path, image_grid(interleave(frames, time), time));
  }

  // The first of several rows in an output; the middle slice of volumes.
  std::vector<torch::Tensor> pictures_of(const ResultRows& all) const {
    std::vector<torch::Tensor> outputs;
    outputs.reserve(all.values.size());
    for (size_t i = 0; i < all.values.size(); ++i) {
      if (!file().outputs[i].is_data) continue;
      torch::Tensor values = all.values[i];
      if (values.dim() > std::ssize(file().shape.x) + 1) values = values.select(1, 0);
      if (file().shape.is_volume()) values = values.select(2, values.size(2) / 2);
      outputs.push_back(values);
    }
    return outputs;
  }

  void write_animation(const std::vector<torch::Tensor>& outputs) const {
    constexpr double seconds = 0.1;
    const int64_t frames = is_video() ? outputs.front().size(1) : outputs.front().size(0);
    std::vector<torch::Tensor> grids;
    grids.reserve(static_cast<size_t>(frames));
    for (int64_t frame = 0; frame < frames; ++frame) {
      std::vector<torch::Tensor> parts;
      parts.reserve(outputs.size());
      for (const torch::Tensor& values : outputs)
        parts.push_back(is_video() ? values.select(1, frame) : values.narrow(0, frame, 1));
      const int64_t columns = std::min(file().columns, parts.front().size(0));
      grids.push_back(image_grid(interleave(parts, columns), columns));
    }
    write_gif(file().path, torch::stack(grids), seconds);
  }
};

}  // namespace

std::unique_ptr<ResultWriter> picture_writer(ResultFile file) {
  return std::make_unique<PictureWriter>(std::move(file));
}

}  // namespace elbo
