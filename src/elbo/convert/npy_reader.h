// Reads one array in NumPy's format (numpy.lib.format, versions 1.0 to 3.0) row by row.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/convert/byte_source.h"

namespace elbo {

class NpyReader {
 public:
  // Throws a usage Error that names the source if it is not in NumPy's format, holds neither numbers nor
  // texts, or has no rows.
  explicit NpyReader(std::unique_ptr<ByteSource> source);
  const std::string& name() const { return source_->name(); }
  const std::vector<int64_t>& shape() const { return shape_; }  // (rows, …)
  int64_t rows() const { return shape_.front(); }
  // The type of the tensors: bool → uint8; uint16 → int32; uint32, uint64 → int64; float16 → float32.
  torch::ScalarType type() const { return type_; }
  bool has_texts() const { return kind_ == 'U' || kind_ == 'S'; }
  bool is_uint16() const { return kind_ == 'u' && size_ == 2; }
  // The number of rows that next() reads efficiently.
  int64_t rows_per_piece() const;
  torch::Tensor next(int64_t rows);  // (rows, …) of type(); not of texts
  std::vector<std::string> texts();  // of all rows, in UTF-8
  void require_end();                // throws a usage Error if data follow the last row

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void read_header();
  void read_type(const std::string& description);
  bool read_text_type(std::string_view description);
  void copy_to_temporary_file();
  void read_bytes(void* out, size_t bytes);
  torch::Tensor decode(std::vector<uint8_t> bytes, const std::vector<int64_t>& shape) const;

  std::unique_ptr<ByteSource> source_;
  std::vector<int64_t> shape_;
  char kind_ = 'f';  // b, i, u, f; texts: U (UCS-4), S (bytes)
  size_t size_ = 4;  // bytes of an element
  bool swapped_ = false, columns_first_ = false;
  torch::ScalarType type_ = torch::kFloat32;
  int64_t row_bytes_ = 0, next_row_ = 0;
  // In Fortran order the elements of a row are spread over the file: they are read from a seekable copy.
  std::unique_ptr<std::FILE, Close> copy_;
};

}  // namespace elbo
