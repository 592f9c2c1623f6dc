// Messages of Protocol Buffers in their wire format (https://protobuf.dev/programming-guides/encoding), for
// writing.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace elbo::onnx {

// Fields, one after another. A repeated field is added several times.
class Message {
 public:
  Message& add(int field, int64_t value);
  Message& add(int field, float value);
  Message& add(int field, std::string_view bytes);  // also of texts
  Message& add(int field, const char* text) { return add(field, std::string_view(text)); }
  Message& add(int field, const Message& message) { return add(field, std::string_view(message.bytes_)); }
  const std::string& bytes() const { return bytes_; }

 private:
  void add_varint(uint64_t value);
  void add_key(int field, unsigned wire_type);
  std::string bytes_;
};

}  // namespace elbo::onnx
