#include "elbo/train/event_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

namespace elbo {
namespace {

// Fields of the messages, by the names that they have there.
struct EventField {
  enum : int { wall_time = 1, step = 2, file_version = 3, summary = 5 };
};
struct ValueField {
  enum : int { tag = 1, simple_value = 2, image = 4, histo = 5, audio = 6, tensor = 8, metadata = 9 };
};

constexpr unsigned wire_varint = 0, wire_fixed64 = 1, wire_bytes = 2, wire_fixed32 = 5;

std::array<uint32_t, 256> crc_table() {
  constexpr uint32_t polynomial = 0x82f63b78;  // Castagnoli's, reversed
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1U) ^ ((value & 1U) != 0 ? polynomial : 0U);
    table.at(byte) = value;
  }
  return table;
}

void put_little_endian(std::string& to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i, value >>= 8U) to += static_cast<char>(value & 0xffU);
}

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = (value << 8U) | static_cast<unsigned char>(bytes[i]);
  return value;
}

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = (value << 8U) | static_cast<unsigned char>(byte);
  return value;
}

std::string record_of(const std::string& message) {
  std::string record;
  put_little_endian(record, message.size(), 8);
  put_little_endian(record, masked_crc32c(record), 4);
  record += message;
  put_little_endian(record, masked_crc32c(message), 4);
  return record;
}

// The fields of a message one after another.
class FieldReader {
 public:
  explicit FieldReader(std::string_view message) : rest_(message) {}
  // Whether there is another field; then field, number (of a varint) and bytes are its.
  bool next() {
    const std::optional<uint64_t> key = varint();
    if (!key) return false;
    field = static_cast<int>(*key >> 3U);
    const auto wire_type = static_cast<unsigned>(*key & 7U);
    if (wire_type == wire_varint) {
      const std::optional<uint64_t> value = varint();
      number = value.value_or(0);
      return value.has_value();
    }
    size_t size = 0;
    if (wire_type == wire_fixed64) size = 8;
    if (wire_type == wire_fixed32) size = 4;
    if (wire_type == wire_bytes) size = varint().value_or(rest_.size() + 1);
    if (size > rest_.size()) return false;
    bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  int field = 0;
  uint64_t number = 0;
  std::string_view bytes;

 private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; !rest_.empty() && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    return std::nullopt;
  }

  std::string_view rest_;
};

// The bytes of the first field of that number, else "".
std::string_view first_field(std::string_view message, int field) {
  FieldReader fields(message);
  while (fields.next())
    if (fields.field == field) return fields.bytes;
  return {};
}

Message plugin(std::string_view name) {
  return Message().add(1, Message().add(1, name));  // SummaryMetadata.plugin_data.plugin_name
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = crc_table();
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes)
    crc = table.at((crc ^ static_cast<unsigned char>(byte)) & 0xffU) ^ (crc >> 8U);
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8U; }

void EventSummary::add(const std::string& tag, int field, const Message& content, const Message& metadata) {
  Message value;
  value.add(ValueField::tag, tag).add(field, content);
  if (!metadata.empty()) value.add(ValueField::metadata, metadata);
  summary_.add(1, value);
}

void EventSummary::scalar(const std::string& tag, double value) {
  Message entry;
  entry.add(ValueField::tag, tag).add(ValueField::simple_value, static_cast<float>(value));
  summary_.add(1, entry);
}

void EventSummary::bars(const std::string& tag, const std::vector<double>& heights) {
  std::vector<double> limits;
  limits.reserve(heights.size());
  double all = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < heights.size(); ++i) {
    const auto place = static_cast<double>(i);
    limits.push_back(place + 0.5);
    all += heights[i];
    sum += heights[i] * place;
    squares += heights[i] * place * place;
  }
  Message histogram;
  histogram.add(1, -0.5)
      .add(2, static_cast<double>(heights.size()) - 0.5)
      .add(3, all)
      .add(4, sum)
      .add(5, squares)
      .add_packed(6, limits)
      .add_packed(7, heights);
  add(tag, ValueField::histo, histogram);
}

void EventSummary::png(const std::string& tag, std::string_view file) {
  constexpr size_t width = 16, height = 20, color_type = 25;  // of the header
  if (file.size() <= color_type) return;
  Message image;
  image.add(1, static_cast<int64_t>(big_endian(file.substr(height, 4))))
      .add(2, static_cast<int64_t>(big_endian(file.substr(width, 4))))
      .add(3, int64_t{file[color_type] == 0 ? 1 : 3})
      .add(4, file);
  add(tag, ValueField::image, image);
}

void EventSummary::wav(const std::string& tag, std::string_view file) {
  constexpr size_t rate = 24, frame_bytes = 32, data = 44;
  if (file.size() < data) return;
  const uint64_t bytes = std::max<uint64_t>(1, little_endian(file.substr(frame_bytes, 2)));
  Message audio;
  audio.add(1, static_cast<float>(little_endian(file.substr(rate, 4))))
      .add(2, int64_t{1})
      .add(3, static_cast<int64_t>((file.size() - data) / bytes))
      .add(4, file)
      .add(5, "audio/wav");
  add(tag, ValueField::audio, audio);
}

void EventSummary::text(const std::string& tag, std::string_view text) {
  constexpr int64_t string_type = 7;
  const Message dimension = Message().add(1, int64_t{1});
  Message tensor;
  tensor.add(1, string_type).add(2, Message().add(2, dimension)).add(8, text);
  add(tag, ValueField::tensor, tensor, plugin("text"));
}

std::string EventSummary::record(int64_t step, double time) const {
  Message event;
  event.add(EventField::wall_time, time).add(EventField::step, step).add(EventField::summary, summary_);
  return record_of(event.bytes());
}

std::string version_record(double time) {
  Message event;
  event.add(EventField::wall_time, time).add(EventField::file_version, "brain.Event:2");
  return record_of(event.bytes());
}

bool RecordReader::next() {
  constexpr size_t header = 12, footer = 4;
  const std::string_view rest = file_.substr(end_);
  if (rest.size() < header + footer) return false;
  const uint64_t size = little_endian(rest.substr(0, 8));
  if (size > rest.size() - header - footer) return false;
  const std::string_view content = rest.substr(header, size);
  if (little_endian(rest.substr(8, 4)) != masked_crc32c(rest.substr(0, 8)) ||
      little_endian(rest.substr(header + size, footer)) != masked_crc32c(content))
    return false;
  message_ = content;
  begin_ = end_;
  end_ += header + size + footer;
  return true;
}

EventHead head_of(std::string_view event) {
  EventHead head;
  FieldReader fields(event);
  while (fields.next()) {
    if (fields.field == EventField::step) head.step = static_cast<int64_t>(fields.number);
    if (fields.field == EventField::summary)
      head.tag = first_field(first_field(fields.bytes, 1), ValueField::tag);
  }
  return head;
}

}  // namespace elbo
