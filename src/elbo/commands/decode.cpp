// Rows from codes: of elbo encode, or of a search or a walk in latent space made elsewhere.
#include <torch/types.h>
#include <torch/utils.h>

#include <filesystem>

#include "elbo/base/text.h"
#include "elbo/commands/rows_out.h"
#include "elbo/hdf5/data_file.h"

namespace elbo {
namespace {

struct DecodeOptions : SavedRunOptions {
  std::string label;
  DrawOptions draw;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add(
        "label", label,
        "condition of all rows, for conditional models: a class by its name or number, or the values of a "
        "label separated by commas; empty: /label of the codes");
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    draw.bind(table, "mean");
    output.bind_rows(table, "a row for each code");
    return table;
  }
  DataNeed need() const { return DataNeed::none; }
};

struct Codes {
  torch::Tensor z;      // (n, latent) float32
  torch::Tensor label;  // (n, …), or undefined
  std::vector<RowIdentity> identities{};
};

torch::Tensor read_if_there(const DataFile& file, const std::string& path) {
  if (!hdf5::exists(file.handle(), path)) return {};
  return hdf5::read_tensor(hdf5::open_dataset(file.handle(), path));
}

// Numbers and names of the rows that were encoded.
std::vector<RowIdentity> read_identities(const DataFile& file, int64_t n) {
  std::vector<RowIdentity> identities;
  const torch::Tensor row = read_if_there(file, "/row");
  if (!row.defined() || row.numel() != n) return identities;
  std::vector<std::string> names;
  if (hdf5::exists(file.handle(), "/name"))
    names = hdf5::read_texts(hdf5::open_dataset(file.handle(), "/name"));
  names.resize(static_cast<size_t>(n));
  identities.reserve(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    identities.push_back({.split = "", .row = row[i].item<int64_t>(), .name = names[static_cast<size_t>(i)]});
  return identities;
}

Codes read_codes(const std::string& path, int64_t latent) {
  const auto lock = hdf5::lock();
  const DataFile file(path);
  if (!hdf5::exists(file.handle(), "/z"))
    file.reject(fmt::format("has no dataset /z; expected codes (N, {}), as elbo encode writes them", latent));
  Codes codes{.z = read_if_there(file, "/z").to(torch::kFloat32), .label = read_if_there(file, "/label")};
  if (codes.z.dim() != 2 || codes.z.size(1) != latent || codes.z.size(0) == 0)
    file.reject(fmt::format("/z has the shape {}; the codes of this run have {} numbers: expected (N, {})",
                            shape_text(codes.z.sizes().vec()), latent, latent));
  if (!codes.z.isfinite().all().item<bool>()) file.reject("/z has values that are not finite");
  codes.identities = read_identities(file, codes.z.size(0));
  return codes;
}

// The conditions of the rows; undefined for models that have none.
torch::Tensor labels_of(const DecodeOptions& options, const RunInUse& used, const Codes& codes) {
  const SavedRun& run = used.run;
  const int64_t n = codes.z.size(0);
  if (!options.label.empty() || !run.model->conditional()) return labels_for(run, options.label, n);
  const DataShape& data = run.checkpoint.data;
  if (!codes.label.defined() || codes.label.size(0) != n)
    usage_error("{}: has no /label for each code, which the model is conditioned on; add --label=",
                options.data);
  if (data.classes == 0) return codes.label.to(torch::kFloat32).to(run.device);
  const torch::Tensor classes = codes.label.to(torch::kInt64);
  if (classes.lt(0).logical_or(classes.ge(data.classes)).any().item<bool>())
    usage_error("{}: /label holds other numbers than the classes 0 to {}", options.data, data.classes - 1);
  return classes.to(run.device);
}

void decode(const DecodeOptions& options, const RunInUse& used) {
  const torch::NoGradGuard no_grad;
  const Codes codes = read_codes(options.data, used.run.model->latent_size());
  write_decoded(options.output, used, options.threads, {.identities = codes.identities},
                codes.z.to(used.run.device), labels_of(options, used, codes), options.draw, Elements::mean);
}

}  // namespace

Command decode_command() {
  return saved_run_command<DecodeOptions>({"decode",
                                           "RUN CODES.h5 --out=FILE [--label=CLASS] [--elements=mean]",
                                           "decodes codes /z (N, latent), such as those of elbo encode",
                                           {}},
                                          RunWords::run_and_codes, decode);
}

}  // namespace elbo
