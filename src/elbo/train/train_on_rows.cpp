#include "elbo/train/train_on_rows.h"

#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/data/sampler.h"
#include "elbo/train/data_parallel_step.h"

namespace elbo {

double train_on_rows(Communicator& world, Workers& workers,
                     const std::vector<std::shared_ptr<Model>>& replicas, const Batch& rows,
                     const RowTraining& how) {
  constexpr int64_t bucket_bytes = 1 << 20;
  DataParallelStep step(world, world, workers, replicas,
                        {.batch = how.batch,
                         .microbatch = how.microbatch,
                         .seed = how.seed,
                         .bucket_bytes = bucket_bytes,
                         .optimizer = how.optimizer,
                         .end_step = how.steps});
  const Sampler order(rows.size(), 1, rows.size(), Key(how.seed).with("order"));
  const auto data = [&](int64_t number, int64_t microbatch) {
    torch::Tensor ids = torch::empty({how.microbatch}, torch::kInt64);
    const int64_t first = number * how.batch + microbatch * how.microbatch;
    for (int64_t i = 0; i < how.microbatch; ++i) ids.mutable_data_ptr<int64_t>()[i] = order.row_at(first + i);
    return Batch{.x = rows.x.index_select(0, ids),
                 .label = rows.label.defined() ? rows.label.index_select(0, ids) : rows.label,
                 .ids = ids};
  };
  double sum = 0;
  int64_t counted = 0;
  for (int64_t number = 0; number < how.steps; ++number) {
    const StepReport report = step.take(number, data, [] { return RankStatus{}; });
    if (!report.finite) {
      step.values();  // parameters are in transit, and no call may be left incomplete
      fail("the loss of step {} of {} is not finite", number + 1, how.steps);
    }
    if (number < how.steps - (how.steps + 9) / 10) continue;
    sum += report.loss;
    ++counted;
  }
  step.values();  // waits for the parameters
  return sum / static_cast<double>(counted);
}

}  // namespace elbo
