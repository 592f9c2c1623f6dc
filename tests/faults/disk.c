/* Preloaded, it makes the calls fail that change files below FAULT_FOLDER. FAULT_CONTROL names a file of three int32 that another
   process may change at any time: the errno of these calls, 0 for none; the number of the call that the process is killed in, 0 for
   none; and the calls so far, which this library counts. A disk that gets full accepts a part of what is written. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile int32_t* control;
static const char* folder;

static void* next(const char* name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("FAULT_CONTROL");
  folder = getenv("FAULT_FOLDER");
  if (!path || !folder) return;
  int (*open_file)(const char*, int, ...) = next("open");
  const int descriptor = open_file(path, O_RDWR);
  if (descriptor < 0) return;
  void* memory = mmap(NULL, 3 * sizeof(int32_t), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  if (memory != MAP_FAILED) control = memory;
}

/* The errno that a call on a file below the folder fails with, or 0. */
static int fault_of(const char* path) {
  if (!control || !path || strncmp(path, folder, strlen(folder)) != 0) return 0;
  if (__sync_add_and_fetch(&control[2], 1) == control[1]) kill(getpid(), SIGKILL);
  return control[0];
}

static int fault_of_descriptor(int descriptor) {
  if (!control) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = '\0';
  return fault_of(path);
}

#define FAIL_IF(fault)    \
  do {                    \
    const int is = fault; \
    if (is) {             \
      errno = is;         \
      return -1;          \
    }                     \
  } while (0)

#define OPEN(name)                                                      \
  int name(const char* path, int flags, ...) {                          \
    va_list list;                                                       \
    va_start(list, flags);                                              \
    const mode_t mode = va_arg(list, mode_t);                           \
    va_end(list);                                                       \
    if (flags & (O_WRONLY | O_RDWR | O_CREAT)) FAIL_IF(fault_of(path)); \
    int (*call)(const char*, int, ...) = next(#name);                   \
    return call(path, flags, mode);                                     \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name)                                                 \
  FILE* name(const char* path, const char* mode) {                  \
    const int fault = strpbrk(mode, "wa+") ? fault_of(path) : 0;    \
    FILE* (*call)(const char*, const char*) = next(#name);          \
    if (!fault) return call(path, mode);                            \
    errno = fault;                                                  \
    return NULL;                                                    \
  }
FOPEN(fopen)
FOPEN(fopen64)

#define WRITE(name, parameters, arguments, half_arguments)                 \
  ssize_t name parameters {                                                \
    ssize_t(*call) parameters = next(#name);                               \
    const int fault = fault_of_descriptor(descriptor);                     \
    if (fault == ENOSPC && size > 1 && control[2] % 2) return call half_arguments; \
    FAIL_IF(fault);                                                        \
    return call arguments;                                                 \
  }
WRITE(write, (int descriptor, const void* data, size_t size), (descriptor, data, size), (descriptor, data, size / 2))
WRITE(pwrite, (int descriptor, const void* data, size_t size, off_t at), (descriptor, data, size, at),
      (descriptor, data, size / 2, at))
WRITE(pwrite64, (int descriptor, const void* data, size_t size, off64_t at), (descriptor, data, size, at),
      (descriptor, data, size / 2, at))
WRITE(writev, (int descriptor, const struct iovec* data, int size), (descriptor, data, size), (descriptor, data, size / 2))

#define DESCRIPTOR(name, parameters, arguments) \
  int name parameters {                         \
    FAIL_IF(fault_of_descriptor(descriptor));   \
    int(*call) parameters = next(#name);        \
    return call arguments;                      \
  }
DESCRIPTOR(fsync, (int descriptor), (descriptor))
DESCRIPTOR(fdatasync, (int descriptor), (descriptor))
DESCRIPTOR(ftruncate, (int descriptor, off_t size), (descriptor, size))
DESCRIPTOR(ftruncate64, (int descriptor, off64_t size), (descriptor, size))

#define PATH(name, parameters, arguments) \
  int name parameters {                   \
    FAIL_IF(fault_of(path));              \
    int(*call) parameters = next(#name);  \
    return call arguments;                \
  }
PATH(rename, (const char* path, const char* target), (path, target))
PATH(unlink, (const char* path), (path))
PATH(remove, (const char* path), (path))
PATH(mkdir, (const char* path, mode_t mode), (path, mode))
PATH(truncate, (const char* path, off_t size), (path, size))
PATH(truncate64, (const char* path, off64_t size), (path, size))

#define LINK(name)                               \
  int name(const char* target, const char* path) { \
    FAIL_IF(fault_of(path));                     \
    int (*call)(const char*, const char*) = next(#name); \
    return call(target, path);                   \
  }
LINK(link)
LINK(symlink)
