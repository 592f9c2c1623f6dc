#include "elbo/train/symptoms.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "elbo/base/log.h"

namespace elbo {
namespace {

constexpr int64_t window = 100;           // steps
constexpr double much_waiting = 0.2;      // of the workers' time
constexpr int64_t steps_to_learn = 200;   // before a code that carries nothing is more than a beginning
constexpr double nats_of_nothing = 0.1;   // of a row's whole code
constexpr double most_nats = 1e4;         // of one latent dimension
constexpr double vectors_of_nothing = 2;  // perplexity of the codebook

}  // namespace

void Symptoms::warn(const std::string& symptom, const std::string& message) {
  if (told_.insert(symptom).second) log::warning("{}", message);
}

void Symptoms::after_step(int64_t step, const std::vector<RankSeconds>& ranks) {
  ranks_.add(ranks);
  if (ranks_.steps() < window) return;
  const Clock::time_point now = Clock::now();
  if (windows_++ > 0)  // the first has the start of reading in it
    look_at_data(step, ranks_.data_wait() / std::chrono::duration<double>(now - window_began_).count());
  look_at_ranks(step);
  window_began_ = now;
  ranks_.reset();
}

void Symptoms::look_at_data(int64_t step, double share) {
  if (share < much_waiting) return;
  warn("data",
       fmt::format("in the {} steps up to {}, workers waited for data in {:.0f} % of the time; elbo inspect "
                   "prints what the layout of the data costs, and data.stage, data.prefetch and "
                   "data.shuffle_buffer_bytes may help",
                   window, step, 100 * share));
}

void Symptoms::look_at_ranks(int64_t step) {
  const int rank = ranks_.slow_rank();
  if (rank < 0) return;
  warn(
      fmt::format("rank {}", rank),
      fmt::format(
          "in the {} steps up to {}, rank {} on {} computed {:.1f} times as long as the others, which waited "
          "for it: something else may run on that host, or it is slower (ranks.tsv in the run's folder)",
          window, step, rank, ranks_.host(rank), ranks_.ratio(rank)));
}

void Symptoms::after_evaluation(int64_t step, const Evaluation& evaluation) {
  const std::vector<double>& kl = evaluation.kl_per_dim;
  for (size_t i = 0; i < kl.size(); ++i)
    if (kl[i] > most_nats)
      warn("range",
           fmt::format("after step {} latent dimension {} has a KL of {:.3g} nats: its mean or log-variance "
                       "is out of range; lower optimizer.lr, set optimizer.clip_norm, or scale the data "
                       "(data.normalize)",
                       step, i, kl[i]));
  if (step < steps_to_learn) return;
  const double nats = std::accumulate(kl.begin(), kl.end(), 0.0);
  if (evaluation.active_units == 0 && !kl.empty() && nats < nats_of_nothing)
    warn("collapse",
         fmt::format("after step {} the posterior is the prior (KL {:.2g} nats, none of {} dimensions is "
                     "active), so the code carries nothing; a longer model.warmup_steps, model.free_bits or "
                     "a smaller model.beta keeps it in use",
                     step, nats, kl.size()));
  const auto perplexity =
      std::ranges::find(evaluation.terms, "perplexity", &std::pair<std::string, double>::first);
  if (perplexity != evaluation.terms.end() && perplexity->second < vectors_of_nothing)
    warn("codebook",
         fmt::format("after step {} rows use {:.1f} vectors of the codebook, so codes carry almost nothing; "
                     "lower optimizer.lr, or let unused vectors be replaced (model.codebook=ema, "
                     "model.restart_below)",
                     step, perplexity->second));
}

}  // namespace elbo
