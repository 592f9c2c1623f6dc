#include "elbo/hdf5/virtual_dataset.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "elbo/base/text.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/failures.h"
#include "elbo/hdf5/file_search.h"

namespace elbo {
namespace {

using hdf5::check;
using hdf5::checked;
using hdf5::Handle;

// A regular selection along one dimension: `count` blocks of `block` elements, every `stride` elements.
struct Blocks {
  hsize_t start = 0, stride = 1, count = 1, block = 1;
  bool contiguous() const { return count == 1 || stride == block; }
  hsize_t elements() const { return count * block; }
  hsize_t end() const { return count == 0 ? start : start + (count - 1) * stride + block; }
  bool covers(hsize_t size) const { return start == 0 && contiguous() && elements() == size; }
};

using Selection = std::vector<Blocks>;  // by dimension

std::vector<hsize_t> unsigned_shape(const Handle& dataset) {
  const std::vector<int64_t> shape = hdf5::describe(dataset).shape;
  return {shape.begin(), shape.end()};
}

// The regular selections that `space` consists of. Where it is unlimited, `extent` limits it.
std::vector<Selection> selections_of(hid_t space, const std::vector<hsize_t>& extent) {
  const size_t rank = extent.size();
  if (H5Sget_select_type(space) == H5S_SEL_NONE) return {};
  if (H5Sget_select_type(space) == H5S_SEL_ALL) {
    Selection all;
    for (const hsize_t size : extent) all.push_back({.start = 0, .stride = 1, .count = 1, .block = size});
    return {all};
  }
  std::vector<hsize_t> start(rank), stride(rank), count(rank), block(rank);
  if (H5Sis_regular_hyperslab(space) > 0) {
    check(H5Sget_regular_hyperslab(space, start.data(), stride.data(), count.data(), block.data()), space,
          "read a mapping");
    Selection one;
    for (size_t d = 0; d < rank; ++d) {
      const hsize_t left = extent[d] > start[d] ? extent[d] - start[d] : 0;
      if (block[d] == H5S_UNLIMITED) block[d] = left;
      if (count[d] == H5S_UNLIMITED) count[d] = (left + stride[d] - 1) / stride[d];
      one.push_back({.start = start[d], .stride = stride[d], .count = count[d], .block = block[d]});
    }
    return {one};
  }
  const hssize_t boxes = check(H5Sget_select_hyper_nblocks(space), space, "read a mapping");
  std::vector<hsize_t> corners(2 * rank * static_cast<size_t>(boxes));
  check(H5Sget_select_hyper_blocklist(space, 0, static_cast<hsize_t>(boxes), corners.data()), space,
        "read a mapping");
  std::vector<Selection> result(static_cast<size_t>(boxes), Selection(rank));
  for (size_t i = 0; i < result.size(); ++i)
    for (size_t d = 0; d < rank; ++d) {
      const hsize_t first = corners[2 * i * rank + d], last = corners[(2 * i + 1) * rank + d];
      result[i][d] = {.start = first, .stride = 1, .count = 1, .block = last - first + 1};
    }
  return result;
}

bool selects_whole_rows(const std::vector<Selection>& selections, const std::vector<hsize_t>& shape) {
  if (shape.empty() || selections.size() != 1 || !selections[0][0].contiguous()) return false;
  for (size_t d = 1; d < shape.size(); ++d)
    if (!selections[0][d].covers(shape[d])) return false;
  return true;
}

hsize_t elements_of(const std::vector<Selection>& selections) {
  hsize_t sum = 0;
  for (const Selection& selection : selections) {
    hsize_t elements = 1;
    for (const Blocks& blocks : selection) elements *= blocks.elements();
    sum += elements;
  }
  return sum;
}

// How often rows are covered.
class Coverage {
 public:
  explicit Coverage(std::vector<hsize_t> shape) : shape_(std::move(shape)) {
    for (size_t d = 1; d < shape_.size(); ++d) row_ *= shape_[d];
  }

  void add(const Selection& selection) {
    hsize_t elements = 1;
    for (size_t d = 1; d < shape_.size(); ++d) elements *= selection[d].elements();
    const Blocks& rows = selection[0];
    const hsize_t pieces = rows.contiguous() ? 1 : rows.count;
    for (hsize_t i = 0; i < pieces; ++i) {
      const hsize_t begin = rows.start + i * rows.stride;
      const hsize_t end = std::min(rows.contiguous() ? rows.end() : begin + rows.block, shape_[0]);
      if (begin >= end) continue;
      changes_[begin].add(elements, row_, 1);
      changes_[end].add(elements, row_, -1);
    }
  }

  // Rows that are not covered, or not completely.
  UnwrittenRows uncovered() {
    UnwrittenRows result;
    sweep([&](hsize_t begin, hsize_t end, const Change& now) {
      if (now.whole_rows == 0 && now.elements != static_cast<int64_t>(row_))
        result.add(static_cast<int64_t>(begin), static_cast<int64_t>(end));
    });
    return result;
  }

  bool overlaps() {
    bool found = false;
    sweep([&](hsize_t, hsize_t, const Change& now) { found = found || now.whole_rows > 1; });
    return found;
  }

 private:
  struct Change {
    int64_t whole_rows = 0, elements = 0;  // of parts of rows
    void add(hsize_t covered, hsize_t row, int64_t sign) {
      if (covered == row) {
        whole_rows += sign;
      } else {
        elements += sign * static_cast<int64_t>(covered);
      }
    }
  };

  template <typename Visit>
  void sweep(Visit&& visit) {
    Change now;
    hsize_t begin = 0;
    changes_[shape_[0]];  // the end
    for (const auto& [row, change] : changes_) {
      if (row > begin) visit(begin, row, now);
      begin = row;
      now.whole_rows += change.whole_rows;
      now.elements += change.elements;
    }
  }

  std::vector<hsize_t> shape_;
  hsize_t row_ = 1;  // its elements
  std::map<hsize_t, Change> changes_;
};

// A mapping of the virtual dataset, as stored.
struct VirtualMapping {
  std::string file, dataset;  // "%b" in either is the number of a block
  Handle space, source_space;
};

template <typename Get>
std::string text_of(const Handle& dataset, Get&& get) {
  const auto length = check(get(nullptr, 0), dataset.get(), "read the name of a source");
  std::string name(static_cast<size_t>(length), '\0');
  get(name.data(), name.size() + 1);
  return name;
}

VirtualMapping read_mapping(const Handle& dataset, hid_t properties, size_t i) {
  return {
      .file = text_of(
          dataset, [&](char* out, size_t size) { return H5Pget_virtual_filename(properties, i, out, size); }),
      .dataset = text_of(
          dataset, [&](char* out, size_t size) { return H5Pget_virtual_dsetname(properties, i, out, size); }),
      .space = checked(H5Pget_virtual_vspace(properties, i), H5Sclose, dataset.get(), "read a mapping"),
      .source_space =
          checked(H5Pget_virtual_srcspace(properties, i), H5Sclose, dataset.get(), "read a mapping")};
}

// The name with %b replaced by `block`, and %% by %.
std::string numbered(const std::string& name, hsize_t block) {
  std::string result;
  for (size_t i = 0; i < name.size(); ++i) {
    const char next = name[i] == '%' && i + 1 < name.size() ? name[i + 1] : '\0';
    if (next == 'b') result += std::to_string(block);
    if (next == '%') result += '%';
    if (next == 'b' || next == '%') {
      ++i;
    } else {
      result += name[i];
    }
  }
  return result;
}

bool has_number(const std::string& name) { return numbered(name, 0) != numbered(name, 1); }

class Opener {
 public:
  Opener(const Handle& dataset, const std::function<FoundStorage(const Handle&)>& find)
      : dataset_(dataset),
        find_(find),
        name_(hdf5::name_of(dataset.get())),
        shape_(unsigned_shape(dataset)),
        coverage_(shape_),
        properties_(checked(H5Dget_create_plist(dataset.get()), H5Pclose, dataset.get(), "read its layout")) {
  }

  VirtualParts open() {
    size_t mappings = 0;
    check(H5Pget_virtual_count(properties_.get(), &mappings), dataset_.get(), "count its sources");
    for (size_t i = 0; i < mappings; ++i) {
      const VirtualMapping mapping = read_mapping(dataset_, properties_.get(), i);
      const std::vector<Selection> target = selections_of(mapping.space.get(), shape_);
      if (has_number(mapping.file) || has_number(mapping.dataset)) {
        open_blocks(mapping, target);
      } else {
        open_source(mapping, numbered(mapping.file, 0), numbered(mapping.dataset, 0), target);
      }
    }
    parts_.uncovered = coverage_.uncovered();
    if (coverage_.overlaps()) parts_.whole_rows = false;  // the last one counts
    return std::move(parts_);
  }

 private:
  // One source for each block of an unlimited selection.
  void open_blocks(const VirtualMapping& mapping, const std::vector<Selection>& target) {
    const std::vector<hsize_t>& shape = shape_;
    std::vector<hsize_t> start(shape.size()), stride(shape.size()), count(shape.size()), block(shape.size());
    check(H5Sget_regular_hyperslab(mapping.space.get(), start.data(), stride.data(), count.data(),
                                   block.data()),
          dataset_.get(), "read a mapping");
    const auto unlimited = static_cast<size_t>(std::ranges::find(count, H5S_UNLIMITED) - count.begin());
    if (unlimited == shape.size()) usage_error("{}: a source is numbered, but not its blocks", name_);
    const Selection& all = target.at(0);
    for (hsize_t i = 0; i < all[unlimited].count; ++i) {
      Selection one = all;
      one[unlimited].start += i * one[unlimited].stride;
      one[unlimited].count = 1;
      open_source(mapping, numbered(mapping.file, i), numbered(mapping.dataset, i), {one});
    }
    require_no_later_block(mapping, all[unlimited].count);
  }

  // Where a file is missing, the library takes the dataset to end before it.
  void require_no_later_block(const VirtualMapping& mapping, hsize_t count) const {
    constexpr hsize_t looked_at = 64;
    if (!has_number(mapping.file)) return;
    const std::string holder = file_name();
    for (hsize_t i = count + 1; i < count + looked_at; ++i)
      if (hdf5::find_file(holder, numbered(mapping.file, i), hdf5::source_folders))
        usage_error("{}: its source {} is missing, although {} exists; put it there", name_,
                    numbered(mapping.file, count), numbered(mapping.file, i));
  }

  void open_source(const VirtualMapping& mapping, const std::string& file_name,
                   const std::string& dataset_name, const std::vector<Selection>& target) {
    const Handle file = open_file(file_name, target);
    if (!hdf5::exists(file, dataset_name))
      usage_error("{}: {} comes from the dataset {} of {}, which does not exist", name_, rows_of(target),
                  dataset_name, hdf5::name_of(file.get()));
    Source source{.dataset = hdf5::open_dataset(file, dataset_name), .found = {}};
    const std::vector<hsize_t> source_shape = unsigned_shape(source.dataset);
    const std::vector<Selection> from = source_selection(mapping, source_shape, target, source.dataset);
    source.found = std::make_shared<const FoundStorage>(find_(source.dataset));
    if (selects_whole_rows(target, shape_) && selects_whole_rows(from, source_shape) &&
        std::equal(shape_.begin() + 1, shape_.end(), source_shape.begin() + 1, source_shape.end())) {
      // An unlimited selection may have more rows than its source.
      const hsize_t rows = std::min(target[0][0].elements(), from[0][0].elements());
      source.first = static_cast<int64_t>(target[0][0].start);
      source.rows = static_cast<int64_t>(rows);
      source.source_first = static_cast<int64_t>(from[0][0].start);
      Selection covered = target[0];
      covered[0] = {.start = target[0][0].start, .stride = 1, .count = 1, .block = rows};
      coverage_.add(covered);
    } else {
      parts_.whole_rows = false;
      if (elements_of(target) == elements_of(from))
        for (const Selection& selection : target) coverage_.add(selection);
    }
    parts_.sources.push_back(std::move(source));
  }

  // The selected elements of a source. Throws a usage Error if it has fewer.
  std::vector<Selection> source_selection(const VirtualMapping& mapping, const std::vector<hsize_t>& shape,
                                          const std::vector<Selection>& target, const Handle& source) const {
    // A selection of everything is stored without the shape.
    const bool whole = H5Sget_select_type(mapping.source_space.get()) == H5S_SEL_ALL;
    const int rank = H5Sget_simple_extent_ndims(mapping.source_space.get());
    bool fits = whole || rank == static_cast<int>(shape.size());
    std::vector<Selection> from;
    if (fits) from = selections_of(mapping.source_space.get(), shape);
    for (const Selection& selection : from)
      for (size_t d = 0; d < shape.size(); ++d) fits = fits && selection[d].end() <= shape[d];
    if (whole) fits = elements_of(from) == elements_of(target);
    if (!fits)
      usage_error("{}: {} comes from {}, whose shape {} does not fit it", name_, rows_of(target),
                  hdf5::name_of(source.get()), shape_text(hdf5::describe(source).shape));
    return from;
  }

  Handle open_file(const std::string& file, const std::vector<Selection>& target) const {
    if (file == ".")
      return checked(H5Iget_file_id(dataset_.get()), H5Fclose, dataset_.get(), "find its file");
    std::string found;
    for (const std::string& path : hdf5::candidates(file_name(), file, hdf5::source_folders)) {
      std::error_code ignored;
      if (!std::filesystem::is_regular_file(path, ignored)) continue;
      if (found.empty()) found = path;
      if (const hid_t opened = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT); opened >= 0)
        return {opened, H5Fclose};
    }
    if (!found.empty()) return hdf5::open_file(found);  // throws, with the reason
    usage_error(
        "{}: {} comes from {}: no such file; it is looked for in the folder of {}, in the working folder and "
        "in "
        "HDF5_VDS_PREFIX",
        name_, rows_of(target), file, file_name());
  }

  std::string file_name() const {
    const Handle file = checked(H5Iget_file_id(dataset_.get()), H5Fclose, dataset_.get(), "find its file");
    return hdf5::name_of(file.get());
  }

  static std::string rows_of(const std::vector<Selection>& target) {
    if (target.empty()) return "a part";
    hsize_t first = target[0][0].start, end = 0;
    for (const Selection& selection : target) {
      first = std::min(first, selection[0].start);
      end = std::max(end, selection[0].end());
    }
    return fmt::format("the part in rows {} to {}", first, std::max(end, first + 1) - 1);
  }

  const Handle& dataset_;
  const std::function<FoundStorage(const Handle&)>& find_;
  std::string name_;
  std::vector<hsize_t> shape_;
  Coverage coverage_;
  Handle properties_;
  VirtualParts parts_;
};

}  // namespace

VirtualParts open_virtual_dataset(const Handle& dataset,
                                  const std::function<FoundStorage(const Handle&)>& find) {
  return Opener(dataset, find).open();
}

}  // namespace elbo
