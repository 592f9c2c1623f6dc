#include <stdexcept>

#include "elbo/hdf5/codecs.h"

namespace elbo {
namespace {

// Never reached: without codecs, the HDF5 library reads datasets with these filters.
[[noreturn]] void built_without() {
  throw std::runtime_error("this program was built without libzstd, liblz4 and libblosc");
}

}  // namespace

bool has_codecs() { return false; }
void expand_zstd(Bytes&, size_t) { built_without(); }
void expand_lz4(Bytes&, size_t) { built_without(); }
void expand_blosc(Bytes&, size_t) { built_without(); }
void expand_bitshuffle_zstd(Bytes&, size_t, size_t) { built_without(); }
void expand_bitshuffle_lz4(Bytes&, size_t, size_t) { built_without(); }

}  // namespace elbo
