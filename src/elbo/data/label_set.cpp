#include "elbo/data/label_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr size_t most_name_bytes = 30'000;  // that a checkpoint keeps

// Collects the labels of one SplitPaths after another.
class LabelCollector {
 public:
  LabelCollector(std::vector<SplitPaths>& stored, const std::vector<int64_t>& rows,
                 const std::optional<DataShape>& like, std::vector<std::string>& notes)
      : stored_(stored), like_(like), notes_(notes) {
    set_.rows = rows;
    most_classes_ = like ? like->classes : 0;
    for (size_t i = 0; i < stored.size(); ++i)
      if (is_first(stored[i])) most_classes_ += rows[i];
  }

  LabelSet collect() {
    find_names();
    for (size_t i = 0; i < stored_.size(); ++i) {
      set_.of.emplace_back();
      if (!stored_[i].label.empty()) add(i);
    }
    require_labels_in_all_files();
    const bool any = std::ranges::any_of(
        stored_, [&](const SplitPaths& paths) { return is_first(paths) && !paths.label.empty(); });
    if (!any) set_.classes = set_.features = 0;
    note_classes_without_rows();
    if (set_.classes > 0 && like_) set_.classes = std::max(set_.classes, like_->classes);
    if (std::string names = as_lines(names_); set_.classes > 0 && names.size() <= most_name_bytes)
      set_.class_names = std::move(names);
    for (const auto& [split, problem] : set_.problems) notes_.push_back("labels are left out: " + problem);
    return std::move(set_);
  }

 private:
  bool is_first(const SplitPaths& paths) const { return paths.split == stored_.front().split; }

  // Of classes that are texts, or numbers with names.
  void find_names() {
    if (like_) names_ = texts_in_lines(like_->class_names);
    if (!names_.empty()) return;
    for (const SplitPaths& paths : stored_) {
      if (!is_first(paths) || paths.label.empty()) continue;
      const std::vector<std::string> more = class_names_of(*paths.file, paths.label);
      names_.insert(names_.end(), more.begin(), more.end());
    }
    std::ranges::sort(names_);
    names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
    for (const SplitPaths& paths : stored_)
      if (names_.empty() && is_first(paths) && !paths.label.empty())
        names_ = names_of_numbers(*paths.file, paths.label);
  }

  // Throws a usage Error for numbers that stand for other classes than in the first split or the run.
  void require_same_names(const SplitPaths& paths) const {
    const std::vector<std::string> here = names_of_numbers(*paths.file, paths.label);
    const auto [mine, theirs] = std::ranges::mismatch(here, names_);
    if (here.empty() || names_.empty() || mine == here.end() || theirs == names_.end()) return;
    paths.file->reject(fmt::format("{} calls class {} '{}', elsewhere it is '{}'; expected the same classes",
                                   paths.label, mine - here.begin(), *mine, *theirs));
  }

  void add(size_t i) {
    try {
      if (as_lines(names_).size() > most_name_bytes &&
          !class_names_of(*stored_[i].file, stored_[i].label).empty())
        stored_[i].file->reject(fmt::format("{} holds {} different texts; expected fewer, as classes",
                                            stored_[i].label, names_.size()));
      Labels found = open_labels(*stored_[i].file, stored_[i].label, set_.rows[i], names_, set_.classes > 0);
      require_same_names(stored_[i]);
      agree(stored_[i], found, set_.rows[i]);
      if (!found.form.empty() && is_first(stored_[i]))
        notes_.push_back(
            fmt::format("{}: {} holds {}", stored_[i].file->path(), stored_[i].label, found.form));
      set_.of[i] = std::move(found);
    } catch (const Error& error) {
      if (error.code() != ExitCode::usage) throw;
      leave_out(stored_[i], error.what());
    }
  }

  // Only the first problem of a split is kept.
  void leave_out(SplitPaths& paths, const std::string& problem) {
    set_.problems.emplace(paths.split, problem);
    paths.label.clear();
  }

  // Takes the kind of labels and the number of classes from the first split. Throws a usage Error where
  // others have another kind.
  void agree(const SplitPaths& paths, const Labels& found, int64_t rows) {
    const bool known = set_.classes > 0 || set_.features > 0;
    if (known && found.features != set_.features)
      paths.file->reject(fmt::format("{} holds {}, but other labels are {}; expected the same in all",
                                     paths.label, kind(found.features), kind(set_.features)));
    if (!is_first(paths)) return;
    set_.features = found.features;
    if (!found.is_classes()) return;
    int64_t classes = found.classes;
    if (classes == 0) {  // not declared: the training labels determine it
      const ClassRange range = range_of(found, rows);
      classes = std::max<int64_t>(1, range.highest + 1);
      if (classes > most_classes_)
        paths.file->reject(
            fmt::format("{} has the label {} in row {}; expected 0 to {} (at most as many classes as rows)",
                        paths.label, range.highest, range.first_highest, most_classes_ - 1));
      lowest_ = std::min(lowest_, range.lowest);
    }
    set_.classes = std::max(set_.classes, classes);
  }

  // Of labels that begin at 1, class 0.
  void note_classes_without_rows() {
    if (set_.classes == 0 || lowest_ <= 0 || lowest_ >= set_.classes) return;
    const std::string without = lowest_ == 1 ? "class 0 has" : fmt::format("classes below {} have", lowest_);
    notes_.push_back(
        fmt::format("{}: labels begin at {}: {} no rows, and samples of it mean nothing; name others with "
                    "--label",
                    stored_.front().file->path(), lowest_, without));
  }

  static std::string kind(int64_t features) {
    return features == 0 ? "classes" : fmt::format("{} values for each row", features);
  }

  void require_labels_in_all_files() {
    for (SplitPaths& paths : stored_) {
      const auto without = std::ranges::find_if(stored_, [&](const SplitPaths& other) {
        return other.split == paths.split && other.label.empty();
      });
      if (paths.label.empty() || without == stored_.end()) continue;
      leave_out(paths,
                fmt::format("{}: {} has no labels, but {} of {} has some; expected labels in all files or "
                            "in none",
                            without->file->path(), without->x, paths.x, paths.file->path()));
    }
  }

  std::vector<SplitPaths>& stored_;
  const std::optional<DataShape>& like_;
  std::vector<std::string>& notes_;
  LabelSet set_;
  std::vector<std::string> names_;
  int64_t most_classes_ = 0;
  // Of the labels of the first split that do not say how many classes there are.
  int64_t lowest_ = std::numeric_limits<int64_t>::max();
};

}  // namespace

std::string LabelSet::problem_of(const std::string& split) const {
  const auto found = problems.find(split);
  return found == problems.end() ? "" : found->second;
}

void LabelSet::require_valid(size_t index, const SplitPaths& paths) const {
  const Labels& labels = of[index];
  if (!labels.is_classes()) {
    if (const int64_t row = first_not_finite(labels, rows[index]); row >= 0)
      paths.file->reject(
          fmt::format("{} has a label that is not finite in row {}; remove or replace it", paths.label, row));
    return;
  }
  const ClassRange range = range_of(labels, rows[index]);
  const bool low = range.lowest < 0;
  if (!low && range.highest < classes) return;
  const int64_t row = low ? range.first_lowest : range.first_highest;
  if (const std::string text = text_of_label(*paths.file, paths.label, row); !text.empty())
    paths.file->reject(fmt::format(
        "{} has the class '{}' in row {}, which no training row has; leave such rows out, or use a "
        "model without labels",
        paths.label, text, row));
  paths.file->reject(
      fmt::format("{} has the label {} in row {}; expected 0 to {}, since the model uses labels", paths.label,
                  low ? range.lowest : range.highest, row, classes - 1));
}

LabelSet open_label_set(std::vector<SplitPaths>& stored, const std::vector<int64_t>& rows,
                        const std::optional<DataShape>& like, std::vector<std::string>& notes) {
  return LabelCollector(stored, rows, like, notes).collect();
}

}  // namespace elbo
