#include "elbo/comm/host_memory.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <filesystem>
#include <set>
#include <string>

#include "elbo/data/host_chunks.h"
#include "ranks.h"

namespace elbo {
namespace {

TEST(HostMemory, IsSharedByTheRanksOfAHost) {
  constexpr int64_t slots = 20, chunk_bytes = 24;
  const std::shared_ptr<void> memory =
      share_host_memory(world(), environment().local_rank(), HostChunks::bytes(slots, chunk_bytes),
                        [&](void* raw) { HostChunks::prepare(raw, slots); });
  ASSERT_TRUE(memory);
  const auto chunks = std::make_shared<HostChunks>(memory, slots, chunk_bytes, /*timeout=*/60);
  torch::Tensor loaded = torch::zeros({}, torch::kInt64);
  for (int64_t i = 0; i < slots; ++i) {
    const ChunkCache::Pointer chunk = chunks->get({0, i}, [&] {
      loaded += 1;
      return Chunk{torch::full({24}, i, torch::kUInt8), {}};
    });
    ASSERT_TRUE(chunk);
    EXPECT_EQ(chunk->x.sum().item<int64_t>(), 24 * i);
  }
  world().all_reduce(loaded, ReduceOp::sum);
  EXPECT_EQ(loaded.item<int64_t>(), slots);  // one host
}

std::set<std::string> names_in_shared_memory() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    if (entry.path().filename().string().starts_with("elbo")) names.insert(entry.path().filename());
  return names;
}

// A rank that is killed at any time leaves no name in /dev/shm.
TEST(HostMemory, HasNoName) {
  const std::set<std::string> before = names_in_shared_memory();
  const std::shared_ptr<void> memory = share_host_memory(
      world(), environment().local_rank(), 4096, [&](void*) { EXPECT_EQ(names_in_shared_memory(), before); });
  EXPECT_TRUE(memory);
}

TEST(HostMemory, IsNullOnEveryRankIfAHostCannotAllocateIt) {
  bool prepared = false;
  EXPECT_FALSE(share_host_memory(world(), environment().local_rank(), int64_t{1'000'000'000'000'000},
                                 [&](void*) { prepared = true; }));
  EXPECT_FALSE(prepared);
}

}  // namespace
}  // namespace elbo
