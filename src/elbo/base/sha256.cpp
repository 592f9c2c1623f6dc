#include "elbo/base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "elbo/base/error.h"

namespace elbo {

struct Sha256::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> evp{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (!context_->evp || EVP_DigestInit_ex(context_->evp.get(), EVP_sha256(), nullptr) != 1)
    fail("OpenSSL could not start a SHA-256 digest");
}

Sha256::~Sha256() = default;

void Sha256::update(const void* data, size_t bytes) {
  if (EVP_DigestUpdate(context_->evp.get(), data, bytes) != 1)
    fail("OpenSSL could not continue a SHA-256 digest");
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(context_->evp.get(), digest, &length) != 1)
    fail("OpenSSL could not finish a SHA-256 digest");
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256(const void* data, size_t bytes) {
  Sha256 digest;
  digest.update(data, bytes);
  return digest.hex();
}

std::string sha256_of_file(const std::string& path, size_t offset) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("{}: cannot be read: {}", path, std::strerror(errno));
  file.seekg(static_cast<std::streamoff>(offset));
  Sha256 digest;
  std::vector<char> buffer(size_t{1} << 20);
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || file.gcount() > 0)
    digest.update(buffer.data(), static_cast<size_t>(file.gcount()));
  if (file.bad()) fail("{}: cannot be read: {}", path, std::strerror(errno));
  return digest.hex();
}

}  // namespace elbo
