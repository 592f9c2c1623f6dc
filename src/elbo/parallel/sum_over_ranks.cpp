#include "elbo/parallel/sum_over_ranks.h"

#include <torch/types.h>

namespace elbo {

torch::Tensor sum_over_ranks(Communicator& comm, const std::vector<PartialSum>& own, int64_t microbatches,
                             torch::IntArrayRef shape, torch::ScalarType type) {
  const int64_t elements = c10::multiply_integers(shape);
  std::vector<Node> nodes;
  std::vector<int64_t> counts;
  for (int rank = 0; rank < comm.size(); ++rank) {
    const std::vector<Node> subtrees =
        maximal_subtrees(partition({0, microbatches}, rank, comm.size()), microbatches);
    nodes.insert(nodes.end(), subtrees.begin(), subtrees.end());
    counts.push_back(static_cast<int64_t>(subtrees.size()) * elements);
  }
  std::vector<int64_t> sizes{static_cast<int64_t>(nodes.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  torch::Tensor all = torch::empty(sizes, type);
  int64_t index = 0;
  for (int rank = 0; rank < comm.rank(); ++rank) index += counts[static_cast<size_t>(rank)] / elements;
  for (const PartialSum& part : own) all[index++].copy_(part.sum);
  comm.all_gather(all, counts);
  std::vector<PartialSum> parts;
  parts.reserve(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) parts.push_back({nodes[i], all[static_cast<int64_t>(i)]});
  return canonical_sum({0, microbatches}, parts);
}

}  // namespace elbo
