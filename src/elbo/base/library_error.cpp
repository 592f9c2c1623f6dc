#include "elbo/base/library_error.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <new>
#include <string>
#include <string_view>

namespace elbo {
namespace {

// Other libraries' messages continue for many lines with traces of their code.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

Error failure(const std::string& sentence) { return {ExitCode::failure, sentence}; }

}  // namespace

Error describe_library_error(const std::exception& error) {
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&error))
    return failure(fmt::format("{}: {}", file->path1().string(), file->code().message()));
  const std::string text = first_line(error.what());
  const auto says = [&](std::string_view words) { return text.find(words) != std::string::npos; };

  // LibTorch has no separate type for the memory of the host.
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr || says("can't allocate memory"))
    return failure(
        "memory ran out; a smaller network, train.microbatch, train.batch or data.shuffle_buffer_bytes needs "
        "less");
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || says("CUDA out of memory") ||
      says("CUDA error: out of memory") || says("CUBLAS_STATUS_ALLOC_FAILED"))
    return failure(
        "the GPU's memory ran out; a smaller network, train.microbatch or train.batch needs less, and "
        "nvidia-smi shows what other processes hold");
  if (says("busy or unavailable"))
    return failure(
        "the GPU belongs to another process, because its compute mode is exclusive (nvidia-smi shows it); "
        "wait, or choose another GPU by CUDA_VISIBLE_DEVICES");
  if (says("no kernel image is available"))
    return failure("this LibTorch has no kernels for this GPU; use train.device=cpu, or a newer LibTorch");
  if (const size_t end = text.find(" does not have a deterministic implementation"); end != std::string::npos)
    return {
        ExitCode::usage,
        fmt::format("train.exact=true: {} has no deterministic kernel on a GPU; use train.exact=false, or "
                    "train.device=cpu",
                    text.substr(0, end))};
  constexpr std::string_view cuda = "CUDA error: ";
  if (text.starts_with(cuda)) return failure("the GPU failed: " + text.substr(cuda.size()));
  return failure(text);
}

}  // namespace elbo
