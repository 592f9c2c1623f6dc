#include "elbo/comm/communicator.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>

namespace elbo {
namespace {

void write_text(const std::string& text, const torch::Tensor& bytes, int64_t offset) {
  std::ranges::copy(text, bytes.mutable_data_ptr<uint8_t>() + offset);
}

std::string read_text(const torch::Tensor& bytes, int64_t offset, int64_t size) {
  return {reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()) + offset, static_cast<size_t>(size)};
}

}  // namespace

torch::Tensor gather(Communicator& comm, const torch::Tensor& own, const std::vector<int64_t>& counts,
                     int root) {
  const std::vector<int64_t> none(counts.size(), 0);
  AllToAllCounts split{.send = none, .receive = comm.rank() == root ? counts : none};
  split.send[static_cast<size_t>(root)] = own.numel();
  torch::Tensor all =
      torch::empty({std::accumulate(split.receive.begin(), split.receive.end(), int64_t{0})}, own.options());
  comm.all_to_all(own, all, split);
  return all;
}

std::string broadcast_text(Communicator& comm, const std::string& text, int root) {
  torch::Tensor length = torch::full({1}, static_cast<int64_t>(text.size()), torch::kInt64);
  comm.broadcast(length, root);
  torch::Tensor bytes = torch::empty({length.item<int64_t>()}, torch::kUInt8);
  if (comm.rank() == root) write_text(text, bytes, 0);
  comm.broadcast(bytes, root);
  return read_text(bytes, 0, bytes.numel());
}

std::vector<std::string> all_gather_text(Communicator& comm, const std::string& text) {
  const auto size = static_cast<size_t>(comm.size());
  torch::Tensor lengths = torch::zeros({comm.size()}, torch::kInt64);
  lengths[comm.rank()] = static_cast<int64_t>(text.size());
  comm.all_gather(lengths, std::vector<int64_t>(size, 1));

  const int64_t* length = lengths.const_data_ptr<int64_t>();
  const std::vector<int64_t> counts(length, length + size);
  torch::Tensor bytes =
      torch::empty({std::accumulate(counts.begin(), counts.end(), int64_t{0})}, torch::kUInt8);
  write_text(text, bytes, std::accumulate(length, length + comm.rank(), int64_t{0}));
  comm.all_gather(bytes, counts);

  std::vector<std::string> texts;
  int64_t offset = 0;
  for (const int64_t count : counts) {
    texts.push_back(read_text(bytes, offset, count));
    offset += count;
  }
  return texts;
}

}  // namespace elbo
