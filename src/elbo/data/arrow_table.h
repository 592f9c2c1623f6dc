// Tables of Parquet and Feather files that libelbo_arrow.so writes, column by column.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace elbo {

struct ArrowColumn {
  enum class Type : uint8_t {
    real,     // float64
    whole,    // int64
    date,     // date32: days since 1970-01-01
    instant,  // timestamp in milliseconds, given as seconds since 1970-01-01
    truth,    // bool
    text,     // utf8
  };
  std::string name;
  Type type = Type::real;
};

// A column of some lines: texts for text, else numbers. valid: 0 where a value is missing.
struct ArrowValues {
  std::vector<double> numbers{};
  std::vector<std::string> texts{};
  std::vector<uint8_t> valid{};
};

class ArrowTable {
 public:
  virtual ~ArrowTable() = default;
  virtual void append(const std::vector<ArrowValues>& columns) = 0;  // as many lines in each column
  virtual void finish() = 0;                                         // the file is complete
};

// Throws a usage Error where elbo was built without Arrow. name: of the file, for messages.
void require_arrow(const std::string& name);

// A new file at `path`: Feather if feather, else Parquet. Throws as require_arrow() does.
std::unique_ptr<ArrowTable> create_arrow_table(const std::string& path, const std::string& name, bool feather,
                                               const std::vector<ArrowColumn>& columns);

}  // namespace elbo
