#include <torch/torch.h>

#include <cmath>

#include "commands/command.h"
#include "eval/output.h"
#include "train/saved_run.h"

namespace elbo {
namespace {

struct Options {
  int64_t n = 64, seed = 0;
  std::string label, checkpoint = "newest";
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "samples", Range::between(1, 1 << 20));
    table.add(
        "label", label,
        "what the rows are to be, for models with a condition: a class, or a label's values with commas "
        "between; empty: the classes in turn");
    table.add("seed", seed, "other numbers draw other samples", Range::at_least(0));
    table.add("checkpoint", checkpoint, "newest, best, or a step");
    output.bind(table, ".png (images), .txt (tokens), .h5 or .csv");
    return table;
  }
};

ExitCode sample(const Environment& environment, const CommandLine& line) {
  Options options;
  OptionTable table = options.table();
  if (line.help) {
    print_help(sample_command(), table);
    return ExitCode::ok;
  }
  apply(line, table);
  require_words(sample_command(), line, 1, 1, "the folder of a run");
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const SavedRun run = open_run(*world, line.positional[0], options.checkpoint, "",
                                writes_texts(options.output) ? DataNeed::rows : DataNeed::none);
  if (environment.rank() != 0) return ExitCode::ok;
  check_rows_output(options.output, run.checkpoint.data);

  const torch::NoGradGuard no_grad;
  Noise noise(Key(static_cast<uint64_t>(options.seed)).with("sample"));
  const torch::Tensor label = labels_for(run, options.label, options.n);
  const torch::Tensor rows = run.model->decode(run.model->prior_sample(options.n, noise), label);
  write_rows(options.output, {{"x", rows}},
             static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(options.n)))), run.vocabulary());
  return ExitCode::ok;
}

}  // namespace

Command sample_command() {
  return {"sample", "RUN --out=FILE [--n=64] [--label=K]",
          "draws new data: the decoder's mean at draws from the prior", sample};
}

}  // namespace elbo
