#include "data/host_chunks.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include <atomic>
#include <random>
#include <thread>

#include "base/error.h"

namespace elbo {
namespace {

constexpr int64_t rows = 5;

Chunk chunk_of(ChunkCache::Name name, bool labelled) {
  const auto value = static_cast<double>(10 * name.file + name.chunk);
  return {torch::full({rows, 3}, value, torch::kUInt8),
          labelled ? torch::full({rows}, -value, torch::kFloat32) : torch::Tensor()};
}

int64_t roll(std::mt19937& dice, uint32_t sides) { return static_cast<int64_t>(dice() % sides); }

// Two ranks: each sees the memory through an object of its own.
struct Host {
  explicit Host(int64_t slots) {
    const int64_t slot = Chunk::bytes_in_host(rows * (3 + 4));
    memory.reset(new (std::align_val_t{64}) char[static_cast<size_t>(HostChunks::bytes(slots, slot))],
                 [](char* bytes) { operator delete[](bytes, std::align_val_t{64}); });
    HostChunks::prepare(memory.get(), slots);
    for (auto& rank : ranks) rank = std::make_shared<HostChunks>(memory, slots, slot);
  }
  std::shared_ptr<char> memory;
  std::array<std::shared_ptr<HostChunks>, 2> ranks;
};

TEST(HostChunks, EachChunkIsLoadedOnceForAll) {
  const Host host(40);
  std::atomic<int> loaded = 0, wrong = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (uint32_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 dice(t);
      for (int turn = 0; turn < 2000; ++turn) {
        const ChunkCache::Name name{roll(dice, 2), roll(dice, 20)};
        const bool labelled = name.chunk % 2 == 0;
        const ChunkCache::Pointer chunk = host.ranks.at(t % 2)->get(name, [&] {
          ++loaded;
          return chunk_of(name, labelled);
        });
        const Chunk expected = chunk_of(name, labelled);
        if (!chunk->x.equal(expected.x) || chunk->label.defined() != labelled ||
            (labelled && !chunk->label.equal(expected.label)))
          ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(loaded, 40);
}

TEST(HostChunks, ChunksThatAreNotInUseMakeRoom) {
  const Host host(3);
  std::atomic<int> wrong = 0, without_room = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (uint32_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 dice(t);
      for (int turn = 0; turn < 2000; ++turn) {
        const ChunkCache::Name name{0, roll(dice, 50)};
        const ChunkCache::Pointer chunk =
            host.ranks.at(t % 2)->get(name, [&] { return chunk_of(name, false); });
        if (!chunk) {
          ++without_room;
        } else if (!chunk->x.equal(chunk_of(name, false).x)) {
          ++wrong;
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LT(without_room, 4000);

  // One that is held stays, whatever comes.
  const ChunkCache::Pointer held = host.ranks[0]->get({7, 1}, [] { return chunk_of({7, 1}, false); });
  for (int64_t i = 0; i < 20; ++i) {
    const ChunkCache::Name name{8, i};
    ASSERT_TRUE(host.ranks[1]->get(name, [&] { return chunk_of(name, false); }));
  }
  EXPECT_TRUE(held->x.equal(chunk_of({7, 1}, false).x));
  std::vector<ChunkCache::Pointer> all{held};
  all.reserve(3);
  for (int64_t i = 0; i < 2; ++i)
    all.push_back(host.ranks[1]->get({9, i}, [] { return chunk_of({}, false); }));
  EXPECT_FALSE(host.ranks[0]->get({10, 0}, [] { return chunk_of({}, false); }));
  all.clear();
}

TEST(HostChunks, AChunkThatCannotBeReadIsTriedAgain) {
  const Host host(2);
  EXPECT_THROW(host.ranks[0]->get({0, 0}, []() -> Chunk { fail("unreadable"); }), Error);
  EXPECT_THROW(host.ranks[1]->get({0, 0}, []() -> Chunk { fail("unreadable"); }), Error);
  EXPECT_TRUE(host.ranks[1]->get({0, 0}, [] { return chunk_of({0, 0}, false); }));
}

}  // namespace
}  // namespace elbo
