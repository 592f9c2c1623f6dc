// Makes the race in MKL that Workers avoids certain (https://github.com/pytorch/pytorch/issues/188792). The
// first call of mkl_vml_serv_cpu_detect() stores the type of the CPU and, a few instructions later, its index
// into the tables of kernels. A thread that calls it between the two uses the kernels of another CPU. This
// replacement, loaded with LD_PRELOAD, makes the first call so long that every other thread calls it in
// between.
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

using Detect = int (*)();

Detect original(const char* name) {
  if (void* found = ::dlsym(RTLD_NEXT, name)) return reinterpret_cast<Detect>(found);
  std::fprintf(stderr, "mkl_stand_in: symbol %s not found\n", name);
  std::abort();
}

}  // namespace

extern "C" int mkl_vml_serv_cpu_detect() {
  static std::atomic<bool> begun = false, done = false;
  if (done) return original("mkl_vml_serv_cpu_detect")();
  if (begun.exchange(true)) return original("mkl_serv_vml_cpu_detect")();  // the type stored so far
  const int type = original("mkl_vml_serv_cpu_detect")();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  std::fprintf(stderr, "mkl_stand_in: type %d in place of %d\n", original("mkl_serv_vml_cpu_detect")(), type);
  done = true;
  return type;
}
