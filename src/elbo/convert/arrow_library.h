// Loads libelbo_arrow.so, the only code that includes Arrow's headers, when a table of Parquet or Arrow is
// read.
#pragma once
#include <memory>
#include <string>

#include "elbo/convert/byte_source.h"

namespace elbo {

// Whether the first bytes are those of a Parquet or Arrow (Feather) file. False for a file that cannot be
// read.
bool is_arrow_table(const std::string& path);

// The table as lines of comma-separated values, with a header; nothing for a missing value. Throws a usage
// Error for a file that Arrow does not read, for columns of lists and structures, and where elbo was built
// without Arrow.
std::unique_ptr<ByteSource> open_arrow_table(const std::string& path);

}  // namespace elbo
