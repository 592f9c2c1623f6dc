// TensorBoard's event files: records, and the few messages of theirs that elbo writes. A record is its length
// (uint64, little endian), the masked CRC-32C of these 8 bytes, the message, the masked CRC-32C of the
// message (tensorflow/core/lib/io/record_writer.h). A message is a protocol buffer
// (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/base/protobuf.h"

namespace elbo {

// CRC-32C (Castagnoli), as RFC 3720 defines it.
uint32_t crc32c(std::string_view bytes);
// The same, rotated and with a constant added, as event files have it.
uint32_t masked_crc32c(std::string_view bytes);

// What one step shows, under tags such as "train/loss".
class EventSummary {
 public:
  void scalar(const std::string& tag, double value);
  // A bar of the height heights[i] at i: TensorBoard's histograms, with the index as the value.
  void bars(const std::string& tag, const std::vector<double>& heights);
  void png(const std::string& tag, std::string_view file);  // of 1 or 3 channels
  void wav(const std::string& tag, std::string_view file);  // with the usual header of 44 bytes, one channel
  void text(const std::string& tag, std::string_view text);
  bool empty() const { return summary_.empty(); }
  // The record of an event at a time in seconds since 1970.
  std::string record(int64_t step, double time) const;

 private:
  void add(const std::string& tag, int field, const Message& content, const Message& metadata = {});
  Message summary_;
};

// The record that an event file begins with.
std::string version_record(double time);

// An event as far as a file is cut back by it. tag: of its first value.
struct EventHead {
  int64_t step = 0;
  std::string tag;
};

// Whole records of a file, one after another.
class RecordReader {
 public:
  explicit RecordReader(std::string_view file) : file_(file) {}
  // Whether another record with its checksums follows; then message() is its content.
  bool next();
  std::string_view message() const { return message_; }
  size_t begin() const { return begin_; }  // of that record in the file
  size_t end() const { return end_; }

 private:
  std::string_view file_, message_;
  size_t begin_ = 0, end_ = 0;
};

EventHead head_of(std::string_view event);

}  // namespace elbo
