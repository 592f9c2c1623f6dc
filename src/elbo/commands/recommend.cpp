// Items that a history of interactions lacks, ranked by the decoder's mean (Liang et al. 2018).
#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/commands/rows_out.h"
#include "elbo/data/description.h"

namespace elbo {
namespace {

struct RecommendOptions : SavedRunOptions {
  std::string history, user;
  int64_t n = 10;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add_path("history", history, "text file with the name of an item on each line");
    table.add("user", user, "name of a row of the data set, in place of --history");
    table.add("n", n, "number of items", Range::between(1, 1 << 20));
    bind_run(table);
    bind_device(table);
    output.bind(table, ".csv or .tsv, with rank, item and score, in place of a list on stdout");
    return table;
  }
  DataNeed need() const { return user.empty() ? DataNeed::none : DataNeed::rows; }
};

std::vector<std::string> names_of_items(const SavedRun& run) {
  const std::string path = run.description_file();
  if (path.empty())
    usage_error("{}: is not there, and with it the names of the items; give its new place as the data set",
                run.data_path);
  const auto lock = hdf5::lock();
  std::vector<std::string> names = describe_data(DataFile(path)).columns;
  if (std::ssize(names) != run.checkpoint.data.features())
    usage_error(
        "{}: has no names of its {} items; expected the dataset /items, as elbo convert ratings writes it",
        path, run.checkpoint.data.features());
  return names;
}

// A line of a table with one column (RFC 4180): its quotes are not part of the name.
std::string unquoted(const std::string& line) {
  if (line.size() < 2 || line.front() != '"' || line.back() != '"') return line;
  std::string name;
  for (size_t i = 1; i + 1 < line.size(); ++i) {
    if (line[i] == '"' && line[i + 1] == '"' && i + 2 < line.size()) ++i;
    name += line[i];
  }
  return name;
}

// (1, items) with 1 for each item of the file. Unknown items are named.
torch::Tensor read_history(const std::string& path, const std::vector<std::string>& items) {
  std::unordered_map<std::string_view, int64_t> numbers;
  for (const std::string& item : items) numbers.emplace(item, std::ssize(numbers));
  torch::Tensor row = torch::zeros({1, std::ssize(items)});
  std::vector<std::string> unknown;
  int64_t known = 0;
  for (const std::string& name : split(read_file(path), '\n')) {
    if (name.empty()) continue;
    auto found = numbers.find(name);
    if (found == numbers.end()) found = numbers.find(unquoted(name));
    if (found != numbers.end()) {
      row[0][found->second] = 1;
      ++known;
    } else {
      unknown.push_back(name);
    }
  }
  const std::string nearest = unknown.empty() ? "" : nearest_name(unknown.front(), items);
  const std::string hint = nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest);
  if (known == 0)
    usage_error("{}: names none of the {} items{}; expected the name of an item on each line", path,
                items.size(),
                unknown.empty() ? "" : fmt::format(", '{}' is unknown{}", unknown.front(), hint));
  if (!unknown.empty())
    log::warning("{}: {} of {} items are unknown and left out, such as '{}'{}", path, unknown.size(),
                 known + std::ssize(unknown), unknown.front(), hint);
  return row;
}

// The row of the data set with this name, (1, items).
torch::Tensor row_of_user(const RunInUse& used, const std::string& user) {
  const RowSource& rows = used.run.dataset->split("all");
  if (rows.identity(0).name.empty())
    usage_error("--user={}: {} has no names of its rows; use --history=FILE", user,
                used.run.config->data.path);
  for (int64_t id = 0; id < rows.rows(); ++id)
    if (rows.identity(id).name == user) return rows.read({id}).x;
  usage_error("--user={}: is none of the {} users; the first is '{}'", user, rows.rows(),
              rows.identity(0).name);
}

void print(const RecommendOptions& options, const std::vector<std::string>& items,
           const torch::Tensor& scores, const torch::Tensor& best) {
  const bool to_file = !options.output.out.empty();
  const char separator = options.output.ending() == ".tsv" ? '\t' : ',';
  std::string text = to_file ? fmt::format("rank{0}item{0}score\n", separator) : "";
  for (int64_t i = 0; i < best.size(0); ++i) {
    const auto item = best[i].item<int64_t>();
    const std::string& name = items[static_cast<size_t>(item)];
    const auto score = scores[item].item<float>();
    text += to_file
                ? fmt::format("{}{}{}{}{}\n", i + 1, separator, as_field(name, separator), separator, score)
                : fmt::format("{:4}  {:8.6f}  {}\n", i + 1, score, name);
  }
  if (to_file) return write_file(options.output.out, text);
  fmt::print("{}", text);
}

void recommend(const RecommendOptions& options, const RunInUse& used) {
  if (!used.is_root()) return;
  const SavedRun& run = used.run;
  if (run.checkpoint.data.kind != "interactions")
    usage_error("elbo recommend: {} was trained on rows of the kind {}; expected interactions", run.directory,
                run.checkpoint.data.kind.empty() ? "unknown" : run.checkpoint.data.kind);
  if (options.history.empty() == options.user.empty())
    usage_error("elbo recommend: expected either --history=FILE or --user=NAME");
  if (!options.output.out.empty()) {
    OutputOptions output = options.output;
    output.inputs.push_back(options.history);
    check_output(output, {".csv", ".tsv"});
  }
  const std::vector<std::string> items = names_of_items(run);
  const torch::Tensor seen =
      options.user.empty() ? read_history(options.history, items) : row_of_user(used, options.user);
  const torch::NoGradGuard no_grad;
  const torch::Tensor label = labels_for(run, "", 1);
  const Batch batch{run.model->transform().apply(seen.to(run.device)), label,
                    torch::zeros({1}, torch::kInt64)};
  const torch::Tensor scores = run.model->decode(run.model->encode(batch).z, label)[0].cpu().masked_fill(
      seen[0].gt(0), -std::numeric_limits<float>::infinity());
  const int64_t unseen = scores.isfinite().sum().item<int64_t>();
  const torch::Tensor best = scores.argsort(/*stable=*/true, 0, /*descending=*/true);
  print(options, items, scores, best.narrow(0, 0, std::min(options.n, unseen)));
}

}  // namespace

Command recommend_command() {
  return saved_run_command<RecommendOptions>(
      {"recommend",
       "RUN [DATA.h5] --history=FILE|--user=NAME [--n=10] [--out=FILE]",
       "the best items that a history of interactions lacks, by name",
       {}},
      RunWords::run_and_perhaps_data, recommend);
}

}  // namespace elbo
