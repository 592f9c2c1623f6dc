#include "elbo/data/loader.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/flight_recorder.h"
#include "elbo/base/host.h"
#include "elbo/base/log.h"
#include "elbo/base/stopwatch.h"
#include "elbo/base/waiting_time.h"
#include "elbo/data/binarize.h"

namespace elbo {
namespace {

constexpr double hang_grace = 2;               // seconds, for a late reader to end by itself
using Position = std::pair<int64_t, int64_t>;  // step, microbatch

// A rank's microbatches in the order in which its workers, running in parallel, request them.
std::vector<int64_t> request_order(IndexRange microbatches, int workers) {
  std::vector<int64_t> order;
  for (int64_t i = 0; static_cast<int64_t>(order.size()) < microbatches.size(); ++i)
    for (int worker = 0; worker < workers; ++worker) {
      const IndexRange own = partition(microbatches, worker, workers);
      if (i < own.size()) order.push_back(own.first + i);
    }
  return order;
}

}  // namespace

struct Loader::State {
  const RowSource& source;
  const LoaderOptions options;
  const Sampler sampler;
  const Key binarize_key;

  mutable std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  std::map<Position, Batch> ready;
  std::exception_ptr failure;
  bool stopping = false, ended = false;  // what the reader should do, has done
  std::string hang;                      // what a reader that did not come in time was waited for
  double waited = 0;                     // seconds
  std::thread reader;

  State(const RowSource& rows, LoaderOptions loader_options)
      : source(rows),
        options(std::move(loader_options)),
        sampler(rows.rows(), rows.rows_per_chunk(), options.shuffle_buffer_bytes / rows.bytes_per_row(),
                Key(options.seed), /*shuffle=*/true, options.weights),
        binarize_key(elbo::binarize_key(options.seed, "train")) {}

  Batch read(Position position) const {
    const int64_t first = position.first * options.batch + position.second * options.microbatch;
    std::vector<int64_t> ids;
    ids.reserve(static_cast<size_t>(options.microbatch));
    for (int64_t i = 0; i < options.microbatch; ++i) ids.push_back(sampler.row_at(first + i));
    Batch batch = source.read(ids);
    if (options.binarize == "none") return batch;
    const int64_t elements = batch.x.numel() / batch.size();
    for (int64_t i = 0; i < options.microbatch; ++i) {
      const Key key = options.binarize == "static"
                          ? binarize_key.with(static_cast<uint64_t>(ids[static_cast<size_t>(i)]))
                          : binarize_key.with("dynamic").with(static_cast<uint64_t>(first + i));
      binarize_row(batch.x.mutable_data_ptr<float>() + i * elements, elements, key);
    }
    return batch;
  }

  // Reads a split that fits the shuffle buffer completely, so that invalid rows are reported before the first
  // step.
  void read_small_split() const {
    if (source.rows() * source.bytes_per_row() <= options.shuffle_buffer_bytes) source.read_all();
  }

  // Waits until a microbatch can be added; returns false if the loader stops. When the queue is full, it
  // sleeps until half of it is consumed, because each wake-up takes a core from a worker.
  bool wait_for_space() {
    const auto capacity = static_cast<size_t>(options.prefetch * options.workers);
    std::unique_lock guard(mutex);
    if (ready.size() >= capacity)
      changed.wait(guard, [&] { return stopping || ready.size() <= capacity / 2; });
    return !stopping;
  }

  void run_reader() {
    read_ahead();
    const std::lock_guard guard(mutex);
    ended = true;
    changed.notify_all();
  }

  void read_ahead() {
    at::set_num_threads(1);
    const std::vector<int64_t> microbatches = request_order(options.microbatches, options.workers);
    try {
      for (int64_t step = options.first_step; step < options.end_step; ++step)
        for (const int64_t microbatch : microbatches) {
          if (!wait_for_space()) return;
          const Doing doing(FlightRecorder::instance().record().reader, "reads rows");
          Batch batch = read({step, microbatch});
          if (options.pinned) batch = batch.pinned();
          {
            const std::lock_guard guard(mutex);
            ready.emplace(Position{step, microbatch}, std::move(batch));
          }
          changed.notify_all();
        }
    } catch (...) {
      const std::lock_guard guard(mutex);
      failure = std::current_exception();
      changed.notify_all();
    }
  }
};

Loader::Loader(const RowSource& source, LoaderOptions options)
    : state_(std::make_unique<State>(source, std::move(options))) {
  state_->read_small_split();
  state_->reader = std::thread([state = state_.get()] { state->run_reader(); });
}

Loader::~Loader() {
  {
    std::unique_lock guard(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
    const double limit = state_->hang.empty() ? state_->options.timeout : hang_grace;
    if (!wait_until(state_->changed, guard, limit, [&] { return state_->ended; })) {
      log::set_enabled(true);
      log::error(host_name() + ": " + (state_->hang.empty() ? "reading the data hangs" : state_->hang));
      std::_Exit(static_cast<int>(ExitCode::hang));
    }
  }
  state_->reader.join();
}

Batch Loader::microbatch(int64_t step, int64_t microbatch) {
  const Stopwatch watch;
  std::unique_lock guard(state_->mutex);
  FlightRecord& record = FlightRecorder::instance().record();
  ++record.waits_for_data;
  const bool there = wait_until(state_->changed, guard, state_->options.timeout, [&] {
    return state_->failure || state_->ready.contains({step, microbatch});
  });
  if (there) --record.waits_for_data;
  state_->waited += watch.seconds();
  if (!there) {
    state_->hang = fmt::format(
        "waited {:g} s for the data of step {}: reading them hangs, or needs more time than run.timeout",
        state_->options.timeout, step + 1);
    fail_hanging("{}", state_->hang);
  }
  const auto found = state_->ready.find({step, microbatch});
  if (found == state_->ready.end()) std::rethrow_exception(state_->failure);
  Batch batch = std::move(found->second);
  state_->ready.erase(found);
  guard.unlock();  // the notified thread needs the lock
  state_->changed.notify_all();
  return batch;
}

double Loader::waited_seconds() const {
  const std::lock_guard guard(state_->mutex);
  return state_->waited;
}

Batch read_rows(const RowSource& source, int64_t first, int64_t end, const std::string& binarize, Key key) {
  std::vector<int64_t> ids(static_cast<size_t>(end - first));
  std::iota(ids.begin(), ids.end(), first);
  return read_rows(source, ids, binarize, key);
}

Batch read_rows(const RowSource& source, const std::vector<int64_t>& ids, const std::string& binarize,
                Key key) {
  Batch batch = source.read(ids);
  if (binarize == "none") return batch;
  const int64_t elements = batch.x.numel() / batch.size();
  for (int64_t i = 0; i < batch.size(); ++i)
    binarize_row(batch.x.mutable_data_ptr<float>() + i * elements, elements,
                 key.with(static_cast<uint64_t>(ids[static_cast<size_t>(i)])));
  return batch;
}

}  // namespace elbo
