#include "elbo/parallel/parameter_gather.h"

#include <torch/types.h>

namespace elbo {
namespace {

bool overlap(IndexRange a, IndexRange b) { return a.first < b.end && b.first < a.end; }

}  // namespace

void ParameterGather::start(const Buckets& buckets) {
  transfers_.clear();
  for (size_t bucket = buckets.count(); bucket-- > 0;) {
    auto transfer = std::make_unique<Transfer>();
    transfer->elements = buckets[bucket];
    transfer->work = comm_.start_all_gather(values_.narrow(0, buckets[bucket].first, buckets[bucket].size()),
                                            buckets.shard_sizes(bucket));
    transfers_.push_back(std::move(transfer));
  }
}

bool ParameterGather::arrived(IndexRange elements) const {
  for (const auto& transfer : transfers_)
    if (!transfer->arrived && overlap(transfer->elements, elements)) return false;
  return true;
}

void ParameterGather::await(IndexRange elements) {
  for (const auto& transfer : transfers_) {
    if (transfer->arrived || !overlap(transfer->elements, elements)) continue;
    transfer->work->wait();
    transfer->arrived = true;
  }
}

void ParameterGather::await_all() { await({0, values_.numel()}); }

void ParameterGather::poll() {
  for (const auto& transfer : transfers_)
    if (!transfer->arrived) transfer->arrived = transfer->work->done();
}

}  // namespace elbo
