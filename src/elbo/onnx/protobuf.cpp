#include "elbo/onnx/protobuf.h"

#include <bit>

namespace elbo::onnx {
namespace {

constexpr unsigned varint = 0, length_delimited = 2, four_bytes = 5;

}  // namespace

Message& Message::add(int field, int64_t value) {
  add_key(field, varint);
  add_varint(static_cast<uint64_t>(value));
  return *this;
}

Message& Message::add(int field, float value) {
  add_key(field, four_bytes);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift & 0xffU);
  return *this;
}

Message& Message::add(int field, std::string_view bytes) {
  add_key(field, length_delimited);
  add_varint(bytes.size());
  bytes_ += bytes;
  return *this;
}

// Seven bits a byte, the lowest first; all but the last have the highest bit.
void Message::add_varint(uint64_t value) {
  constexpr uint64_t more = 0x80;
  while (value >= more) {
    bytes_ += static_cast<char>(value | more);
    value >>= 7U;
  }
  bytes_ += static_cast<char>(value);
}

void Message::add_key(int field, unsigned wire_type) {
  add_varint(static_cast<uint64_t>(field) << 3U | wire_type);
}

}  // namespace elbo::onnx
