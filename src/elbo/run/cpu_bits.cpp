#include "elbo/run/cpu_bits.h"

#include <ATen/Version.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>
#include <torch/types.h>

#include <fstream>
#include <set>

#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/operators/audit.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

// "AuthenticAMD", or the architecture where the system does not name the maker.
std::string cpu_maker() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("vendor_id")) return trim(line.substr(line.find(':') + 1));
  utsname system = {};
  return ::uname(&system) == 0 ? system.machine : "unknown";
}

Batch first_rows(const RowSource& source, int64_t count) {
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) ids.push_back(i % source.rows());
  return source.read(ids);
}

}  // namespace

std::string cpu_name() { return cpu_maker() + " " + at::get_cpu_capability(); }

std::string device_dependence(const RunConfig& config, const Dataset& dataset, Model& model,
                              const RunPlan& plan) {
  const torch::Device device = model.parameters().front().device();
  if (choose_kernels(config.train.kernels, config.train.precision, device) == Kernels::library)
    return config.train.precision == "float32" ? "train.kernels=library" : "train.precision=bfloat16";
  const Batch batch = first_rows(dataset.split("train"), plan.microbatch).to(device);
  const OperatorAudit audit(device.is_cuda());
  for (const Phase& phase : plan.phases) {
    RandomGenerator noise(Key(static_cast<uint64_t>(config.train.seed)).with("audit"), device);
    model.objective({phase.name, plan.start.step, 0}, batch, noise).loss.sum().backward();
    model.zero_grad();
  }
  return fmt::format("{}", fmt::join(audit.device_dependent(), ", "));
}

std::string settle_cpu(Communicator& world, const RunPlan& plan, const std::string& before) {
  if (plan.cpu_dependence.empty()) return "";
  const std::string own = cpu_name();
  const std::vector<std::string> all = world.size() == 1 ? std::vector{own} : all_gather_text(world, own);
  const std::set<std::string> different(all.begin(), all.end());
  const bool by_choice = plan.cpu_dependence.starts_with("train.");
  if (world.rank() == 0 && !by_choice) log::info("bits depend on the CPU: {}", plan.cpu_dependence);
  if (world.rank() == 0 && different.size() > 1)
    log::warning(
        "ranks compute on different CPUs ({}), and bits depend on the CPU ({}): they change with the rank "
        "that computes a microbatch; use hosts of one kind{}",
        fmt::join(different, ", "), plan.cpu_dependence, by_choice ? ", or the default of this option" : "");
  if (world.rank() == 0 && !before.empty() && before != all.front())
    log::warning(
        "{}: was computed on another CPU ({}) than this one ({}), and bits depend on the CPU ({}): the run "
        "continues with other bits than without the change",
        plan.directory, before, all.front(), plan.cpu_dependence);
  return all.front();
}

}  // namespace elbo
