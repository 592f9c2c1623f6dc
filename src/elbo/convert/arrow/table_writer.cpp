// libelbo_arrow.so: writes tables of Parquet and Feather files.
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/ipc/writer.h>
#include <parquet/arrow/writer.h>

#include <cmath>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/data/arrow_table.h"

namespace elbo {
namespace {

std::shared_ptr<arrow::DataType> arrow_type(ArrowColumn::Type type) {
  switch (type) {
    case ArrowColumn::Type::whole:
      return arrow::int64();
    case ArrowColumn::Type::date:
      return arrow::date32();
    case ArrowColumn::Type::instant:
      return arrow::timestamp(arrow::TimeUnit::MILLI);
    case ArrowColumn::Type::truth:
      return arrow::boolean();
    case ArrowColumn::Type::text:
      return arrow::utf8();
    default:
      return arrow::float64();
  }
}

class TableFile final : public ArrowTable {
 public:
  TableFile(const std::string& path, std::string name, bool feather, const std::vector<ArrowColumn>& columns)
      : name_(std::move(name)), columns_(columns) {
    arrow::FieldVector fields;
    fields.reserve(columns.size());
    for (const ArrowColumn& column : columns)
      fields.push_back(arrow::field(column.name, arrow_type(column.type)));
    schema_ = arrow::schema(fields);
    file_ = checked(arrow::io::FileOutputStream::Open(path));
    if (feather) {
      feather_ = checked(arrow::ipc::MakeFileWriter(file_, schema_));
    } else {
      parquet_ = checked(parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), file_));
    }
  }

  void append(const std::vector<ArrowValues>& columns) override {
    arrow::ArrayVector arrays;
    arrays.reserve(columns.size());
    for (size_t i = 0; i < columns.size(); ++i) arrays.push_back(array_of(columns_[i].type, columns[i]));
    const auto lines = static_cast<int64_t>(columns.front().valid.size());
    const std::shared_ptr<arrow::RecordBatch> batch = arrow::RecordBatch::Make(schema_, lines, arrays);
    check(feather_ ? feather_->WriteRecordBatch(*batch) : parquet_->WriteRecordBatch(*batch));
  }

  void finish() override {
    check(feather_ ? feather_->Close() : parquet_->Close());
    check(file_->Close());
  }

 private:
  void check(const arrow::Status& status) const {
    if (!status.ok()) fail("{}: cannot be written: {}", name_, status.message());
  }

  template <typename T>
  T checked(arrow::Result<T> result) const {
    check(result.status());
    return std::move(result).ValueUnsafe();
  }

  // `value` of line i, for each line.
  template <typename Builder, typename Value>
  std::shared_ptr<arrow::Array> build(Builder&& builder, const ArrowValues& values,
                                      const Value& value) const {
    for (size_t i = 0; i < values.valid.size(); ++i)
      check(values.valid[i] != 0 ? builder.Append(value(i)) : builder.AppendNull());
    return checked(builder.Finish());
  }

  std::shared_ptr<arrow::Array> array_of(ArrowColumn::Type type, const ArrowValues& values) const {
    const auto rounded = [&](size_t i) { return std::llround(values.numbers[i]); };
    switch (type) {
      case ArrowColumn::Type::whole:
        return build(arrow::Int64Builder(), values, rounded);
      case ArrowColumn::Type::date:
        return build(arrow::Date32Builder(), values,
                     [&](size_t i) { return static_cast<int32_t>(rounded(i)); });
      case ArrowColumn::Type::instant:
        return build(arrow::TimestampBuilder(arrow_type(type), arrow::default_memory_pool()), values,
                     [&](size_t i) { return rounded(i) * 1000; });
      case ArrowColumn::Type::truth:
        return build(arrow::BooleanBuilder(), values, [&](size_t i) { return values.numbers[i] != 0; });
      case ArrowColumn::Type::text:
        return build(arrow::StringBuilder(), values, [&](size_t i) { return values.texts[i]; });
      default:
        return build(arrow::DoubleBuilder(), values, [&](size_t i) { return values.numbers[i]; });
    }
  }

  std::string name_;
  std::vector<ArrowColumn> columns_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::io::FileOutputStream> file_;
  std::unique_ptr<parquet::arrow::FileWriter> parquet_;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> feather_;
};

}  // namespace
}  // namespace elbo

// Throws Errors where the file cannot be written.
extern "C" __attribute__((visibility("default"))) elbo::ArrowTable* elbo_create_arrow_table(
    const std::string& path, const std::string& name, bool feather,
    const std::vector<elbo::ArrowColumn>& columns) {
  return std::make_unique<elbo::TableFile>(path, name, feather, columns).release();
}
