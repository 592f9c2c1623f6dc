#include "elbo/data/stored_rows.h"

namespace elbo {

const std::string& RowNames::at(int64_t row) const {
  std::call_once(once_, [&] {
    const auto guard = hdf5::lock();
    names_ = hdf5::read_texts(hdf5::open_dataset(file_.handle(), path_));
  });
  if (row >= std::ssize(names_))
    file_.reject(fmt::format("{} has {} names; expected one for each row", path_, names_.size()));
  return names_[static_cast<size_t>(row)];
}

}  // namespace elbo
