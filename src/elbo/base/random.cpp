#include "elbo/base/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <torch/types.h>

#include <atomic>
#include <bit>

namespace elbo {
namespace {

constexpr uint64_t golden = 0x9e3779b97f4a7c15ULL;

// LibTorch's CPU generator uses only 32 bits of a seed: of a million microbatches about a hundred pairs would
// share their noise. So the whole state is filled from the key.
at::mt19937 make_engine(uint64_t seed) {
  at::mt19937_data_pod state{.seed_ = seed, .left_ = 1, .seeded_ = true, .next_ = 0, .state_ = {}};
  for (uint32_t& word : state.state_) {
    seed += golden;
    word = static_cast<uint32_t>(mix64(seed) >> 32);
  }
  at::mt19937 engine;
  engine.set_data(state);
  return engine;
}

std::atomic<bool> draws_on_host = false;

torch::Device source_of(torch::Device device) { return draws_on_host ? torch::kCPU : device; }

torch::Generator make_generator(uint64_t seed, torch::Device device) {
  if (device.is_cpu()) {
    torch::Generator generator = at::make_generator<at::CPUGeneratorImpl>();
    generator.get<at::CPUGeneratorImpl>()->set_engine(make_engine(seed));
    return generator;
  }
  torch::Generator generator =
      at::globalContext().getAcceleratorHooksInterface(device.type()).getNewGenerator(device.index());
  generator.set_current_seed(seed);
  return generator;
}

}  // namespace

Key::Key(uint64_t seed) : value_(mix64(seed + golden)) {}

Key Key::with(uint64_t part) const {
  Key key = *this;
  // Two rounds, so that neither swapped parts nor differences in two parts cancel.
  key.value_ = mix64(mix64(value_ + golden) ^ (part * golden + 1));
  return key;
}

Key Key::with(std::string_view part) const {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a; parts are a few short literals
  for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return with(hash);
}

RandomGenerator::RandomGenerator(Key key, torch::Device device)
    : generator_(make_generator(key.value(), source_of(device))), device_(device) {}

void RandomGenerator::draw_on_host() { draws_on_host = true; }

torch::Tensor RandomGenerator::normal(torch::IntArrayRef sizes) {
  return torch::randn(sizes, generator_, torch::TensorOptions().device(generator_.device())).to(device_);
}

torch::Tensor RandomGenerator::uniform(torch::IntArrayRef sizes) {
  return torch::rand(sizes, generator_, torch::TensorOptions().device(generator_.device())).to(device_);
}

torch::Tensor RandomGenerator::bernoulli(const torch::Tensor& probabilities) {
  return uniform(probabilities.sizes()).lt(probabilities).to(probabilities.scalar_type());
}

Permutation::Permutation(uint64_t n, Key key)
    : n_(n),
      half_bits_(std::max(1U, (static_cast<unsigned>(std::bit_width(n > 0 ? n - 1 : 0)) + 1) / 2)),
      round_keys_{} {
  uint64_t round = 0;
  for (uint64_t& round_key : round_keys_) round_key = key.with("feistel").with(round++).value();
}

uint64_t Permutation::operator()(uint64_t i) const {
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  do {  // fewer than four iterations on average: the domain is smaller than 4n
    uint64_t left = i >> half_bits_;
    uint64_t right = i & mask;
    for (const uint64_t round_key : round_keys_) {
      const uint64_t next = left ^ (mix64(right + round_key) & mask);
      left = right;
      right = next;
    }
    i = (left << half_bits_) | right;
  } while (i >= n_);
  return i;
}

}  // namespace elbo
