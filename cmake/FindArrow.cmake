# Finds Arrow's C++ library and Parquet's by their files: in Arrow_ROOT, the checkout's deps/ (pyarrow's wheel), or the system.
# Target: Arrow::parquet
set(_elbo_deps "${CMAKE_CURRENT_LIST_DIR}/../deps")
find_path(Arrow_INCLUDE_DIR parquet/arrow/reader.h
          HINTS ${Arrow_ROOT} ENV Arrow_ROOT "${_elbo_deps}/python/pyarrow" PATH_SUFFIXES include)
# The wheel has only the versioned names.
foreach(lib arrow parquet)
  file(GLOB _versioned "${Arrow_INCLUDE_DIR}/../lib${lib}.so.[0-9]*")
  find_library(Arrow_${lib}_LIBRARY ${lib})
  if(_versioned)
    list(GET _versioned 0 _first)
    file(REAL_PATH "${_first}" Arrow_${lib}_LIBRARY)
  endif()
endforeach()
if(Arrow_INCLUDE_DIR)
  file(STRINGS "${Arrow_INCLUDE_DIR}/arrow/util/config.h" _line REGEX "define ARROW_VERSION_STRING ")
  string(REGEX MATCH "[0-9.]+" Arrow_VERSION "${_line}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Arrow REQUIRED_VARS Arrow_parquet_LIBRARY Arrow_arrow_LIBRARY Arrow_INCLUDE_DIR
                                  VERSION_VAR Arrow_VERSION)
if(Arrow_FOUND AND NOT TARGET Arrow::parquet)
  add_library(Arrow::parquet INTERFACE IMPORTED)
  target_include_directories(Arrow::parquet SYSTEM INTERFACE "${Arrow_INCLUDE_DIR}")
  target_link_libraries(Arrow::parquet INTERFACE "${Arrow_parquet_LIBRARY}" "${Arrow_arrow_LIBRARY}")
endif()
