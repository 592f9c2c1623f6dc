#include "elbo/kernels/gpu.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/plugin.h"
#include "elbo/base/sha256.h"

namespace elbo::gpu {
namespace {

const Launcher* launcher_in_use = nullptr;
bool host_memory = false;

// Blocks that fill any GPU; their threads take several elements each where there are more.
constexpr int64_t most_blocks = 16384;

// Nothing is started for no blocks.
template <typename... Arguments>
void launch(const char* kernel, int64_t blocks, Arguments... arguments) {
  if (blocks == 0) return;
  if (launcher_in_use == nullptr) fail("the GPU kernel {} was called before the GPU was in use", kernel);
  std::array<void*, sizeof...(arguments)> pointers{static_cast<void*>(&arguments)...};
  launcher_in_use->launch({kernel, std::min(blocks, most_blocks), threads_of_block, pointers.data()});
}

int64_t in_parts(int64_t elements, int64_t part) { return (elements + part - 1) / part; }

// One thread for each element.
template <typename... Arguments>
void launch_for_each(const char* kernel, int64_t elements, Arguments... arguments) {
  launch(kernel, in_parts(elements, threads_of_block), arguments...);
}

constexpr int rows_at_once = threads_of_block / lanes_of_row;

// Many rows are added side by side; the parts of few long ones are.
template <typename Number>
void launch_row_sums(const char* kernel, const Number* x, int64_t rows, int64_t n, Number* sums) {
  constexpr int64_t long_row = 4096, many_rows = 4096;
  const int slots = n >= long_row && rows < many_rows ? rows_at_once : 1;
  launch(kernel, in_parts(rows * slots, rows_at_once), x, rows, n, slots, sums);
}

// The largest tiles of which there are enough for a large GPU.
std::pair<const char*, int64_t> kernel_of(const ProductTask<float>& task) {
  constexpr int64_t enough = 128;
  const auto tiles = [&](int64_t side) {
    return task.batches * in_parts(task.rows, side) * in_parts(task.columns, side);
  };
  if (tiles(large_tile) >= enough) return {"product_large", tiles(large_tile)};
  if (tiles(medium_tile) >= enough) return {"product_medium", tiles(medium_tile)};
  return {"product_small", tiles(small_tile)};
}

PatchShape numbers_of(const Patches& shape) {
  PatchShape numbers = {.images = shape.images,
                        .channels = shape.channels,
                        .sides = {},
                        .kernel = {},
                        .stride = {},
                        .padding = {},
                        .dilation = {},
                        .grid = {}};
  std::ranges::copy(shape.sides, numbers.sides);
  std::ranges::copy(shape.kernel, numbers.kernel);
  std::ranges::copy(shape.stride, numbers.stride);
  std::ranges::copy(shape.padding, numbers.padding);
  std::ranges::copy(shape.dilation, numbers.dilation);
  std::ranges::copy(shape.grid, numbers.grid);
  return numbers;
}

namespace fs = std::filesystem;

// Empty where no folder is named.
fs::path cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return fs::path(cache) / "elbo";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return fs::path(home) / ".cache/elbo";
  return {};
}

// A file of the cache: the digest of the cubin, a line's end, the cubin. "" where it is missing or damaged.
std::string read_cubin(const fs::path& path) {
  constexpr size_t digest_size = 64;
  if (std::error_code ignored; !fs::is_regular_file(path, ignored)) return "";
  const std::string content = read_file(path);
  if (content.size() <= digest_size) return "";
  std::string cubin = content.substr(digest_size + 1);
  return sha256(cubin.data(), cubin.size()) == std::string_view(content).substr(0, digest_size) ? cubin : "";
}

// Ranks that start together may all compile: each writes the same file atomically.
std::string cached_cubin(const Launcher& launcher, const std::string& architecture) {
  const fs::path folder = cache_folder();
  if (folder.empty()) return launcher.compile(architecture);
  const std::string source = launcher.source();
  const fs::path path =
      folder / fmt::format("{}_{}.cubin", architecture, sha256(source.data(), source.size()));
  try {
    if (std::string cubin = read_cubin(path); !cubin.empty()) return cubin;
  } catch (const Error& error) {
    log::info("{}; the GPU kernels are compiled again", error.what());
  }
  log::info("compiling the GPU kernels for {}, once for this version of elbo", architecture);
  std::string cubin = launcher.compile(architecture);
  try {
    make_parent(path);
    write_file(path, sha256(cubin.data(), cubin.size()) + "\n" + cubin);
  } catch (const Error& error) {
    log::info("{}; the GPU kernels are compiled again at the next start", error.what());
  }
  return cubin;
}

}  // namespace

const Launcher& library() {
  std::string why;
  const void* table = plugin_symbol("libelbo_cuda.so", "elbo_kernel_launcher", &why);
  if (table == nullptr) fail("the GPU kernels cannot be loaded: {}", why);
  return *static_cast<const Launcher*>(table);
}

void start(int device) {
  if (launcher_in_use != nullptr) return;
  const Launcher& launcher = library();
  launcher.load(device, cached_cubin(launcher, launcher.architecture(device)));
  launcher_in_use = &launcher;
}

void use_stand_in(const Launcher* launcher) {
  launcher_in_use = launcher;
  host_memory = launcher != nullptr;
}
bool is_in_use() { return launcher_in_use != nullptr; }
bool computes(bool on_cpu) { return launcher_in_use != nullptr && (!on_cpu || host_memory); }

void map(Elementary function, const float* x, int64_t n, float* y) {
  launch_for_each("map_float", n, static_cast<int>(function), x, n, y);
}
void map(Elementary function, const double* x, int64_t n, double* y) {
  launch_for_each("map_double", n, static_cast<int>(function), x, n, y);
}

void row_sums(const float* x, int64_t rows, int64_t n, float* sums) {
  launch_row_sums("row_sums_float", x, rows, n, sums);
}
void row_sums(const double* x, int64_t rows, int64_t n, double* sums) {
  launch_row_sums("row_sums_double", x, rows, n, sums);
}

void column_sums(const float* x, int64_t outer, int64_t n, int64_t inner, float* sums) {
  launch_for_each("column_sums_float", outer * inner, x, outer, n, inner, sums);
}
void column_sums(const double* x, int64_t outer, int64_t n, int64_t inner, double* sums) {
  launch_for_each("column_sums_double", outer * inner, x, outer, n, inner, sums);
}
void running_sums(const float* x, int64_t outer, int64_t n, int64_t inner, float* sums) {
  launch_for_each("running_sums_float", outer * inner, x, outer, n, inner, sums);
}
void running_sums(const double* x, int64_t outer, int64_t n, int64_t inner, double* sums) {
  launch_for_each("running_sums_double", outer * inner, x, outer, n, inner, sums);
}

void product(const ProductTask<float>& task) {
  const auto [kernel, tiles] = kernel_of(task);
  launch(kernel, tiles, task);
}
void product(const ProductTask<double>& task) {
  launch_for_each("product_double", task.batches * task.rows * task.columns, task);
}

void gather_patches(const Patches& shape, const float* images, float* patches) {
  launch_for_each("gather_patches", shape.count() * shape.size(), numbers_of(shape), images, patches);
}
void add_patches(const Patches& shape, const float* patches, float* images) {
  const int64_t numbers = shape.images * shape.sides[0] * shape.sides[1] * shape.sides[2] * shape.channels;
  launch_for_each("add_patches", numbers, numbers_of(shape), patches, images);
}

void embedding_gradient(const float* gradient, const int64_t* index, int64_t places, int64_t rows,
                        int64_t width, int64_t padding_index, float* table) {
  launch_for_each("embedding_gradient", rows * width, gradient, index, places, rows, width, padding_index,
                  table);
}

void scatter_sums(const float* source, const IndexView& index, int64_t outer, int64_t n, int64_t inner,
                  int64_t size, float* sums) {
  launch_for_each("scatter_sums", outer * inner, source, index.data, index.outer, index.step, index.inner,
                  outer, n, inner, size, sums);
}

void gru_forward(const float* input, const float* recurrent, const float* before, int64_t rows,
                 int64_t hidden, float* kept, float* next) {
  launch_for_each("gru_forward", rows * hidden, input, recurrent, before, rows, hidden, kept, next);
}
void gru_backward(const float* kept, const float* recurrent, const float* before, const float* d_next,
                  int64_t rows, int64_t hidden, float* d_input, float* d_recurrent, float* d_before) {
  launch_for_each("gru_backward", rows * hidden, kept, recurrent, before, d_next, rows, hidden, d_input,
                  d_recurrent, d_before);
}
void lstm_forward(const float* input, const float* recurrent, const float* before, int64_t rows,
                  int64_t hidden, float* kept, float* next) {
  launch_for_each("lstm_forward", rows * hidden, input, recurrent, before, rows, hidden, kept, next);
}
void lstm_backward(const float* kept, const float* recurrent, const float* before, const float* d_next,
                   int64_t rows, int64_t hidden, float* d_input, float* d_recurrent, float* d_before) {
  launch_for_each("lstm_backward", rows * hidden, kept, recurrent, before, d_next, rows, hidden, d_input,
                  d_recurrent, d_before);
}

void bernoulli_rows(const float* logits, const float* x, int64_t rows, int64_t x_rows, int64_t features,
                    float* log_prob, float* slope) {
  launch("bernoulli_rows", in_parts(rows, rows_at_once), logits, x, rows, x_rows, features, log_prob, slope);
}

void adam_update(int64_t n, const AdamFactors& factors, const float* gradient, float* parameters,
                 float* exp_avg, float* exp_avg_sq) {
  launch_for_each("adam_update", n, n, factors, gradient, parameters, exp_avg, exp_avg_sq);
}
void square_sums(const float* x, int64_t blocks, double* sums) {
  launch("square_sums", in_parts(blocks, rows_at_once), x, blocks, sums);
}

}  // namespace elbo::gpu
