# cmake --install BUILD --prefix P [--component runtime]
#
#   bin/elbo                               finds its libraries by relative paths: the tree may be moved
#   lib/libelbo_cuda.so                    if it was built
#   lib/libelbo_arrow.so                   if it was built
#   lib/elbo/torch, lib/elbo/nvidia        LibTorch and the libraries that it loads, as in its wheels (ELBO_BUNDLE_TORCH)
#   share/elbo, share/doc/elbo             configurations, MNIST, documents, scripts, module files; licences
#   include/elbo, lib/libelbo_*.a, lib/cmake/elbo     component development: for programs that link to elbo
include(CMakePackageConfigHelpers)
cmake_path(GET LibTorch_INCLUDE_DIR PARENT_PATH torch_home)
cmake_path(GET torch_home PARENT_PATH torch_site)
cmake_path(IS_PREFIX PROJECT_SOURCE_DIR "${torch_home}" NORMALIZE torch_is_ours)
option(ELBO_BUNDLE_TORCH "Install LibTorch, too; default: if it is inside the checkout" ${torch_is_ours})

# ---- LibTorch -----------------------------------------------------------------------------------------------------
file(GLOB torch_libraries "${torch_home}/lib/*.so*")
list(FILTER torch_libraries EXCLUDE REGEX "/libtorch_python|/libshm")
# LibTorch without CUDA loads two of NVIDIA's libraries; a CPU-only build has none beside it.
set(nvidia_names libcudart.so* libcupti.so*)
if(EXISTS "${torch_home}/lib/libtorch_cuda.so")
  set(nvidia_names *.so*)
endif()
list(TRANSFORM nvidia_names PREPEND "${torch_site}/nvidia/*/lib/")
file(GLOB nvidia_libraries ${nvidia_names})
set(nvidia_folders "")  # below torch_site
foreach(file ${nvidia_libraries})
  cmake_path(GET file PARENT_PATH folder)
  cmake_path(RELATIVE_PATH folder BASE_DIRECTORY "${torch_site}")
  list(APPEND nvidia_folders ${folder})
  if(ELBO_BUNDLE_TORCH)
    install(PROGRAMS ${file} DESTINATION lib/elbo/${folder} COMPONENT runtime)
  endif()
endforeach()
list(REMOVE_DUPLICATES nvidia_folders)

if(ELBO_BUNDLE_TORCH)
  set(torch_of_programs "$ORIGIN/../lib/elbo/torch/lib")
  set(torch_of_libraries "$ORIGIN/elbo/torch/lib")
  list(TRANSFORM nvidia_folders PREPEND "$ORIGIN/elbo/")
  set(torch_of_package "\${PACKAGE_PREFIX_DIR}/lib/elbo")
  install(PROGRAMS ${torch_libraries} DESTINATION lib/elbo/torch/lib COMPONENT runtime)
  install(DIRECTORY ${torch_home}/include DESTINATION lib/elbo/torch COMPONENT development)
  file(GLOB licences "${torch_site}/torch-*.dist-info/licenses" "${torch_site}/nvidia_*.dist-info/licenses")
  foreach(folder ${licences})
    string(REGEX REPLACE ".*/([^/]*)-[^/]*$" "\\1" package ${folder})
    install(DIRECTORY ${folder}/ DESTINATION share/doc/elbo/licences/${package} COMPONENT runtime)
  endforeach()
else()
  set(torch_of_programs "${torch_home}/lib")
  set(torch_of_libraries "${torch_home}/lib")
  list(TRANSFORM nvidia_folders PREPEND "${torch_site}/")
  if(TARGET elbo_cuda)
    cmake_path(GET NCCL_LIBRARY PARENT_PATH nccl_folder)
    list(APPEND nvidia_folders ${nccl_folder})
    list(REMOVE_DUPLICATES nvidia_folders)
  endif()
  set(torch_of_package "${torch_home}")
endif()

# ---- Program, libraries, package ----------------------------------------------------------------------------------
# MPI, HDF5 and other libraries from modules are not installed: their folders are kept in the run path.
set_target_properties(elbo PROPERTIES INSTALL_RPATH "${torch_of_programs}" INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS elbo RUNTIME DESTINATION bin COMPONENT runtime)
if(TARGET elbo_cuda)
  set_target_properties(elbo_cuda PROPERTIES INSTALL_RPATH "${torch_of_libraries};${nvidia_folders}"
                        INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS elbo_cuda LIBRARY DESTINATION lib COMPONENT runtime)
endif()
if(TARGET elbo_arrow)
  set_target_properties(elbo_arrow PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS elbo_arrow LIBRARY DESTINATION lib COMPONENT runtime)
endif()

get_directory_property(targets DIRECTORY ${PROJECT_SOURCE_DIR}/src BUILDSYSTEM_TARGETS)
set(exported elbo_options)
foreach(target ${targets})
  get_target_property(type ${target} TYPE)
  if(type MATCHES "STATIC_LIBRARY|INTERFACE_LIBRARY")
    list(APPEND exported ${target})
  endif()
endforeach()
foreach(target ${exported})
  string(REPLACE elbo_ "" name ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
endforeach()
install(TARGETS ${exported} EXPORT elbo ARCHIVE DESTINATION lib COMPONENT development INCLUDES DESTINATION include)
install(EXPORT elbo NAMESPACE elbo:: FILE elboTargets.cmake DESTINATION lib/cmake/elbo COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/elbo DESTINATION include COMPONENT development
        FILES_MATCHING PATTERN *.h PATTERN comm/cuda EXCLUDE)

configure_package_config_file(cmake/elboConfig.cmake.in ${PROJECT_BINARY_DIR}/elboConfig.cmake
                              INSTALL_DESTINATION lib/cmake/elbo NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/elboConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/elboConfig.cmake ${PROJECT_BINARY_DIR}/elboConfigVersion.cmake
              cmake/Dependencies.cmake cmake/FindLibTorch.cmake cmake/FindSndFile.cmake cmake/FindTurboJPEG.cmake
              cmake/Findlibdeflate.cmake cmake/Findlibzip.cmake cmake/Findzstd.cmake cmake/Findlz4.cmake
              cmake/Findblosc.cmake
        DESTINATION lib/cmake/elbo COMPONENT development)

# ---- Data files ---------------------------------------------------------------------------------------------------
install(DIRECTORY configs docs DESTINATION share/elbo COMPONENT runtime)
# Only the scripts that start elbo; the others set up a checkout.
install(DIRECTORY launch DESTINATION share/elbo COMPONENT runtime USE_SOURCE_PERMISSIONS PATTERN __pycache__ EXCLUDE
        PATTERN common.sh EXCLUDE PATTERN setup.sh EXCLUDE PATTERN quickstart.sh EXCLUDE PATTERN wheels.py EXCLUDE)
install(FILES datasets/mnist.h5 DESTINATION share/elbo/datasets COMPONENT runtime)
# Module files find the tree relative to their own path.
install(FILES packaging/modules/elbo.lua DESTINATION share/elbo/modulefiles/elbo RENAME ${PROJECT_VERSION}.lua COMPONENT runtime)
install(FILES packaging/modules/elbo.tcl DESTINATION share/elbo/modulefiles/elbo RENAME ${PROJECT_VERSION} COMPONENT runtime)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION share/doc/elbo COMPONENT runtime)
