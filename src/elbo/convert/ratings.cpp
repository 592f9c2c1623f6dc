// Interactions of users and items as sparse rows, one per user.
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/convert/arrow_library.h"
#include "elbo/convert/csv_reader.h"
#include "elbo/convert/csv_values.h"
#include "elbo/convert/format.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

struct RatingsOptions {
  std::string user, item, rating, time, header = "auto", values = "binary";
  double minimum_rating = 0;
  int64_t minimum_user = 1, leave_out = 0;
  SplitOptions splits;
  void bind(OptionTable& table) {
    table.add("user", user,
              "column of the user, by name or number; empty: the one with a usual name, or the first");
    table.add("item", item, "column of the item; empty: the one with a usual name, or the second");
    table.add("rating", rating, "column of the rating; empty: the one with a usual name, or the third");
    table.add("time", time,
              "column of the time, a number or a date; empty: the one with a usual name, or the fourth");
    table.add_choice(
        "header", header, {"auto", "yes", "no"},
        "whether the first line names the columns; auto: if its fields differ and none is a number");
    table.add_choice("values", values, {"binary", "rating"},
                     "value of an item in a row; binary: 1; rating: the rating");
    table.add("minimum_rating", minimum_rating,
              "interactions with a smaller rating are left out; 0: all are kept");
    table.add("minimum_user", minimum_user, "users with fewer interactions are left out",
              Range::between(1, 1e9));
    table.add("leave_out", leave_out,
              "number of each user's last interactions by time that go to held_out; users that have no other "
              "interactions are left out",
              Range::between(0, 1e6));
    splits.bind(table);
  }
};

struct Interaction {
  int32_t user, item;
  float rating;
  double time;
};

bool is_small(float rating, const RatingsOptions& options) {
  return options.minimum_rating != 0 && rating < static_cast<float>(options.minimum_rating);
}

// Numbers names in the order of their first occurrence.
class Numbering {
 public:
  int32_t operator()(const std::string& name) {
    const auto [found, added] = numbers_.emplace(name, static_cast<int32_t>(names_.size()));
    if (added) names_.push_back(name);
    return found->second;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::unordered_map<std::string, int32_t> numbers_;
  std::vector<std::string> names_;
};

// RecBole writes "user_id:token" for user_id.
std::string plain_name(const std::string& column) { return lower_case(column.substr(0, column.find(':'))); }

// The index of a column: the one that the user names, one with a usual name, or the usual position in files
// without a header.
std::optional<size_t> place_of(const TableReader& table, const std::string& asked, const std::string& option,
                               const std::vector<std::string>& usual, size_t usual_place) {
  const std::vector<std::string>& columns = table.columns();
  if (!asked.empty()) return find_column(columns, asked, option);
  for (size_t i = 0; i < columns.size(); ++i)
    if (std::ranges::find(usual, plain_name(columns[i])) != usual.end()) return i;
  const bool unnamed = columns.front() == "1";
  return unnamed && usual_place < columns.size() ? std::optional(usual_place) : std::nullopt;
}

struct Places {
  size_t user, item;
  std::optional<size_t> rating, time;
};

Places find_places(const TableReader& table, const RatingsOptions& options) {
  const auto user = place_of(table, options.user, "user", {"user", "user_id", "userid", "uid"}, 0);
  const auto item =
      place_of(table, options.item, "item",
               {"item", "item_id", "itemid", "iid", "movie", "movie_id", "movieid", "product_id"}, 1);
  if (!user || !item)
    usage_error("{}: has no column with a usual name for {}; set --{} to one of {}", table.name(),
                user ? "items" : "users", user ? "item" : "user", join(table.columns(), ", "));
  return {*user, *item, place_of(table, options.rating, "rating", {"rating", "score", "stars"}, 2),
          place_of(table, options.time, "time", {"time", "timestamp", "date", "ts"}, 3)};
}

// A column of ratings: numbers with a decimal point, or with a decimal comma.
class RatingColumn {
 public:
  double operator()(const TableReader& table, const std::string& field) {
    const Notation notation = field.find(',') == std::string::npos ? Notation::point : Notation::comma;
    double value = 0;
    if (notation == Notation::comma)
      value = value_of(field, notation).value_or(NAN);
    else if (!parse_real(field, value))
      value = NAN;
    if (!std::isfinite(value))
      usage_error(
          "{}, line {}: the rating is '{}'; expected a number, such as 4.5; name another column with "
          "--rating",
          table.name(), table.line(), trim(field));
    if (field.find_first_of(".,") == std::string::npos) return value;
    const double grouped = value_of(field, Notation::point).value_or(value);
    if (notation == Notation::comma && notation_ != notation && grouped != value)
      usage_error(
          "{}, line {}: the rating '{}' is {} with a decimal comma and {} with commas between thousands; "
          "expected a decimal point and no other marks",
          table.name(), table.line(), trim(field), value, grouped);
    if (notation_ && *notation_ != notation)
      usage_error("{}, line {}: the rating is '{}', and others have a decimal {}; expected one of the two",
                  table.name(), table.line(), trim(field), *notation_ == Notation::point ? "point" : "comma");
    notation_ = notation;
    return value;
  }

 private:
  std::optional<Notation> notation_;
};

// A column of times: numbers, or dates with or without a time, which are days then.
class TimeColumn {
 public:
  double operator()(const TableReader& table, const std::string& field) {
    double value = 0;
    const bool is_number = parse_real(field, value);
    if (!is_number) value = date(table, field);
    if (!std::isfinite(value) || (are_numbers_ && *are_numbers_ != is_number)) refuse(table, field);
    are_numbers_ = is_number;
    return value;
  }

 private:
  double date(const TableReader& table, const std::string& field) const {
    const std::optional<double> day_first = value_of(field, Notation::day_first),
                                month_first = value_of(field, Notation::month_first);
    if (day_first && month_first && *day_first != *month_first)
      usage_error(
          "{}, line {}: the time '{}' is one date with the day first and another with the month first; "
          "expected dates such as 2020-12-31",
          table.name(), table.line(), trim(field));
    return day_first.value_or(month_first.value_or(NAN));
  }
  void refuse(const TableReader& table, const std::string& field) const {
    const char* const expected = !are_numbers_   ? "a number, or a date such as 2020-12-31"
                                 : *are_numbers_ ? "a number, as in the lines before"
                                                 : "a date, as in the lines before";
    usage_error("{}, line {}: the time is '{}'; expected {}; name another column with --time", table.name(),
                table.line(), trim(field), expected);
  }

  std::optional<bool> are_numbers_;
};

// The separator of fields: the first of the usual ones that occurs in the first line.
std::string separator_of(const std::string& path) {
  if (is_arrow_table(path)) return ",";
  LineReader lines(open_bytes(path));
  std::string first;
  lines.next(first);
  for (const char* separator : {"::", "\t"})
    if (first.find(separator) != std::string::npos) return separator;
  // Numbers may have decimal commas.
  const auto commas = std::ranges::count(first, ','), semicolons = std::ranges::count(first, ';');
  if (commas + semicolons > 0) return semicolons > commas ? ";" : ",";
  usage_error(
      "{}: its first line has one field; expected user and item, separated by a tab, comma, semicolon or "
      "'::'",
      path);
}

struct Interactions {
  std::vector<Interaction> all;  // in the order of the file
  std::vector<std::string> users, items;
};

Interactions read_interactions(const std::string& path, const RatingsOptions& options) {
  const std::string separator = separator_of(path);
  TableReader table(path, separator, options.header);
  const Places places = find_places(table, options);
  const bool needs_rating = options.values == "rating" || options.minimum_rating != 0;
  if (needs_rating && !places.rating)
    usage_error(
        "{}: has no column with a usual name for ratings, which --values=rating and --minimum_rating "
        "need; set --rating=COLUMN",
        path);
  Interactions result;
  RatingColumn ratings;
  TimeColumn times;
  Numbering read, users, items;  // users: in the order of their first ratings that are not small
  std::vector<std::string> fields;
  while (table.next(fields)) {
    const double rating = places.rating ? ratings(table, fields[*places.rating]) : 1;
    const double time = places.time ? times(table, fields[*places.time]) : 0;
    const std::string user = trim(fields[places.user]), item = trim(fields[places.item]);
    if (user.empty() || item.empty())
      usage_error("{}, line {}: has no {}", path, table.line(), user.empty() ? "user" : "item");
    const Interaction each{read(user), items(item), static_cast<float>(rating), time};
    if (!is_small(each.rating, options)) users(user);
    result.all.push_back(each);
  }
  for (Interaction& each : result.all) each.user = users(read.names()[static_cast<size_t>(each.user)]);
  table.report_latin1();
  result.users = users.names();
  result.items = items.names();
  return result;
}

// A key for a pair of user and item.
uint64_t pair_of(const Interaction& each) {
  return uint64_t{static_cast<uint32_t>(each.user)} << 32U | static_cast<uint32_t>(each.item);
}

// Sorts by user, then by time and position in the file. Of repeated pairs of user and item, the last is kept.
void sort_by_user(std::vector<Interaction>& all) {
  std::ranges::stable_sort(all, [](const Interaction& a, const Interaction& b) {
    return a.user != b.user ? a.user < b.user : a.time < b.time;
  });
  std::unordered_map<uint64_t, size_t> last;
  for (size_t i = 0; i < all.size(); ++i) last[pair_of(all[i])] = i;
  if (last.size() == all.size()) return;
  log::info("{} repeated interactions were left out; the last of each is kept", all.size() - last.size());
  size_t kept = 0;
  for (size_t i = 0; i < all.size(); ++i)
    if (last[pair_of(all[i])] == i) all[kept++] = all[i];
  all.resize(kept);
}

// Leaves out small ratings and then users with too few interactions, and renumbers the remaining items.
void require_enough(Interactions& interactions, const RatingsOptions& options) {
  if (options.minimum_rating != 0)
    std::erase_if(interactions.all, [&](const Interaction& each) { return is_small(each.rating, options); });
  std::vector<int64_t> counts(interactions.users.size(), 0);
  for (const Interaction& each : interactions.all) ++counts[static_cast<size_t>(each.user)];
  const int64_t least = std::max(options.minimum_user, options.leave_out + 1);
  std::erase_if(interactions.all,
                [&](const Interaction& each) { return counts[static_cast<size_t>(each.user)] < least; });
  const int64_t few = std::ranges::count_if(counts, [&](int64_t count) { return count < least; });
  if (few > 0)
    log::info("{} of {} users have fewer than {} interactions and were left out", few, counts.size(), least);
  Numbering items;
  for (Interaction& each : interactions.all)
    each.item = items(interactions.items[static_cast<size_t>(each.item)]);
  interactions.items = items.names();
}

// The rows of one split that were written so far.
struct WrittenRows {
  std::vector<int64_t> offsets{0}, held_offsets{0};
  std::vector<std::string> users;
};

class SparseWriter {
 public:
  SparseWriter(DatasetWriter& out, const RatingsOptions& options) : out_(out), options_(options) {}

  // One user's interactions, by time.
  void add(const std::string& split, const std::string& user, std::vector<Interaction> row) {
    WrittenRows& rows = splits_[split];
    const auto kept = row.end() - options_.leave_out;
    std::sort(row.begin(), kept, [](const Interaction& a, const Interaction& b) { return a.item < b.item; });
    const std::vector<Interaction> input(row.begin(), kept), held(kept, row.end());
    out_.append(fmt::format("/{}/indices", split), items_of(input));
    std::vector<float> values;
    values.reserve(input.size());
    for (const Interaction& each : input) values.push_back(options_.values == "rating" ? each.rating : 1.0F);
    out_.append(fmt::format("/{}/values", split), torch::tensor(values));
    rows.offsets.push_back(rows.offsets.back() + static_cast<int64_t>(input.size()));
    if (!held.empty()) out_.append(fmt::format("/{}/held_out/indices", split), items_of(held));
    rows.held_offsets.push_back(rows.held_offsets.back() + static_cast<int64_t>(held.size()));
    rows.users.push_back(user);
  }

  // Writes offsets, users and items. Throws a usage Error if a requested split has no users.
  void finish(const std::vector<std::string>& items) {
    for (const auto& [split, fraction] : {std::pair{"validation", options_.splits.validation_fraction},
                                          {"test", options_.splits.test_fraction}})
      if (fraction > 0 && !splits_.contains(split))
        usage_error("--{}_fraction={}: selects no user; expected a larger fraction", split, fraction);
    std::vector<std::string> users;
    for (const char* split : {"train", "validation", "test"}) {
      const auto found = splits_.find(split);
      if (found == splits_.end()) continue;
      const WrittenRows& rows = found->second;
      const std::string group = fmt::format("/{}", split);
      out_.write(group + "/offsets", torch::tensor(rows.offsets, torch::kInt64));
      if (options_.leave_out > 0)
        out_.write(group + "/held_out/offsets", torch::tensor(rows.held_offsets, torch::kInt64));
      out_.attribute(group, "features", static_cast<int64_t>(items.size()));
      out_.write_texts(group + "/name", rows.users);
      users.insert(users.end(), rows.users.begin(), rows.users.end());
    }
    out_.write_texts("/users", users);
    out_.write_texts("/items", items);
  }

 private:
  static torch::Tensor items_of(const std::vector<Interaction>& row) {
    std::vector<int32_t> items;
    items.reserve(row.size());
    for (const Interaction& each : row) items.push_back(each.item);
    return torch::tensor(items, torch::kInt32);
  }
  DatasetWriter& out_;
  const RatingsOptions& options_;
  std::map<std::string, WrittenRows> splits_;
};

void convert_ratings(const std::vector<std::string>& inputs, const Target& target,
                     const RatingsOptions& options) {
  const std::string& path = inputs.front();
  const SplitRule rule(options.splits);
  Interactions interactions = read_interactions(path, options);
  sort_by_user(interactions.all);
  require_enough(interactions, options);
  DatasetWriter out(target, "interactions");
  SparseWriter writer(out, options);
  int64_t row = 0;
  for (auto begin = interactions.all.begin(); begin != interactions.all.end();) {
    const auto end = std::find_if(begin, interactions.all.end(),
                                  [&](const auto& each) { return each.user != begin->user; });
    writer.add(rule.split_of(row++), interactions.users[static_cast<size_t>(begin->user)], {begin, end});
    begin = end;
  }
  if (row == 0) usage_error("{}: no interaction is left; reduce --minimum_rating or --minimum_user", path);
  writer.finish(interactions.items);
  out.commit();
}

}  // namespace

Format ratings_format() {
  return {
      .name = "ratings",
      .takes = "FILE",
      .summary =
          "interactions of users with items, separated by tabs, commas, semicolons or '::', gzipped or not",
      .least = 1,
      .most = 1,
      .bind = with_options(convert_ratings)};
}

}  // namespace elbo
