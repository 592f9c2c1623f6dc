#include "elbo/base/protobuf.h"

#include <bit>

namespace elbo {
namespace {

constexpr unsigned varint = 0, eight_bytes = 1, length_delimited = 2, four_bytes = 5;

// The lowest byte first.
template <typename Bits>
void append_bytes(std::string& to, Bits bits) {
  for (unsigned shift = 0; shift < 8 * sizeof(bits); shift += 8)
    to += static_cast<char>(bits >> shift & 0xffU);
}

}  // namespace

Message& Message::add(int field, int64_t value) {
  add_key(field, varint);
  add_varint(static_cast<uint64_t>(value));
  return *this;
}

Message& Message::add(int field, float value) {
  add_key(field, four_bytes);
  append_bytes(bytes_, std::bit_cast<uint32_t>(value));
  return *this;
}

Message& Message::add(int field, double value) {
  add_key(field, eight_bytes);
  append_bytes(bytes_, std::bit_cast<uint64_t>(value));
  return *this;
}

Message& Message::add_packed(int field, const std::vector<double>& values) {
  std::string packed;
  for (const double value : values) append_bytes(packed, std::bit_cast<uint64_t>(value));
  return add(field, packed);
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

}  // namespace elbo
