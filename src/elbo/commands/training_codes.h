// The codes of training rows, to which samplers are fitted.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/shared_points.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// The run with its own data set, whatever the command itself reads. Throws usage Errors: no training rows; no
// labels, where the model is conditioned on them. Collective.
SavedRun run_with_training_rows(const RunInUse& used);

// At most `most` training rows at equal distances, in parts of about a thousand. Where the model has a
// posterior, a code is a sample of it: the codes follow the aggregated posterior, 1/N Σ q(z|x). Throws a
// usage Error for codes that are not finite. Collective.
struct TrainingCodes {
  SharedPoints points;
  std::vector<torch::Tensor> labels;  // of each own part; undefined where the rows have none
};
TrainingCodes codes_of_training_rows(const RunInUse& used, Workers& workers, int64_t most);

// Groups of rows with a separate distribution each: the classes of a model that is conditioned on them; one
// for every other model.
int64_t groups_of(const SavedRun& run);
bool is_grouped_by_class(const SavedRun& run);
// " of class NAME", or "" where there is one group.
std::string of_group(const SavedRun& run, int64_t group);
// n codes, of each group those whose label is the group: sample(group, count) is (count, latent). label: (n),
// not needed for one group.
torch::Tensor sample_by_group(int64_t groups, int64_t n, const torch::Tensor& label,
                              const std::function<torch::Tensor(int64_t group, int64_t count)>& sample);

}  // namespace elbo
