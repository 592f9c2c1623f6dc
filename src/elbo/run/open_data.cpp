#include "elbo/run/open_data.h"

#include <torch/types.h>

#include "elbo/base/log.h"
#include "elbo/comm/host_memory.h"
#include "elbo/data/stage.h"
#include "elbo/run/broadcast_checkpoint.h"

namespace elbo {
namespace {

// The path of the copies on this host.
std::string staged(const DataOptions& data, const Environment& environment, Communicator& host) {
  Stage stage(data.path, data.stage);
  // In pieces, because no rank may wait for the others longer than run.timeout.
  torch::Tensor more = torch::ones({}, torch::kInt64);
  while (more.item<int64_t>() != 0) {
    more.fill_(environment.local_rank() == 0 && stage.copy_some() ? 1 : 0);
    host.all_reduce(more, ReduceOp::max);
  }
  return stage.path();
}

}  // namespace

Dataset open_data(RunConfig& config, const Environment& environment, Communicator& host,
                  const Checkpoint* start, bool stage) {
  int64_t& window = config.data.shuffle_buffer_bytes;
  if (window == 0 && start != nullptr)
    window = saved_config(start->config, config.directory())->data.shuffle_buffer_bytes;
  if (window == 0) {
    torch::Tensor said = torch::tensor(default_shuffle_buffer_bytes());
    host.broadcast(said, 0);
    window = said.item<int64_t>();
  }
  DataOptions options = config.data;
  if (stage && !options.stage.empty()) options.path = staged(options, environment, host);
  Ranks ranks{.compute_on_root = compute_on_root(host), .share = {}, .timeout = config.run.timeout};
  torch::Tensor most = torch::tensor(int64_t{environment.local_size()});
  host.all_reduce(most, ReduceOp::max);
  if (most.item<int64_t>() > 1)
    ranks.share = [&host, &environment](int64_t bytes, const auto& prepare) {
      return share_host_memory(host, environment.local_rank(), bytes, prepare);
    };
  Dataset dataset(options, std::move(ranks));
  for (const std::string& note : dataset.notes()) log::info("{}", note);
  return dataset;
}

}  // namespace elbo
