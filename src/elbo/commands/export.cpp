#include "elbo/commands/export_formats.h"
#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/output.h"

namespace elbo {
namespace {

struct ExportOptions : SavedRunOptions {
  std::string format = "safetensors", network = "encoder";
  OutputOptions output;
  ExportOptions() { device = "cpu"; }
  OptionTable table() {
    OptionTable table;
    table.add_choice(
        "format", format, {"safetensors", "onnx"},
        "format of the file; safetensors: parameters and buffers by their names; onnx: a network with "
        "its weights, for any number of rows");
    table.add_choice("network", network, {"encoder", "decoder"},
                     "onnx: which one; encoder: x to z and logvar; decoder: z to x, the mean of p(x|z)");
    bind_run(table);
    output.bind(table, ".safetensors or .onnx, as --format says");
    return table;
  }
  DataNeed need() const { return DataNeed::none; }
};

void export_run(const ExportOptions& options, const RunInUse& used) {
  if (!used.is_root()) return;
  check_output(options.output, {"." + options.format});
  if (options.format == "safetensors") return export_safetensors(used.run, options.output.out);
  export_onnx(used.run, options.network == "encoder" ? Network::encoder : Network::decoder,
              options.output.out);
}

}  // namespace

Command export_command() {
  return saved_run_command<ExportOptions>({"export",
                                           "RUN --out=FILE.safetensors [--format=onnx --network=decoder]",
                                           "writes a model's weights or networks for other programs",
                                           {}},
                                          RunWords::run, export_run);
}

}  // namespace elbo
