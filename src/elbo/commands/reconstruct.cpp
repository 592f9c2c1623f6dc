#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/output.h"

namespace elbo {
namespace {

struct ReconstructOptions : SavedRunOptions {
  int64_t n = 32;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "number of rows, from the beginning of the split", Range::between(1, 1 << 20));
    bind_split(table);
    bind_run(table);
    bind_device(table);
    output.bind(
        table,
        ".png (images: a strip of inputs above a strip of reconstructions), .txt (tokens), .h5 or .csv");
    return table;
  }
};

void reconstruct(const ReconstructOptions& options, const RunInUse& used) {
  if (!used.is_root()) return;
  const SavedRun& run = used.run;
  check_rows_output(options.output, run.checkpoint.data);

  const torch::NoGradGuard no_grad;
  const RowSource& source = used.rows();
  const Batch batch = run.rows(used.split, 0, std::min(options.n, source.rows()));
  const torch::Tensor reconstruction = run.model->decode_rows(run.model->encode(batch), batch);
  constexpr int64_t columns = 16;
  write_results(options.output, run, {{"x", batch.x}, {"reconstruction", reconstruction}},
                std::min(columns, batch.size()));
}

}  // namespace

Command reconstruct_command() {
  return saved_run_command<ReconstructOptions>({"reconstruct",
                                                "RUN [DATA.h5] --out=FILE [--n=32] [--split=test]",
                                                "writes rows and their reconstructions",
                                                {}},
                                               RunWords::run_and_perhaps_data, reconstruct);
}

}  // namespace elbo
