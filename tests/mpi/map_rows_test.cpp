#include "elbo/eval/map_rows.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "elbo/hdf5/hdf5.h"
#include "ranks.h"

namespace elbo {
namespace {

// `count` rows of one number each, which is the row's; labels are the rows modulo 7.
class NumberedRows final : public RowSource {
 public:
  explicit NumberedRows(int64_t count) : count_(count) {}
  int64_t rows() const override { return count_; }
  int64_t rows_per_chunk() const override { return 10; }
  int64_t bytes_per_row() const override { return 4; }
  Batch read(const std::vector<int64_t>& ids) const override {
    const torch::Tensor index = torch::tensor(ids);
    return {index.to(torch::kFloat32).unsqueeze(1), index.remainder(7), index};
  }
  void read_all() const override {}
  std::string access_method() const override { return "from memory"; }

 private:
  int64_t count_;
};

// Ranks have different numbers of workers, and there are rounds in which some ranks have few rows or none.
TEST(MapRows, RankZeroWritesEveryRowOnceInOrder) {
  constexpr int64_t microbatch = 8;
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("elbo_map_rows_{}.h5", ::getpid())).string();
  Workers workers(1 + environment().rank() % 2);
  for (const int64_t rows : {1, 8, 97}) {
    map_rows(
        world(), workers, NumberedRows(rows), microbatch, {{"pair", {2}}, {"number", {}}},
        [&](int worker, int64_t index, int64_t first, int64_t end) {
          EXPECT_LT(worker, workers.count());
          EXPECT_EQ(first, index * microbatch);
          EXPECT_EQ(end, std::min(first + microbatch, rows));
          const torch::Tensor id = torch::arange(first, end, torch::kFloat32);
          return torch::stack({id * 2, id + static_cast<float>(index), -id}, 1);
        },
        path);
    if (world().rank() == 0) {
      const torch::Tensor id = torch::arange(rows, torch::kFloat32);
      const auto guard = hdf5::lock();
      const hdf5::Handle file = hdf5::open_file(path);
      EXPECT_TRUE(torch::equal(hdf5::read_tensor(hdf5::open_dataset(file, "/number")), -id));
      EXPECT_TRUE(torch::equal(hdf5::read_tensor(hdf5::open_dataset(file, "/pair")),
                               torch::stack({id * 2, id + id.div(microbatch, "floor")}, 1)));
      EXPECT_TRUE(torch::equal(hdf5::read_tensor(hdf5::open_dataset(file, "/label")),
                               torch::arange(rows, torch::kInt64).remainder(7)));
      EXPECT_TRUE(torch::equal(hdf5::read_tensor(hdf5::open_dataset(file, "/row")),
                               torch::arange(rows, torch::kInt64)));
      EXPECT_FALSE(hdf5::exists(file, "/split")) << "all rows are of one split";
      std::filesystem::remove(path);
    } else {
      EXPECT_FALSE(std::filesystem::exists(path)) << "only rank 0 writes";
    }
  }
}

}  // namespace
}  // namespace elbo
