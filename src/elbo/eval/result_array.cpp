// Arrays of NumPy: .npy (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html) holds the
// main output, .npz (a ZIP archive of such files, stored) all of them with numbers, names and labels of the
// rows.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/eval/data_columns.h"
#include "elbo/eval/result_writer.h"

namespace elbo {
namespace {

std::string header_of(const std::string& type, at::IntArrayRef shape) {
  std::string sizes;
  for (const int64_t size : shape) sizes += fmt::format("{},", size);
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, sizes);
  constexpr size_t alignment = 64, before = 10;  // of the data; bytes before the text
  text.append(alignment - (before + text.size() + 1) % alignment, ' ');
  text += '\n';
  std::string header = "\x93NUMPY\x01";
  header += '\0';
  header += static_cast<char>(text.size() & 0xffU);
  header += static_cast<char>(text.size() >> 8U);
  return header + text;
}

std::string array_of(const torch::Tensor& values) {
  const torch::Tensor whole = values.contiguous();
  const std::string type = whole.scalar_type() == torch::kInt64   ? "<i8"
                           : whole.scalar_type() == torch::kInt32 ? "<i4"
                                                                  : "<f4";
  return header_of(type, whole.sizes()) +
         std::string(static_cast<const char*>(whole.const_data_ptr()), whole.nbytes());
}

// Fixed-width UTF-8 bytes: str(name, "utf8") in Python.
std::string array_of(const std::vector<std::string>& texts) {
  size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  std::string data = header_of(fmt::format("|S{}", width), {std::ssize(texts)});
  for (const std::string& text : texts) data += text + std::string(width - text.size(), '\0');
  return data;
}

// CRC-32 of ISO 3309, which ZIP archives have.
uint32_t crc_of(const std::string& data) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> values{};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1U) != 0 ? 0xedb88320U ^ (value >> 1U) : value >> 1U;
      values.at(i) = value;
    }
    return values;
  }();
  uint32_t crc = 0xffffffffU;
  for (const char byte : data) crc = table.at((crc ^ static_cast<uint8_t>(byte)) & 0xffU) ^ (crc >> 8U);
  return crc ^ 0xffffffffU;
}

// A ZIP archive without compression (PKWARE's APPNOTE.TXT, 4.3).
class ZipArchive {
 public:
  void add(const std::string& name, const std::string& content) {
    constexpr size_t most = 0xffffffffU;
    if (content.size() + data_.size() > most)
      usage_error("{}: more than 4 GB do not fit in .npz; use .h5, or fewer rows", name);
    std::string entry;
    put(entry, 20, 2), put(entry, 0, 2), put(entry, 0, 2);  // version, flags, stored
    put(entry, 0, 2), put(entry, 0x21, 2);                  // 1 January 1980: the same bytes at any time
    put(entry, crc_of(content), 4), put(entry, content.size(), 4), put(entry, content.size(), 4);
    put(entry, name.size(), 2), put(entry, 0, 2);
    put(directory_, 0x02014b50, 4), put(directory_, 20, 2);
    directory_ += entry;
    put(directory_, 0, 2), put(directory_, 0, 2), put(directory_, 0, 2), put(directory_, 0, 4);
    put(directory_, data_.size(), 4);
    directory_ += name;
    put(data_, 0x04034b50, 4);
    data_ += entry + name + content;
    ++entries_;
  }
  std::string content() const {
    std::string all = data_ + directory_;
    put(all, 0x06054b50, 4), put(all, 0, 4);
    put(all, entries_, 2), put(all, entries_, 2), put(all, directory_.size(), 4), put(all, data_.size(), 4);
    put(all, 0, 2);
    return all;
  }

 private:
  static void put(std::string& to, size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8U * static_cast<unsigned>(i)) & 0xffU);
  }
  std::string data_, directory_;
  size_t entries_ = 0;
};

class ArrayWriter final : public CollectingWriter {
 public:
  explicit ArrayWriter(ResultFile file) : CollectingWriter(std::move(file)) {}

 private:
  void write(const ResultRows& all) const override {
    const std::string& path = file().path;
    if (path.ends_with(".npy")) return write_file(path, array_of(values(all, file().main)));
    ZipArchive archive;
    for (size_t i = 0; i < all.values.size(); ++i)
      archive.add(file().outputs[i].name + ".npy", array_of(values(all, i)));
    if (all.label.defined()) archive.add("label.npy", array_of(all.label));
    if (all.length.defined()) archive.add("length.npy", array_of(all.length));
    if (!all.identities.empty()) add_identities(archive, all.identities);
    write_file(path, archive.content());
  }

  void add_identities(ZipArchive& archive, const std::vector<RowIdentity>& identities) const {
    std::vector<int64_t> rows;
    std::vector<std::string> names, splits;
    for (const RowIdentity& identity : identities) {
      rows.push_back(identity.row);
      names.push_back(identity.name);
      splits.push_back(identity.split);
    }
    archive.add("row.npy", array_of(torch::tensor(rows, torch::kInt64)));
    if (have_names(identities)) archive.add("name.npy", array_of(names));
    if (file().several_splits) archive.add("split.npy", array_of(splits));
  }

  // In the units of the table, with its columns; categories as codes.
  torch::Tensor values(const ResultRows& all, size_t output) const {
    const torch::Tensor& values = all.values[output];
    if (!file().outputs[output].is_data) return values;
    if (file().shape.tokens > 0) return values.to(torch::kInt32);
    if (values.dim() < 2) return values;
    const std::vector<DataColumn> columns = columns_of(file().description, values.size(-1));
    if (columns.empty()) return values;
    const bool steps = file().shape.x.size() == 2;
    const torch::Tensor table =
        in_units_of_table(file().description, steps ? values : values.unsqueeze(-2), all.before).contiguous();
    std::vector<int64_t> shape = values.sizes().vec();
    shape.back() = std::ssize(columns);
    torch::Tensor result = torch::empty(shape, torch::kFloat32);
    auto* to = result.mutable_data_ptr<float>();
    const double* const end = table.const_data_ptr<double>() + table.numel();
    for (const auto* from = table.const_data_ptr<double>(); from != end; from += table.size(-1))
      for (const DataColumn& column : columns)
        *to++ = static_cast<float>(column.number(from, file().outputs[output].is_mean));
    return result;
  }
};

}  // namespace

std::unique_ptr<ResultWriter> array_writer(ResultFile file) {
  return std::make_unique<ArrayWriter>(std::move(file));
}

}  // namespace elbo
