#include "elbo/data/host_chunks.h"

#include <gmock/gmock.h>
#include <pthread.h>
#include <torch/types.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr int64_t rows_in_chunk = 5;

Chunk chunk_of(ChunkCache::Name name, bool labelled) {
  const auto value = static_cast<double>(10 * name.file + name.chunk);
  return {torch::full({rows_in_chunk, 3}, value, torch::kUInt8),
          labelled ? torch::full({rows_in_chunk}, -value, torch::kFloat32) : torch::Tensor()};
}

int64_t random_below(std::mt19937& random, uint32_t n) { return static_cast<int64_t>(random() % n); }

// Two ranks, each with its own HostChunks on the same memory.
struct Host {
  explicit Host(int64_t slots, double timeout = 60) {
    constexpr int64_t chunk = rows_in_chunk * (3 + 4);
    memory.reset(new (std::align_val_t{64}) char[static_cast<size_t>(HostChunks::bytes(slots, chunk))],
                 [](char* bytes) { operator delete[](bytes, std::align_val_t{64}); });
    HostChunks::prepare(memory.get(), slots);
    for (auto& rank : ranks) rank = std::make_shared<HostChunks>(memory, slots, chunk, timeout);
  }
  std::shared_ptr<char> memory;
  std::array<std::shared_ptr<HostChunks>, 2> ranks;
};

struct Counts {
  std::atomic<int> loaded = 0, wrong = 0, full = 0;
};

// Four threads, two per rank, request random chunks; even ones have labels.
void request_chunks(const Host& host, uint32_t files, uint32_t chunks, Counts& counts) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (uint32_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 2000; ++i) {
        const ChunkCache::Name name{random_below(random, files), random_below(random, chunks)};
        const Chunk expected = chunk_of(name, name.chunk % 2 == 0);
        const ChunkCache::Pointer chunk = host.ranks.at(t % 2)->get(name, [&] {
          ++counts.loaded;
          return expected;
        });
        if (!chunk) {
          ++counts.full;
        } else if (!chunk->x.equal(expected.x) || chunk->label.defined() != expected.label.defined() ||
                   (expected.label.defined() && !chunk->label.equal(expected.label))) {
          ++counts.wrong;
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST(HostChunks, EachChunkIsLoadedOncePerHost) {
  Counts counts;
  request_chunks(Host(40), 2, 20, counts);
  EXPECT_EQ(counts.wrong, 0);
  EXPECT_EQ(counts.full, 0);
  EXPECT_EQ(counts.loaded, 40);
}

TEST(HostChunks, OnlyUnpinnedChunksAreEvicted) {
  const Host host(3);
  Counts counts;
  request_chunks(host, 1, 50, counts);
  EXPECT_EQ(counts.wrong, 0);
  EXPECT_LT(counts.full, 4000);

  // A pinned chunk is not evicted.
  const ChunkCache::Pointer pinned = host.ranks[0]->get({7, 1}, [] { return chunk_of({7, 1}, false); });
  for (int64_t i = 0; i < 20; ++i) {
    const ChunkCache::Name name{8, i};
    ASSERT_TRUE(host.ranks[1]->get(name, [&] { return chunk_of(name, false); }));
  }
  EXPECT_TRUE(pinned->x.equal(chunk_of({7, 1}, false).x));
  std::vector<ChunkCache::Pointer> all{pinned};
  all.reserve(3);
  for (int64_t i = 0; i < 2; ++i)
    all.push_back(host.ranks[1]->get({9, i}, [] { return chunk_of({}, false); }));
  EXPECT_FALSE(host.ranks[0]->get({10, 0}, [] { return chunk_of({}, false); }));
  all.clear();
}

TEST(HostChunks, AFailedLoadIsRetried) {
  const Host host(2);
  EXPECT_THROW(host.ranks[0]->get({0, 0}, []() -> Chunk { fail("unreadable"); }), Error);
  EXPECT_THROW(host.ranks[1]->get({0, 0}, []() -> Chunk { fail("unreadable"); }), Error);
  EXPECT_TRUE(host.ranks[1]->get({0, 0}, [] { return chunk_of({0, 0}, false); }));
}

// The lock is the first thing in the memory. A thread that ends with it stands for a process that is killed.
void die_with_the_lock(const Host& host) {
  std::thread([&] { ::pthread_mutex_lock(reinterpret_cast<pthread_mutex_t*>(host.memory.get())); }).join();
}

TEST(HostChunks, AProcessThatDiesWithTheLockLeavesNobodyTheMemory) {
  const Host host(2);
  const auto ask = [&](size_t rank) {
    return host.ranks.at(rank)->get({0, 0}, [] { return chunk_of({0, 0}, false); });
  };
  ChunkCache::Pointer held = ask(0);
  die_with_the_lock(host);
  for (const size_t rank : {0U, 1U, 0U, 1U}) EXPECT_THROW(ask(rank), Error);
  held.reset();  // must neither throw nor wait
}

TEST(HostChunks, WaitingForAChunkHasALimit) {
  const Host host(2, /*timeout=*/0.2);
  std::promise<void> begun, end;
  std::thread slow([&] {
    host.ranks[0]->get({0, 0}, [&] {
      begun.set_value();
      end.get_future().wait();
      return chunk_of({0, 0}, false);
    });
  });
  begun.get_future().wait();
  EXPECT_THROW(host.ranks[1]->get({0, 0}, [] { return chunk_of({0, 0}, false); }), Error);
  end.set_value();
  slow.join();
}

TEST(HostChunks, WaitingForTheLockHasALimit) {
  const Host host(2, /*timeout=*/0.2);
  auto* lock = reinterpret_cast<pthread_mutex_t*>(host.memory.get());
  std::thread([&] {
    ::pthread_mutex_lock(lock);
    std::thread([&] {
      EXPECT_THROW(host.ranks[0]->get({0, 0}, [] { return chunk_of({0, 0}, false); }), Error);
    }).join();
    ::pthread_mutex_unlock(lock);
  }).join();
  EXPECT_TRUE(host.ranks[0]->get({0, 0}, [] { return chunk_of({0, 0}, false); }));
}

}  // namespace
}  // namespace elbo
