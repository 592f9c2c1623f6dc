// SHA-256 (FIPS 180-4), through OpenSSL.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace elbo {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const void* data, size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  std::string hex();  // 64 lower-case digits; call once, last

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256(const void* data, size_t bytes);

// Digest of the file's bytes from `offset` to its end. Throws Error, naming the file, if it cannot be read.
std::string sha256_of_file(const std::string& path, size_t offset = 0);

}  // namespace elbo
