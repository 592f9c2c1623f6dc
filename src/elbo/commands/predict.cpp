#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>
#include <set>

#include "elbo/base/log.h"
#include "elbo/base/special_tokens.h"
#include "elbo/commands/rows_out.h"

namespace elbo {
namespace {

struct PredictOptions : SavedRunOptions {
  std::string n = "auto", from = "auto";
  int64_t steps = 0, paths = 1;
  DrawOptions draw;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_rows_asked(table, n, 16);
    table.add_number_or(
        "from", from, {"auto", "end"},
        "prefix length in elements, including <bos> for tokens; end: each row is continued from its own end; "
        "auto: half of the longest length, or the end of rows that are shorter than those of training",
        Range::at_least(0));
    table.add(
        "steps", steps,
        "new elements after the end of each row, of which the model then sees the last ones that fit in a "
        "row of training with them; 0: none beyond a row",
        Range::at_least(0));
    table.add("paths", paths, "predictions of each row", Range::between(1, 1 << 20));
    bind_split(table);
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    draw.bind(table, "mean, and drawn where a row has several paths");
    output.bind_rows(table,
                     "x, the elements that are known, prediction, the same with the others predicted, and "
                     "prefix, how many are known");
    return table;
  }
  DataNeed need() const { return DataNeed::rows_to_continue; }
  bool from_end() const { return from == "end"; }
};

// How rows are continued.
struct Plan {
  int64_t time = 0;    // elements of a row of training
  int64_t prefix = 0;  // that are known; 0: those up to the row's own end
  int64_t steps = 0;   // new elements after it
};

Plan plan_of(const PredictOptions& options, const SavedRun& run) {
  const int64_t time = run.checkpoint.data.x.front(), here = run.dataset->shape().x.front();
  if (time < 2) usage_error("elbo predict: a sequence of length 1 cannot be continued");
  const int64_t from = options.from == "auto" || options.from_end() ? 0 : std::stoll(options.from);
  if (from >= time) usage_error("--from={}: rows have {} elements; expected fewer", from, time);
  if (options.steps > 0 && run.checkpoint.data.tokens > 0)
    usage_error("--steps={}: a row of tokens ends with <eos>; use --from", options.steps);
  if (options.steps >= time)
    usage_error("--steps={}: rows of training have {} elements; expected fewer, so that the model sees some",
                options.steps, time);
  if (options.steps > 0) return {.time = time, .steps = options.steps};
  if (from > 0) return {.time = time, .prefix = from};
  return {.time = time, .prefix = options.from_end() || here < time ? 0 : time / 2};
}

// Elements of a row that are known at most; <eos> is not among them, because it may be predicted otherwise.
int64_t known_length(const Batch& rows, int64_t row, bool has_tokens) {
  const int64_t length = rows.length.defined() ? rows.length[row].item<int64_t>() : rows.x.size(1);
  const bool ends = has_tokens && length > 0 && rows.x[row][length - 1].item<int64_t>() == eos_token;
  return ends ? length - 1 : length;
}

// Rows of the length of training: known elements first, then zeros, which no prediction depends on.
struct Beginnings {
  Batch batch;
  std::vector<int64_t> prefix;  // how many elements are known
};

Beginnings beginnings_of(const Batch& rows, const Plan& plan, bool has_tokens) {
  std::vector<int64_t> shape = rows.x.sizes().vec();
  shape[1] = plan.time;
  Beginnings all{.batch = rows, .prefix = {}};
  all.batch.x = torch::zeros(shape, rows.x.options());
  if (rows.observed.defined()) all.batch.observed = torch::ones(shape, rows.observed.options());
  for (int64_t row = 0; row < rows.size(); ++row) {
    const int64_t length = known_length(rows, row, has_tokens);
    const int64_t known = plan.prefix > 0  ? plan.prefix
                          : plan.steps > 0 ? std::min(length, plan.time - plan.steps)
                                           : length;
    const int64_t begin = plan.steps > 0 ? length - known : 0;
    all.batch.x[row].narrow(0, 0, known).copy_(rows.x[row].narrow(0, begin, known));
    if (rows.observed.defined())
      all.batch.observed[row].narrow(0, 0, known).copy_(rows.observed[row].narrow(0, begin, known));
    all.prefix.push_back(known);
  }
  return all;
}

// The places of rows that have more elements than the prefix, or none to fill a row of training.
std::vector<int64_t> continued_rows(const RunInUse& used, const Plan& plan, int64_t n) {
  constexpr int64_t at_once = 1024;
  const bool has_tokens = used.run.checkpoint.data.tokens > 0;
  std::vector<int64_t> places;
  for (int64_t first = 0; first < n; first += at_once) {
    const Batch rows = used.run.rows(used.split, first, std::min(n, first + at_once));
    for (int64_t row = 0; row < rows.size(); ++row) {
      const int64_t length = known_length(rows, row, has_tokens && plan.prefix == 0);
      const bool goes_on = plan.prefix > 0 ? length > plan.prefix : plan.steps > 0 || length < plan.time;
      if (goes_on) places.push_back(first + row);
    }
  }
  const std::string why = plan.prefix > 0 ? fmt::format("end within {} elements", plan.prefix)
                                          : fmt::format("have all {} elements already", plan.time);
  if (places.empty())
    usage_error("all of the {} rows {}; expected {}", n, why,
                plan.prefix > 0 ? "a smaller --from, or more rows (--n)"
                                : "--from=T to predict a part of each, or --steps=H to predict beyond them");
  if (std::ssize(places) < n && used.is_root())
    log::info("{} of {} rows {} and are left out", n - std::ssize(places), n, why);
  return places;
}

// Rows of the split at these places, in any order.
Batch rows_at(const RunInUse& used, const std::vector<int64_t>& places) {
  const int64_t first = places.front(), last = places.back();
  const Batch all = used.run.rows(used.split, first, last + 1);
  const torch::Tensor chosen = torch::tensor(places, torch::kInt64) - first;
  const auto take = [&](const torch::Tensor& part) {
    return part.defined() ? part.index_select(0, chosen.to(part.device())) : part;
  };
  return {take(all.x), take(all.label), take(all.ids), take(all.length), take(all.observed)};
}

// (b, paths, …row): rows with prefixes of one length go through the model together.
torch::Tensor predicted(Model& model, const Beginnings& beginnings, int64_t paths, ElementChoice choice,
                        const Key& key) {
  const torch::Tensor& x = beginnings.batch.x;
  std::vector<int64_t> shape = x.sizes().vec();
  shape.insert(shape.begin() + 1, paths);
  torch::Tensor result = torch::empty(shape, x.options());
  for (const int64_t length : std::set(beginnings.prefix.begin(), beginnings.prefix.end())) {
    std::vector<int64_t> members;
    for (size_t row = 0; row < beginnings.prefix.size(); ++row)
      if (beginnings.prefix[row] == length) members.push_back(static_cast<int64_t>(row));
    const torch::Tensor chosen = torch::tensor(members, torch::kInt64).to(x.device());
    const auto take = [&](const torch::Tensor& part) {
      return part.defined() ? part.index_select(0, chosen.to(part.device())) : part;
    };
    const Batch& all = beginnings.batch;
    const Batch rows{take(all.x), take(all.label), take(all.ids), take(all.length), take(all.observed)};
    for (int64_t path = 0; path < paths; ++path) {
      RandomGenerator noise(key.with(static_cast<uint64_t>(length)).with(static_cast<uint64_t>(path)),
                            x.device());
      choice.noise = &noise;
      const torch::Tensor continued =
          model.continue_from(rows, {.prefix_length = length, .elements = choice}, noise)
              .value_or(torch::Tensor());
      result.select(1, path).index_copy_(0, chosen, continued);
    }
  }
  return result;
}

// NaN after the prefix: not known. Tokens have <pad>, and rows whose end is in the file keep it.
torch::Tensor known_elements(const Beginnings& beginnings, bool has_tokens) {
  torch::Tensor x = beginnings.batch.marked().clone();
  if (has_tokens) return x;
  for (size_t row = 0; row < beginnings.prefix.size(); ++row) {
    const int64_t known = beginnings.prefix[row];
    x[static_cast<int64_t>(row)]
        .narrow(0, known, x.size(1) - known)
        .fill_(std::numeric_limits<float>::quiet_NaN());
  }
  return x;
}

void require_autoregressive(const SavedRun& run) {
  const std::vector<int64_t>& row = run.checkpoint.data.x;
  std::vector<int64_t> shape{1};
  shape.insert(shape.end(), row.begin(), row.end());
  const Batch probe{torch::zeros(shape, run.device), labels_for(run, "", 1),
                    torch::zeros({1}, torch::kInt64)};
  RandomGenerator noise(Key(0), run.device);
  const torch::NoGradGuard no_grad;
  if (!run.model->continue_from(probe, {.prefix_length = 1}, noise))
    usage_error("{}: {} is not autoregressive; expected a run of sequence_vae or vrnn", run.directory,
                run.config->model->name());
}

void predict(const PredictOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  const DataShape& data = run.checkpoint.data;
  require_autoregressive(run);
  const torch::NoGradGuard no_grad;
  const RowSource& source = used.rows();
  const Plan plan = plan_of(options, run);
  const bool has_tokens = data.tokens > 0;
  const Elements how = options.draw.how(options.paths > 1 ? Elements::drawn : Elements::mean);
  const std::vector<int64_t> places =
      continued_rows(used, plan, rows_asked(options.n, 16, options.output, source));
  std::vector<int64_t> several = data.x;
  if (options.paths > 1) several.insert(several.begin(), options.paths);
  const RowsOut out{
      .outputs = {{"x", data.x, true}, {"prediction", several, true, how == Elements::mean}, {"prefix", {}}},
      .rows = std::ssize(places),
      .main = 1,
      .source = &source,
      .places = places,
      .from_their_beginning = plan.steps == 0,
      .whole_rows = true};
  write_rows(
      options.output, used, options.threads, out,
      [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
        const Batch rows = rows_at(used, {places.begin() + first, places.begin() + end});
        const Beginnings beginnings = beginnings_of(rows, plan, has_tokens);
        const torch::Tensor made =
            predicted(model, beginnings, options.paths, {.how = how, .temperature = options.draw.temperature},
                      options.draw.key("predict").with(static_cast<uint64_t>(microbatch)));
        const torch::Tensor known = plan.prefix > 0 ? rows.marked() : known_elements(beginnings, has_tokens);
        return std::vector{known, made, torch::tensor(beginnings.prefix, torch::kFloat32).to(run.device)};
      });
}

}  // namespace

Command predict_command() {
  return saved_run_command<PredictOptions>(
      {"predict",
       "RUN [DATA.h5] --out=FILE [--from=T|end] [--steps=H] [--paths=N] [--elements=drawn]",
       "continues sequences, within their rows or beyond what the file holds",
       {}},
      RunWords::run_and_perhaps_data, predict);
}

}  // namespace elbo
