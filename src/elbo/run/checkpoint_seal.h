// A checkpoint's file begins with a block that HDF5 leaves to the user. It holds the digest of everything
// after it, so that one flipped bit anywhere, metadata included, is found before HDF5 reads a byte.
#pragma once
#include <cstdint>
#include <filesystem>

namespace elbo {

constexpr uint64_t seal_bytes = 512;  // of the block

// Writes the digest of what follows the block. Throws Error.
void seal(const std::filesystem::path& path);
// Whether the file begins as a checkpoint does. A usage Error says so if it cannot be read.
bool is_checkpoint(const std::filesystem::path& path);
// Throws a usage Error where it is not a checkpoint, Error where its bytes are others than were sealed.
void require_seal(const std::filesystem::path& path);

}  // namespace elbo
