#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/rows_out.h"

namespace elbo {
namespace {

struct EncodeOptions : SavedRunOptions {
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_split(table);
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    output.bind_rows(table,
                     "z (N, latent), and logvar if there is one, with number, name and label of each row");
    return table;
  }
};

void encode(const EncodeOptions& options, const RunInUse& used) {
  const RowSource& source = used.rows();
  const auto code_of = [&](Model& model, int64_t first, int64_t end) {
    return model.encode(used.run.rows(used.split, first, end));
  };
  const torch::NoGradGuard no_grad;
  const int64_t latent = used.run.model->latent_size();
  RowsOut rows{.outputs = {{"z", {latent}}}, .rows = source.rows(), .source = &source};
  if (code_of(*used.run.model, 0, 1).logvar) rows.outputs.push_back({"logvar", {latent}});
  write_rows(options.output, used, options.threads, rows,
             [&](Model& model, int64_t /*microbatch*/, int64_t first, int64_t end) {
               const Latent code = code_of(model, first, end);
               return code.logvar ? std::vector{code.z, *code.logvar} : std::vector{code.z};
             });
}

}  // namespace

Command encode_command() {
  return saved_run_command<EncodeOptions>(
      {"encode",
       "RUN DATA.h5 --out=CODES.h5 [--split=all]",
       "writes the latent code of every row, as features for other programs",
       {}},
      RunWords::run_and_data, encode);
}

}  // namespace elbo
