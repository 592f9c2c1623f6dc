#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/map_rows.h"
#include "elbo/eval/output.h"
#include "elbo/run/device.h"

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
    output.bind(
        table,
        ".h5, with /z (N, latent), and /row, the number of each row in the data set; /logvar, /label, /name "
        "and /split if there are any");
    return table;
  }
};

void encode(const EncodeOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  const RowSource& source = used.rows();
  if (used.is_root()) check_output(options.output, {".h5"});

  const torch::NoGradGuard no_grad;
  Workers workers(worker_count(options.threads, used.environment, run.device, source.rows()));
  const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
  const auto code_of = [&](int worker, int64_t first, int64_t end) {
    return models[static_cast<size_t>(worker)]->encode(run.rows(used.split, first, end));
  };
  const int64_t latent = run.model->latent_size();
  std::vector<RowOutput> outputs{{"z", {latent}}};
  if (code_of(0, 0, 1).logvar) outputs.push_back({"logvar", {latent}});
  map_rows(
      *used.world, workers, source, run.config->evaluate.microbatch, outputs,
      [&](int worker, int64_t /*microbatch*/, int64_t first, int64_t end) {
        const Latent code = code_of(worker, first, end);
        return code.logvar ? torch::cat({code.z, *code.logvar}, 1) : code.z;
      },
      options.output.out);
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
