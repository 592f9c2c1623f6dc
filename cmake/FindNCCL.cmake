# Finds NCCL in NCCL_ROOT, the wheel's folder beside LibTorch (nvidia/nccl), the checkout's deps/, or the system.
# Target: NCCL::nccl
set(_elbo_deps "${CMAKE_CURRENT_LIST_DIR}/../deps")
cmake_path(NORMAL_PATH _elbo_deps)
get_filename_component(_site "${LibTorch_INCLUDE_DIR}/../.." ABSOLUTE)
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${NCCL_ROOT} ENV NCCL_ROOT "${_site}/nvidia/nccl" "${_elbo_deps}/nvidia/nccl"
          PATH_SUFFIXES include)
# The wheel has only the versioned name.
find_library(NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS "${NCCL_INCLUDE_DIR}/../lib" ${NCCL_ROOT} ENV NCCL_ROOT
             PATH_SUFFIXES lib lib64)
if(NCCL_INCLUDE_DIR)
  file(STRINGS "${NCCL_INCLUDE_DIR}/nccl.h" _lines REGEX "define NCCL_(MAJOR|MINOR|PATCH) ")
  string(REGEX MATCHALL "[0-9]+" _numbers "${_lines}")
  list(JOIN _numbers "." NCCL_VERSION)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NCCL REQUIRED_VARS NCCL_LIBRARY NCCL_INCLUDE_DIR VERSION_VAR NCCL_VERSION)
if(NCCL_FOUND AND NOT TARGET NCCL::nccl)
  add_library(NCCL::nccl SHARED IMPORTED)
  set_target_properties(NCCL::nccl PROPERTIES IMPORTED_LOCATION "${NCCL_LIBRARY}")
  target_include_directories(NCCL::nccl SYSTEM INTERFACE "${NCCL_INCLUDE_DIR}")
endif()
