#include "elbo/parallel/parameter_gather.h"

#include <torch/types.h>

#include <algorithm>
#include <exception>

#include "elbo/base/log.h"

namespace elbo {
ParameterGather::~ParameterGather() {
  if (std::uncaught_exceptions() > 0) return;
  try {
    await_all();
  } catch (const std::exception& error) {
    log::warning("{}", error.what());
  }
}

void ParameterGather::start(const Buckets& buckets) {
  transfers_.clear();
  for (size_t bucket = buckets.count(); bucket-- > 0;) {
    const IndexRange elements = buckets[bucket];
    transfers_.push_back(std::make_unique<Transfer>(
        elements, LevelGather(levels_, values_.narrow(0, elements.first, elements.size()),
                              buckets.shard_sizes(bucket))));
  }
}

bool ParameterGather::arrived(IndexRange elements) const {
  return std::ranges::all_of(transfers_, [&](const auto& transfer) {
    return transfer->arrived || !transfer->elements.overlaps(elements);
  });
}

// A communicator starts the buckets in the same order on all ranks. So those before this one go first.
void ParameterGather::await(IndexRange elements) {
  for (const auto& transfer : transfers_) {
    if (arrived(elements)) return;
    while (!transfer->gather.last()) transfer->gather.next();
    if (transfer->arrived || !transfer->elements.overlaps(elements)) continue;
    transfer->gather.wait();
    transfer->arrived = true;
  }
}

void ParameterGather::await_all() { await({0, values_.numel()}); }

void ParameterGather::poll() {
  size_t started = levels_.count();  // collectives of the bucket before
  for (const auto& transfer : transfers_) {
    LevelGather& gather = transfer->gather;
    while (gather.started() < started && gather.done()) gather.next();
    if (!transfer->arrived && gather.last()) transfer->arrived = gather.done();
    started = gather.started();
  }
}

}  // namespace elbo
