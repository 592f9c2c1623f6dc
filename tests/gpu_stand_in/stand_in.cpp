#include "stand_in.h"

#include <ucontext.h>

#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "elbo/base/error.h"

// The words of CUDA. A block's shared memory is static, because one block runs at a time.
#define ELBO_ONE_NUMBER
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(threads)
#define __syncthreads wait_for_all_threads

namespace {

struct Dimension {
  unsigned x;
};
Dimension threadIdx, blockIdx, blockDim, gridDim;

void wait_for_all_threads();

}  // namespace

#include "elbo/kernels/cuda/kernels.cu"

namespace elbo {
namespace {

// The threads of a block, as coroutines: a thread runs until its next barrier or its end.
class Block {
 public:
  explicit Block(size_t threads) : threads_(threads) {
    for (Thread& thread : threads_) thread.stack = std::make_unique<char[]>(stack_bytes);
  }

  template <typename Body>
  void run(Body&& body) {
    body_ = body;
    for (Thread& thread : threads_) {
      ::getcontext(&thread.context);
      thread.context.uc_stack.ss_sp = thread.stack.get();
      thread.context.uc_stack.ss_size = stack_bytes;
      thread.context.uc_link = &between_;
      ::makecontext(&thread.context, enter, 0);
      thread.ended = false;
    }
    current_block = this;
    for (size_t running = threads_.size(); running > 0;) {
      running = 0;
      for (size_t i = 0; i < threads_.size(); ++i) {
        now_ = i;
        threadIdx.x = static_cast<unsigned>(i);
        ::swapcontext(&between_, &threads_[i].context);
        if (!threads_[i].ended) ++running;
      }
      if (running != 0 && running != threads_.size())
        fail("a barrier of a GPU kernel is reached by {} of {} threads", running, threads_.size());
    }
  }

  static void wait() {
    Block& block = *current_block;
    ::swapcontext(&block.threads_[block.now_].context, &block.between_);
  }

 private:
  static constexpr size_t stack_bytes = 64 << 10;
  struct Thread {
    ucontext_t context{};
    std::unique_ptr<char[]> stack;
    bool ended = false;
  };
  static void enter() {
    Block& block = *current_block;
    block.body_();
    block.threads_[block.now_].ended = true;
  }

  static inline Block* current_block = nullptr;
  std::vector<Thread> threads_;
  ucontext_t between_{};
  std::function<void()> body_;
  size_t now_ = 0;
};

int64_t started = 0;

struct Kernel {
  void (*call)(void** arguments);
  bool has_barriers;
};

template <auto kernel, typename... Arguments>
void unpack(void (*)(Arguments...), void** arguments) {
  [&]<size_t... i>(std::index_sequence<i...>) { kernel(*static_cast<Arguments*>(arguments[i])...); }
  (std::index_sequence_for<Arguments...>());
}

template <auto kernel>
void call_with(void** arguments) {
  unpack<kernel>(kernel, arguments);
}

const std::map<std::string_view, Kernel>& kernels() {
  static const std::map<std::string_view, Kernel> table = {
      {"map_float", {call_with<map_float>, false}},
      {"map_double", {call_with<map_double>, false}},
      {"product_large", {call_with<product_large>, true}},
      {"product_medium", {call_with<product_medium>, true}},
      {"product_small", {call_with<product_small>, true}},
      {"product_double", {call_with<product_double>, false}},
      {"row_sums_float", {call_with<row_sums_float>, true}},
      {"row_sums_double", {call_with<row_sums_double>, true}},
      {"column_sums_float", {call_with<column_sums_float>, false}},
      {"column_sums_double", {call_with<column_sums_double>, false}},
      {"running_sums_float", {call_with<running_sums_float>, false}},
      {"running_sums_double", {call_with<running_sums_double>, false}},
      {"embedding_gradient", {call_with<embedding_gradient>, false}},
      {"scatter_sums", {call_with<scatter_sums>, false}},
      {"square_sums", {call_with<square_sums>, true}},
      {"gather_patches", {call_with<::gather_patches>, false}},
      {"add_patches", {call_with<::add_patches>, false}},
      {"gru_forward", {call_with<gru_forward>, false}},
      {"gru_backward", {call_with<gru_backward>, false}},
      {"lstm_forward", {call_with<lstm_forward>, false}},
      {"lstm_backward", {call_with<lstm_backward>, false}},
      {"bernoulli_rows", {call_with<bernoulli_rows>, true}},
      {"adam_update", {call_with<adam_update>, false}},
  };
  return table;
}

void launch(const gpu::Launch& launch) {
  ++started;
  const auto found = kernels().find(launch.kernel);
  if (found == kernels().end()) fail("the stand-in has no GPU kernel {}", launch.kernel);
  const Kernel& kernel = found->second;
  static Block block(threads_of_block);
  if (launch.threads != threads_of_block || launch.blocks < 1)
    fail("{}: {} blocks of {} threads", launch.kernel, launch.blocks, launch.threads);
  blockDim.x = static_cast<unsigned>(launch.threads);
  gridDim.x = static_cast<unsigned>(launch.blocks);
  for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) {
    if (kernel.has_barriers)
      block.run([&] { kernel.call(launch.arguments); });
    else
      for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) kernel.call(launch.arguments);
  }
}

constexpr gpu::Launcher stand_in = {
    .architecture = nullptr, .source = nullptr, .compile = nullptr, .load = nullptr, .launch = launch};

}  // namespace

GpuStandIn::GpuStandIn() { gpu::use_stand_in(&stand_in); }
GpuStandIn::~GpuStandIn() { gpu::use_stand_in(nullptr); }
int64_t GpuStandIn::launches() const { return started; }

}  // namespace elbo

namespace {

void wait_for_all_threads() { elbo::Block::wait(); }

}  // namespace
