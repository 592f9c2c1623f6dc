# Finds LibTorch by its files, because the CMake package of the CUDA wheel requires a CUDA toolkit and fails with C++20.
#
# Searched in: LibTorch_ROOT, CMAKE_PREFIX_PATH (a libtorch archive, a site-packages folder), the checkout's deps/.
# Targets:   LibTorch::cpu   the CPU library, the only one that the program links to
#            LibTorch::cuda  the CUDA headers, c10_cuda and cudart, if CUDA headers are found
# Variables: LibTorch_VERSION
set(_elbo_deps "${CMAKE_CURRENT_LIST_DIR}/../deps")
cmake_path(NORMAL_PATH _elbo_deps)

find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
          HINTS ${LibTorch_ROOT} ENV LibTorch_ROOT PATH_SUFFIXES include torch/include)
find_path(LibTorch_INCLUDE_DIR torch/csrc/api/include/torch/torch.h
          PATHS "${_elbo_deps}/torch" PATH_SUFFIXES include NO_DEFAULT_PATH)
get_filename_component(_torch_home "${LibTorch_INCLUDE_DIR}" DIRECTORY)
get_filename_component(_torch_parent "${_torch_home}" DIRECTORY)
foreach(lib torch_cpu c10 c10_cuda)
  find_library(LibTorch_${lib}_LIBRARY ${lib} PATHS "${_torch_home}/lib" NO_DEFAULT_PATH)
endforeach()

if(LibTorch_INCLUDE_DIR)
  # The header with the version differs between releases.
  foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(NOT LibTorch_VERSION AND EXISTS "${LibTorch_INCLUDE_DIR}/${header}")
      file(STRINGS "${LibTorch_INCLUDE_DIR}/${header}" _version REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
      string(REGEX MATCHALL " [0-9]+" _numbers "${_version}")
      list(TRANSFORM _numbers STRIP)
      list(JOIN _numbers "." LibTorch_VERSION)
    endif()
  endforeach()
endif()

# CUDA's headers are in separate wheels, in a folder named by the major version; a wheel of the runtime alone lacks some.
# Headers beside LibTorch have its version and take precedence over a toolkit's.
file(GLOB _cuda_homes "${_torch_parent}/nvidia/cu[0-9]*")
find_path(LibTorch_CUDA_INCLUDE_DIR crt/host_defines.h
          PATHS ${_cuda_homes} ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES include NO_DEFAULT_PATH)
# find_library needs the unversioned name, which wheels do not have.
file(GLOB _cudart "${_torch_parent}/nvidia/*/lib/libcudart.so*")
if(NOT _cudart)
  file(GLOB _cudart "${LibTorch_CUDA_INCLUDE_DIR}/../lib/libcudart.so*" "${LibTorch_CUDA_INCLUDE_DIR}/../lib64/libcudart.so*")
endif()
file(GLOB _cupti "${_torch_parent}/nvidia/*/lib/libcupti.so*")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_torch_cpu_LIBRARY LibTorch_c10_LIBRARY LibTorch_INCLUDE_DIR VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run launch/setup.sh, or set CMAKE_PREFIX_PATH to a LibTorch or to the site-packages of a PyTorch")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION "${LibTorch_c10_LIBRARY}")
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES IMPORTED_LOCATION "${LibTorch_torch_cpu_LIBRARY}"
    INTERFACE_LINK_LIBRARIES LibTorch::c10)
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE
    "${LibTorch_INCLUDE_DIR}" "${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
  # libtorch_cpu of a CUDA wheel needs cudart and cupti, which are in separate folders beside it. It finds them at run
  # time; the linker needs -rpath-link.
  set(_rpath_link "")
  foreach(file ${_cudart} ${_cupti})
    get_filename_component(folder "${file}" DIRECTORY)
    file(REAL_PATH "${folder}" folder)
    list(APPEND _rpath_link "-Wl,-rpath-link,${folder}")
  endforeach()
  list(REMOVE_DUPLICATES _rpath_link)
  target_link_options(LibTorch::cpu INTERFACE ${_rpath_link})
endif()

if(LibTorch_FOUND AND LibTorch_CUDA_INCLUDE_DIR AND LibTorch_c10_cuda_LIBRARY AND _cudart AND NOT TARGET LibTorch::cuda)
  list(GET _cudart 0 _cudart_library)
  add_library(LibTorch::cuda INTERFACE IMPORTED)
  target_include_directories(LibTorch::cuda SYSTEM INTERFACE "${LibTorch_CUDA_INCLUDE_DIR}")
  target_link_libraries(LibTorch::cuda INTERFACE LibTorch::cpu "${LibTorch_c10_cuda_LIBRARY}" "${_cudart_library}")
endif()
