// libelbo_arrow.so: tables of Parquet and Arrow files as lines of comma-separated values.
#include <arrow/api.h>
#include <arrow/csv/writer.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <parquet/arrow/reader.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/convert/byte_source.h"

namespace elbo {
namespace {

class TableBytes final : public ByteSource {
 public:
  explicit TableBytes(std::string path) : path_(std::move(path)) {
    const auto file = checked(arrow::io::ReadableFile::Open(path_));
    if (checked(file->ReadAt(0, 4))->ToString() == "PAR1") {
      open_parquet(file);
    } else {
      open_arrow(file);
    }
    require_plain_columns();
    lines_ = checked(arrow::io::BufferOutputStream::Create());
    writer_ = checked(arrow::csv::MakeCSVWriter(lines_, schema_));
  }

  size_t read(void* out, size_t bytes) override {
    size_t done = 0;
    while (done < bytes && fill()) {
      const size_t piece = std::min(bytes - done, static_cast<size_t>(text_->size()) - place_);
      std::memcpy(static_cast<char*>(out) + done, text_->data() + place_, piece);
      done += piece;
      place_ += piece;
    }
    return done;
  }

  const std::string& name() const override { return path_; }

 private:
  void check(const arrow::Status& status) const {
    if (!status.ok())
      usage_error("{}: is damaged, or Arrow {} does not read it ({}); write it again", path_,
                  ARROW_VERSION_STRING, status.message());
  }

  template <typename T>
  T checked(arrow::Result<T> result) const {
    check(result.status());
    return std::move(result).ValueUnsafe();
  }

  void open_parquet(const std::shared_ptr<arrow::io::ReadableFile>& file) {
    parquet_ = checked(parquet::arrow::OpenFile(file, arrow::default_memory_pool()));
    const std::shared_ptr<arrow::RecordBatchReader> batches = checked(parquet_->GetRecordBatchReader());
    schema_ = batches->schema();
    next_ = [batches] { return batches->Next(); };
  }

  void open_arrow(const std::shared_ptr<arrow::io::ReadableFile>& file) {
    const auto batches = checked(arrow::ipc::RecordBatchFileReader::Open(file));
    schema_ = batches->schema();
    next_ = [batches, index = 0]() mutable -> arrow::Result<std::shared_ptr<arrow::RecordBatch>> {
      if (index == batches->num_record_batches()) return nullptr;
      return batches->ReadRecordBatch(index++);
    };
  }

  // A line has no place for a column of lists or structures.
  void require_plain_columns() const {
    for (const std::shared_ptr<arrow::Field>& field : schema_->fields())
      if (arrow::is_nested(*field->type()) || field->type()->id() == arrow::Type::EXTENSION)
        usage_error(
            "{}: column '{}' is of type {}; expected numbers, texts, booleans and dates; write its parts as "
            "columns, or drop it",
            path_, field->name(), field->type()->ToString());
  }

  // Makes lines of the next batch when those of the last have been read. False at the end.
  bool fill() {
    while (!text_ || place_ == static_cast<size_t>(text_->size())) {
      const std::shared_ptr<arrow::RecordBatch> batch = checked(next_());
      if (!batch) return false;
      check(writer_->WriteRecordBatch(*batch));
      text_ = checked(lines_->Finish());
      place_ = 0;
      check(lines_->Reset());
    }
    return true;
  }

  std::string path_;
  std::unique_ptr<parquet::arrow::FileReader> parquet_;
  std::shared_ptr<arrow::Schema> schema_;
  std::function<arrow::Result<std::shared_ptr<arrow::RecordBatch>>()> next_;  // nullptr at the end
  std::shared_ptr<arrow::io::BufferOutputStream> lines_;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
  std::shared_ptr<arrow::Buffer> text_;  // the lines of one batch
  size_t place_ = 0;
};

}  // namespace
}  // namespace elbo

// Throws what open_arrow_table() throws.
extern "C" __attribute__((visibility("default"))) elbo::ByteSource* elbo_open_arrow_table(
    const std::string& path) {
  return std::make_unique<elbo::TableBytes>(path).release();
}
