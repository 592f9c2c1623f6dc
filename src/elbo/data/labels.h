// Labels of rows in the forms in which files keep them: numbers of classes as integers or floats, one-hot,
// texts, categories with codes (AnnData), or continuous values.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/row_reader.h"

namespace elbo {

// A class that a file does not say: -1, a missing category, or a text that the training labels lack.
constexpr int64_t unknown_class = -1;

// The labels of the rows of one file.
struct Labels {
  std::shared_ptr<const RowReader> reader;  // int64 classes (rows), or float32 (rows, features)
  int64_t features = 0;                     // of continuous labels; 0: classes
  int64_t classes = 0;  // that the file declares, by an attribute, names or columns; 0: none
  std::string form{};   // how they are taken, where the type does not say: "one-hot, …"
  bool is_classes() const { return features == 0; }
};

// The distinct texts of labels that are texts or categories, sorted; empty for numbers.
std::vector<std::string> class_names_of(const DataFile& file, const std::string& path);
// The names of classes that are numbers, by class: the attribute class_names; empty if there is none.
std::vector<std::string> names_of_numbers(const DataFile& file, const std::string& path);

// names: of the classes, which texts stand for. as_classes: other labels are classes, so that whole numbers
// are some, too, even if not each class occurs. Throws a usage Error for labels that cannot be used: another
// number than `rows`, another shape or type.
Labels open_labels(const DataFile& file, const std::string& path, int64_t rows,
                   const std::vector<std::string>& names, bool as_classes);

// The text or category that a row has for a label; "" where labels are numbers, and for a missing category.
std::string text_of_label(const DataFile& file, const std::string& path, int64_t row);

// For `rows` rows: (rows) int64, or float32, (rows, features) where there are several.
torch::Tensor empty_labels(const Labels& labels, int64_t rows);
torch::Tensor all_labels(const Labels& labels, int64_t rows);

// Of all classes of the rows.
struct ClassRange {
  int64_t lowest = 0, highest = 0, first_lowest = 0, first_highest = 0;  // and the first rows that have them
};
ClassRange range_of(const Labels& labels, int64_t rows);

// The first row whose continuous label is not finite, or -1.
int64_t first_not_finite(const Labels& labels, int64_t rows);

}  // namespace elbo
