// The part of a report that the model computes.
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/library_error.h"
#include "elbo/base/text.h"
#include "elbo/comm/self.h"
#include "elbo/commands/report_data.h"
#include "elbo/eval/evaluate.h"
#include "elbo/eval/images.h"
#include "elbo/run/saved_run.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

constexpr int64_t map_rows_shown = 1500, thumbnail_pixels = 600000, traversed = 12, traverse_steps = 9;

std::string png_address(const torch::Tensor& pixels) { return data_address("image/png", png_of(pixels)); }

// Rows as images (n, 1 or 3, height, width) in [0, 1]; undefined where they are none. The middle slice of
// volumes, the middle frame of video.
torch::Tensor as_images(const SavedRun& run, torch::Tensor x) {
  const DataShape& shape = run.checkpoint.data;
  const std::string& kind = run.model->transform().kind;
  if (!shape.has_pixels() || (shape.channels() != 1 && shape.channels() != 3)) return {};
  if (kind != "bytes" && kind != "unit") x = run.model->transform().undo(x);
  x = x.to(torch::kCPU, torch::kFloat32);
  if (shape.is_volume()) x = x.select(2, x.size(2) / 2);
  if (shape.is_video()) x = x.select(1, x.size(1) / 2);
  return x;
}

// The rows that the model is shown on, and their codes.
struct ShownRows {
  std::string split;
  Batch batch;
  torch::Tensor z;   // (n, latent) float64
  torch::Tensor kl;  // (latent) mean in nats, or the variance of z where it is not known
  bool kl_known = false;
};

ShownRows shown_rows(const SavedRun& run) {
  ShownRows shown{.split = run.choose_split("auto"), .batch = {}, .z = {}, .kl = {}};
  const RowSource& rows = run.dataset->split(shown.split);
  if (run.model->conditional()) run.dataset->require_labels(shown.split);
  constexpr int64_t at_once = 100;
  const int64_t n = std::min(map_rows_shown, rows.rows());
  std::vector<torch::Tensor> z, kl;
  for (int64_t first = 0; first < n; first += at_once) {
    const Batch batch = run.rows(shown.split, first, std::min(n, first + at_once));
    if (first == 0) shown.batch = batch;
    const Latent code = run.model->encode(batch);
    z.push_back(code.z.to(torch::kCPU, torch::kFloat64));
    if (code.kl) kl.push_back(code.kl->to(torch::kCPU, torch::kFloat64));
  }
  shown.z = torch::cat(z);
  shown.kl_known = !kl.empty();
  shown.kl = shown.kl_known ? torch::cat(kl).mean(0) : shown.z.var(0, false);
  return shown;
}

std::vector<double> numbers(const torch::Tensor& values) {
  const torch::Tensor flat = values.to(torch::kFloat64).contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

ordered_json short_numbers(const torch::Tensor& values) {
  ordered_json list = ordered_json::array();
  for (const double value : numbers(values)) list.push_back(short_number(value));
  return list;
}

// The first two principal components of the codes, exactly; the sign makes the largest weight positive.
ordered_json latent_map(const SavedRun& run, const ShownRows& shown) {
  const int64_t n = shown.z.size(0), latent = shown.z.size(1);
  if (n < 3) return nullptr;
  const torch::Tensor centred = shown.z - shown.z.mean(0);
  torch::Tensor weights = torch::eye(latent, torch::kFloat64);
  torch::Tensor variances = centred.square().mean(0);
  if (latent > 1) {
    const auto [values, vectors] = at::linalg_eigh(centred.t().mm(centred) / static_cast<double>(n));
    variances = values.flip(0).clamp_min(0);
    weights = vectors.flip(1);
  }
  torch::Tensor two = weights.narrow(1, 0, std::min<int64_t>(2, latent));
  const torch::Tensor largest = two.gather(0, two.abs().argmax(0, true));
  const torch::Tensor places = centred.mm(two * largest.sign());
  ordered_json map{{"split", shown.split},
                   {"x", short_numbers(places.select(1, 0))},
                   {"y", latent > 1 ? short_numbers(places.select(1, 1)) : short_numbers(torch::zeros({n}))},
                   {"explained", short_numbers(variances.narrow(0, 0, two.size(1)) / variances.sum())}};
  const Batch all = run.dataset->split(shown.split).rows() > 0 ? run.rows(shown.split, 0, n) : Batch{};
  if (all.label.defined() && run.checkpoint.data.classes > 0) {
    map["label"] = numbers(all.label.cpu());
    map["classes"] = texts_in_lines(run.checkpoint.data.class_names);
  }
  const torch::Tensor images = as_images(run, all.x);
  if (images.defined()) {
    const int64_t shown_images = std::min(n, thumbnail_pixels / (images.size(2) * images.size(3)));
    constexpr int64_t columns = 40;
    if (shown_images > 0)
      map["thumbnails"] = {{"image", png_address(image_grid(images.narrow(0, 0, shown_images), columns))},
                           {"columns", std::min(columns, shown_images)},
                           {"count", shown_images},
                           {"height", images.size(2) + 2},
                           {"width", images.size(3) + 2}};
  }
  return map;
}

// The rows of the first microbatch with the lowest and the highest loss, above their reconstructions.
ordered_json best_and_worst(const SavedRun& run, const ShownRows& shown) {
  const Batch& batch = shown.batch;
  const torch::Tensor x = as_images(run, batch.x);
  if (!x.defined() || !run.model->likelihood()) return nullptr;
  RandomGenerator noise(Key(static_cast<uint64_t>(run.config->train.seed)).with("report"), run.device);
  const torch::Tensor loss = run.model->evaluate(batch, noise).loss.cpu();
  const torch::Tensor made = as_images(run, run.model->decode_rows(run.model->encode(batch), batch));
  const int64_t n = std::min<int64_t>(8, batch.size());
  const torch::Tensor order = loss.argsort();
  const auto picture = [&](const torch::Tensor& rows) {
    return png_address(image_grid(torch::cat({x.index_select(0, rows), made.index_select(0, rows)}), n));
  };
  return {{"rows", batch.size()},
          {"best", picture(order.narrow(0, 0, n))},
          {"worst", picture(order.flip(0).narrow(0, 0, n))},
          {"best_loss", short_number(loss[order[0]].item<double>())},
          {"worst_loss", short_number(loss[order[-1]].item<double>())}};
}

// The code of the first row, with one dimension changed in each line, those with the largest KL first.
ordered_json traversals(const SavedRun& run, const ShownRows& shown) {
  if (!as_images(run, shown.batch.x).defined()) return nullptr;
  const torch::Tensor order = shown.kl.argsort(0, true);
  const int64_t lines = std::min(traversed, order.size(0));
  const torch::Tensor values = torch::linspace(-3, 3, traverse_steps);
  torch::Tensor z = shown.z[0].to(torch::kFloat32).repeat({lines * traverse_steps, 1});
  ordered_json dimensions = ordered_json::array(), kl = ordered_json::array();
  for (int64_t line = 0; line < lines; ++line) {
    const auto dimension = order[line].item<int64_t>();
    z.narrow(0, line * traverse_steps, traverse_steps).select(1, dimension).copy_(values);
    dimensions.push_back(dimension);
    kl.push_back(short_number(shown.kl[dimension].item<double>()));
  }
  const torch::Tensor label = shown.batch.label.defined()
                                  ? shown.batch.label.narrow(0, 0, 1).repeat_interleave(z.size(0), 0)
                                  : torch::Tensor();
  const torch::Tensor images = as_images(run, run.model->decode(z.to(run.device), label));
  return {{"dimensions", dimensions},
          {"kl", kl},
          {"kl_known", shown.kl_known},
          {"image", png_address(image_grid(images, traverse_steps))}};
}

}  // namespace

ordered_json report_of_model(const std::string& directory, const ReportLimits&) {
  ordered_json json{{"notes", ordered_json::array()}};
  const auto attempt = [&](const char* what, const std::function<void()>& compute) {
    try {
      compute();
    } catch (const std::exception& error) {
      json["notes"].push_back(fmt::format("{}: {}", what, describe_library_error(error).what()));
    }
  };
  const torch::NoGradGuard no_grad;
  attempt("The model was not opened", [&] {
    const std::unique_ptr<Communicator> self = make_self_communicator();
    const SavedRun run = open_run(*self, directory);
    int64_t parameters = 0;
    for (const auto& [name, tensor] : run.checkpoint.parameters) parameters += tensor.numel();
    json["step"] = run.checkpoint.step;
    json["fingerprint"] = run.checkpoint.fingerprint;
    json["parameters"] = parameters;
    const ShownRows shown = shown_rows(run);
    attempt("Reconstructions", [&] { json["rows"] = best_and_worst(run, shown); });
    attempt("Traversals", [&] { json["traversals"] = traversals(run, shown); });
    attempt("Latent map", [&] { json["map"] = latent_map(run, shown); });
  });
  return json;
}

}  // namespace elbo
