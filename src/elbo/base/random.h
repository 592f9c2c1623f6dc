// Randomness as a function of position: nothing here has a state that a checkpoint would have to keep.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace elbo {

// A 64-bit name of one stream of random numbers, made by mixing what the stream is for:
// Key(seed).with("noise").with(step). Equal names give equal streams on every rank. Different names give
// different streams unless their 64 bits collide: among n names with a probability of about n²/2^65, which is
// 1e-4 for a million steps of 64 microbatches and 1e-8 for 10,000 such steps.
class Key {
 public:
  explicit Key(uint64_t seed);
  [[nodiscard]] Key with(uint64_t part) const;
  [[nodiscard]] Key with(std::string_view part) const;
  uint64_t value() const { return value_; }

 private:
  uint64_t value_;
};

// The finaliser of SplitMix64 (Steele, Lea & Flood 2014): a bijection of 64-bit words that passes for random.
constexpr uint64_t scramble(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// The generator of a microbatch, seeded from its key. All noise of a model comes from it: the global
// generator is never used. Not thread-safe; make one for each leaf.
class RandomGenerator {
 public:
  explicit RandomGenerator(Key key, torch::Device device = torch::kCPU);
  torch::Tensor normal(torch::IntArrayRef sizes);               // standard normal, float32, on the device
  torch::Tensor uniform(torch::IntArrayRef sizes);              // uniform in [0, 1), float32, on the device
  torch::Tensor bernoulli(const torch::Tensor& probabilities);  // 0 or 1, of the shape of its argument
  torch::Device device() const { return device_; }

 private:
  torch::Generator generator_;
  torch::Device device_;
};

// A keyed bijection of {0, …, n-1} in O(1) memory: a Feistel network over the next even number of bits with
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
