#include "elbo/kernels/cuda/nvrtc.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <string_view>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/kernels/cuda/sources.h"

namespace elbo {
namespace {

// Declared here, because installations have the library without its header. 0 is success.
using Program = void*;
struct Nvrtc {
  const char* (*error_string)(int);
  int (*version)(int* major, int* minor);
  int (*create)(Program*, const char* source, const char* name, int headers, const char* const* texts,
                const char* const* names);
  int (*destroy)(Program*);
  int (*compile)(Program, int options, const char* const* texts);
  int (*log_size)(Program, size_t*);
  int (*log)(Program, char*);
  int (*cubin_size)(Program, size_t*);
  int (*cubin)(Program, char*);
};

void* open_nvrtc(std::string& why) {
  for (const char* name : {"libnvrtc.so.13", "libnvrtc.so"})
    if (void* const handle = ::dlopen(name, RTLD_NOW | RTLD_GLOBAL); handle != nullptr) return handle;
  why = ::dlerror();
  return nullptr;
}

template <typename Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  if (function == nullptr) fail("the CUDA compiler NVRTC that is installed has no function {}", name);
}

Nvrtc load_nvrtc() {
  std::string why;
  void* const library = open_nvrtc(why);
  if (library == nullptr)
    fail(
        "the CUDA compiler NVRTC cannot be loaded ({}); install the wheel nvidia-cuda-nvrtc, or use "
        "train.kernels=library",
        why);
  Nvrtc nvrtc{};
  find(library, "nvrtcGetErrorString", nvrtc.error_string);
  find(library, "nvrtcVersion", nvrtc.version);
  find(library, "nvrtcCreateProgram", nvrtc.create);
  find(library, "nvrtcDestroyProgram", nvrtc.destroy);
  find(library, "nvrtcCompileProgram", nvrtc.compile);
  find(library, "nvrtcGetProgramLogSize", nvrtc.log_size);
  find(library, "nvrtcGetProgramLog", nvrtc.log);
  find(library, "nvrtcGetCUBINSize", nvrtc.cubin_size);
  find(library, "nvrtcGetCUBIN", nvrtc.cubin);
  // The compiler loads its built-in functions by name: they are found here, as its own search does not
  // include the wheels' folder. Where they are missing, it says so.
  int major = 0, minor = 0;
  if (nvrtc.version(&major, &minor) == 0)
    ::dlopen(fmt::format("libnvrtc-builtins.so.{}.{}", major, minor).c_str(), RTLD_NOW | RTLD_GLOBAL);
  return nvrtc;
}

const Nvrtc& nvrtc() {
  static const Nvrtc functions = load_nvrtc();
  return functions;
}

void check(int result, std::string_view tried) {
  if (result != 0) fail("NVRTC could not {}: {}", tried, nvrtc().error_string(result));
}

// The text of a size that one function returns and another one writes.
std::string text_of(Program program, int (*size_of)(Program, size_t*), int (*write)(Program, char*),
                    std::string_view tried) {
  size_t size = 0;
  check(size_of(program, &size), tried);
  std::string text(size, '\0');
  check(write(program, text.data()), tried);
  return text;
}

class KernelProgram {
 public:
  KernelProgram() {
    std::vector<const char*> names, texts;
    for (const SourceText& source : kernel_sources()) {
      names.push_back(source.name);
      texts.push_back(source.text.data());
    }
    check(nvrtc().create(&program_, "#include \"elbo/kernels/cuda/kernels.cu\"\n", "elbo_kernels",
                         static_cast<int>(names.size()), texts.data(), names.data()),
          "create a program");
  }
  ~KernelProgram() { nvrtc_.destroy(&program_); }
  KernelProgram(const KernelProgram&) = delete;
  KernelProgram& operator=(const KernelProgram&) = delete;

  std::string compile(const std::string& architecture) const {
    const std::string target = "--gpu-architecture=" + architecture;
    // What is not an explicit fused multiply-add is not fused; division, roots and small numbers are exact.
    const std::array options = {target.c_str(),
                                "--std=c++20",
                                "--fmad=false",
                                "--ftz=false",
                                "--prec-div=true",
                                "--prec-sqrt=true",
                                "--device-as-default-execution-space",
                                "--define-macro=ELBO_ONE_NUMBER",
                                "--disable-warnings"};
    const int result = nvrtc().compile(program_, static_cast<int>(options.size()), options.data());
    if (result != 0) {
      const std::string log = text_of(program_, nvrtc().log_size, nvrtc().log, "report its messages");
      fail("NVRTC could not compile the kernels for {}: {} ({})", architecture,
           log.substr(0, log.find_first_of(std::string_view("\n\0", 2))), nvrtc().error_string(result));
    }
    return text_of(program_, nvrtc().cubin_size, nvrtc().cubin, "return the compiled kernels");
  }

 private:
  const Nvrtc& nvrtc_ = nvrtc();
  Program program_ = nullptr;
};

}  // namespace

std::string kernel_source() {
  int major = 0, minor = 0;
  check(nvrtc().version(&major, &minor), "report its version");
  std::string all = fmt::format("NVRTC {}.{}\n", major, minor);
  for (const SourceText& source : kernel_sources()) all.append(source.name).append("\n").append(source.text);
  return all;
}

std::string compile_kernels(const std::string& architecture) { return KernelProgram().compile(architecture); }

}  // namespace elbo
