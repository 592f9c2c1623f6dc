#include "elbo/parallel/sum_over_ranks.h"

#include <torch/types.h>

namespace elbo {

torch::Tensor sum_over_ranks(Communicator& comm, const std::vector<Part>& own, int64_t microbatches,
                             torch::IntArrayRef shape, torch::ScalarType type) {
  const int64_t elements = c10::multiply_integers(shape);
  std::vector<Node> nodes;
  std::vector<int64_t> counts;
  for (int rank = 0; rank < comm.size(); ++rank) {
    const std::vector<Node> of_rank = maximal_subtrees(partition({0, microbatches}, rank, comm.size()), microbatches);
    nodes.insert(nodes.end(), of_rank.begin(), of_rank.end());
    counts.push_back(static_cast<int64_t>(of_rank.size()) * elements);
  }
  std::vector<int64_t> sizes{static_cast<int64_t>(nodes.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  torch::Tensor all = torch::empty(sizes, type);
  int64_t place = 0;
  for (int rank = 0; rank < comm.rank(); ++rank) place += counts[static_cast<size_t>(rank)] / elements;
  for (const Part& part : own) all[place++].copy_(part.sum);
  comm.all_gather(all, counts);
  std::vector<Part> parts;
  parts.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) parts.push_back({nodes[i], all[static_cast<int64_t>(i)]});
  return canonical_sum({0, microbatches}, parts);
}

}  // namespace elbo
