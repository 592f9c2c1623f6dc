// Makes the fault that Workers guards against certain. At its first call mkl_vml_serv_cpu_detect() stores
// this CPU's type and then, a few instructions later, what stands for it in the tables of kernels; a thread
// that asks in between computes with the kernels of another CPU
// (https://github.com/pytorch/pytorch/issues/188792). Preloaded, this takes its place, and its first call
// lasts long enough for every other thread to ask in between.
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
  std::fprintf(stderr, "mkl_stand_in: there is no %s\n", name);
  std::abort();
}

}  // namespace

extern "C" int mkl_vml_serv_cpu_detect() {
  static std::atomic<bool> begun = false, done = false;
  if (done) return original("mkl_vml_serv_cpu_detect")();
  if (begun.exchange(true)) return original("mkl_serv_vml_cpu_detect")();  // what is stored meanwhile
  const int type = original("mkl_vml_serv_cpu_detect")();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  std::fprintf(stderr, "mkl_stand_in: type %d in place of %d\n", original("mkl_serv_vml_cpu_detect")(), type);
  done = true;
  return type;
}
