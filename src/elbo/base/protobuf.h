// Messages of Protocol Buffers in their wire format (https://protobuf.dev/programming-guides/encoding), for
// writing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

// Fields, one after another. A repeated field is added several times.
class Message {
 public:
  Message& add(int field, int64_t value);
  Message& add(int field, float value);
  Message& add(int field, double value);
  Message& add(int field, std::string_view bytes);  // also of texts
  Message& add(int field, const char* text) { return add(field, std::string_view(text)); }
  Message& add(int field, const Message& message) { return add(field, std::string_view(message.bytes_)); }
  Message& add_packed(int field, const std::vector<double>& values);  // a repeated field in one piece
  bool empty() const { return bytes_.empty(); }
  const std::string& bytes() const { return bytes_; }

 private:
  void add_varint(uint64_t value);
  void add_key(int field, unsigned wire_type);
  std::string bytes_;
};

}  // namespace elbo
