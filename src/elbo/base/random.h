// Counter-based random numbers: each stream is a function of its key, so a checkpoint keeps no generator
// state.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace elbo {

// A 64-bit key of one random stream, derived from its purpose: Key(seed).with("noise").with(step). Equal
// parts give equal streams on every rank. Different parts give different streams unless their keys collide:
// among n keys with a probability of about n²/2^65, which is 1e-4 for a million steps of 64 microbatches and
// 1e-8 for 10,000 such steps.
class Key {
 public:
  explicit Key(uint64_t seed);
  [[nodiscard]] Key with(uint64_t part) const;
  [[nodiscard]] Key with(std::string_view part) const;
  uint64_t value() const { return value_; }

 private:
  uint64_t value_;
};

// The finaliser of SplitMix64 (Steele, Lea & Flood 2014): a mixing bijection of 64-bit words.
constexpr uint64_t mix64(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// The generator of one microbatch, seeded from its key. Models sample through it only, never through the
// global generator. Not thread-safe: create one for each microbatch.
class RandomGenerator {
 public:
  explicit RandomGenerator(Key key, torch::Device device = torch::kCPU);
  torch::Tensor normal(torch::IntArrayRef sizes);               // standard normal, float32, on the device
  torch::Tensor uniform(torch::IntArrayRef sizes);              // uniform in [0, 1), float32, on the device
  torch::Tensor bernoulli(const torch::Tensor& probabilities);  // 0 or 1, of the argument's shape and dtype
  torch::Device device() const { return device_; }

  // From now on the numbers of generators for a GPU are the CPU's, drawn there and copied: for training with
  // the same bits on both.
  static void draw_on_host();

 private:
  torch::Generator generator_;
  torch::Device device_;
};

// A keyed permutation of {0, …, n-1} in O(1) memory: a Feistel network over the next even number of bits with
// cycle walking (Black & Rogaway 2002). n ≥ 1.
class Permutation {
 public:
  Permutation(uint64_t n, Key key);
  uint64_t operator()(uint64_t i) const;  // i < n
  uint64_t size() const { return n_; }

 private:
  uint64_t n_;
  unsigned half_bits_;
  uint64_t round_keys_[6];
};

}  // namespace elbo
