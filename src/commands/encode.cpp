#include <torch/torch.h>

#include <algorithm>

#include "base/file.h"
#include "commands/command.h"
#include "data/hdf5.h"
#include "data/loader.h"
#include "eval/output.h"
#include "train/device.h"
#include "train/saved_run.h"

namespace elbo {
namespace {

struct Options {
  std::string split = "test", checkpoint = "newest", threads = "auto";
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("split", split, "train, validation or test");
    table.add("checkpoint", checkpoint, "newest, best, or a step");
    table.add_number_or("threads", threads, {"auto"},
                        "worker threads of a rank; auto: cores of the node / its ranks",
                        Range::between(1, 1024));
    output.bind(table, ".h5, with /z (N, latent), and /logvar and /label where there are any");
    return table;
  }
};

// Rows are encoded in microbatches whose borders follow from the row's number alone, so that a code's bits do
// not depend on who computes it. A round is one microbatch for every worker of every rank.
class Encoder {
 public:
  Encoder(Communicator& world, Workers& workers, const SavedRun& run, const RowSource& source)
      : world_(world),
        workers_(workers),
        source_(source),
        run_(run),
        microbatch_(run.config->evaluate.microbatch) {
    models_.push_back(run.model);
    while (static_cast<int>(models_.size()) < workers.count()) models_.push_back(run.replica());
    torch::Tensor count = torch::tensor({static_cast<int64_t>(workers.count())});
    world.all_reduce(count, ReduceOp::max);
    rows_of_rank_ = microbatch_ * count.item<int64_t>();
  }

  int64_t rows_of_round() const { return rows_of_rank_ * world_.size(); }

  // Codes of rows [first, first + rows_of_round()) as far as there are any, on every rank: (n, width)
  // float32, where width is latent, or twice that with the log variances behind.
  torch::Tensor round(int64_t first) {
    std::vector<int64_t> counts;
    for (int rank = 0; rank < world_.size(); ++rank) {
      const int64_t begin = std::min(first + rank * rows_of_rank_, source_.rows());
      counts.push_back(std::min(begin + rows_of_rank_, source_.rows()) - begin);
    }
    const torch::Tensor mine =
        encode(first + world_.rank() * rows_of_rank_, counts[static_cast<size_t>(world_.rank())]);
    int64_t total = 0, before = 0;
    for (int rank = 0; rank < world_.size(); ++rank) {
      if (rank < world_.rank()) before += counts[static_cast<size_t>(rank)];
      total += counts[static_cast<size_t>(rank)];
    }
    torch::Tensor all = torch::empty({total, width()});
    all.narrow(0, before, mine.size(0)).copy_(mine);
    for (int64_t& count : counts) count *= width();
    world_.all_gather(all, counts);
    return all;
  }

  int64_t latent() const { return models_.front()->latent_size(); }
  int64_t width() {
    if (width_ == 0) {
      const torch::NoGradGuard no_grad;
      width_ = latent() * (models_.front()->encode(read(0, 1)).logvar ? 2 : 1);
    }
    return width_;
  }

 private:
  Batch read(int64_t first, int64_t end) const { return run_.rows(source_, first, end); }

  torch::Tensor encode(int64_t first, int64_t count) {
    torch::Tensor codes = torch::empty({count, width()});
    workers_.run([&](int worker) {
      const torch::NoGradGuard no_grad;
      for (int64_t begin = worker * microbatch_; begin < count; begin += workers_.count() * microbatch_) {
        const int64_t end = std::min(begin + microbatch_, count);
        const Code code = models_[static_cast<size_t>(worker)]->encode(read(first + begin, first + end));
        codes.narrow(0, begin, end - begin)
            .copy_(code.logvar ? torch::cat({code.z, *code.logvar}, 1) : code.z);
      }
    });
    return codes;
  }

  Communicator& world_;
  Workers& workers_;
  const RowSource& source_;
  const SavedRun& run_;
  int64_t microbatch_, rows_of_rank_ = 0, width_ = 0;
  std::vector<std::shared_ptr<Model>> models_;
};

// What rank 0 writes, round by round.
class CodesFile {
 public:
  CodesFile(const std::string& path, int64_t latent, bool logvar) : target_(path), latent_(latent) {
    constexpr int64_t chunk_rows = 1024;
    file_ = hdf5::create_file(target_.temporary_path());
    z_ = hdf5::create_rows(file_, "/z", {latent}, torch::kFloat32, chunk_rows, 0);
    if (logvar) logvar_ = hdf5::create_rows(file_, "/logvar", {latent}, torch::kFloat32, chunk_rows, 0);
  }
  void append(const torch::Tensor& codes, const torch::Tensor& label) {
    hdf5::append(z_, codes.narrow(1, 0, latent_).contiguous());
    if (logvar_) hdf5::append(logvar_, codes.narrow(1, latent_, latent_).contiguous());
    if (!label.defined()) return;
    if (!label_)
      label_ = hdf5::create_rows(file_, "/label", label.sizes().slice(1).vec(), label.scalar_type(), 1024, 0);
    hdf5::append(label_, label);
  }
  void commit() {
    z_ = {};
    logvar_ = {};
    label_ = {};
    file_ = {};
    target_.commit();
  }

 private:
  AtomicFile target_;
  int64_t latent_;
  hdf5::Handle file_, z_, logvar_, label_;
};

ExitCode encode(const Environment& environment, const CommandLine& line) {
  Options options;
  OptionTable table = options.table();
  if (line.help) {
    print_help(encode_command(), table);
    return ExitCode::ok;
  }
  apply(line, table);
  require_words(encode_command(), line, 2, 2, "the folder of a run and a data set");
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const SavedRun run = open_run(*world, line.positional[0], options.checkpoint, line.positional[1]);
  const RowSource& source = run.dataset->split(run.choose_split(options.split, table.is_set("split")));

  TrainOptions threads;
  threads.threads = options.threads;
  Workers workers(worker_count(threads, environment, torch::kCPU, source.rows()));
  Encoder encoder(*world, workers, run, source);
  std::optional<CodesFile> file;
  if (environment.rank() == 0) {
    check_output(options.output, {".h5"});
    file.emplace(options.output.out, encoder.latent(), encoder.width() > encoder.latent());
  }
  for (int64_t first = 0; first < source.rows(); first += encoder.rows_of_round()) {
    const torch::Tensor codes = encoder.round(first);
    if (!file) continue;
    std::vector<int64_t> ids(static_cast<size_t>(codes.size(0)));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = first + static_cast<int64_t>(i);
    file->append(codes, source.read(ids).label);
  }
  if (file) file->commit();
  return ExitCode::ok;
}

}  // namespace

Command encode_command() {
  return {"encode", "RUN DATA.h5 --out=CODES.h5 [--split=test]",
          "writes the latent code of every row: features for other programs", encode};
}

}  // namespace elbo
