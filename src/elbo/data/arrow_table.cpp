#include "elbo/data/arrow_table.h"

#include "elbo/base/error.h"
#include "elbo/base/plugin.h"

namespace elbo {

namespace {

using Create = ArrowTable* (*)(const std::string&, const std::string&, bool, const std::vector<ArrowColumn>&);

Create find_create(const std::string& name) {
  std::string why;
  const auto create =
      reinterpret_cast<Create>(plugin_symbol("libelbo_arrow.so", "elbo_create_arrow_table", &why));
  if (create == nullptr)
    usage_error(
        "--out={}: this elbo is built without Arrow ({}), which writes such tables; use .csv, or build it "
        "where Arrow is (launch/setup.sh --arrow --build)",
        name, why);
  return create;
}

}  // namespace

void require_arrow(const std::string& name) { find_create(name); }

std::unique_ptr<ArrowTable> create_arrow_table(const std::string& path, const std::string& name, bool feather,
                                               const std::vector<ArrowColumn>& columns) {
  return std::unique_ptr<ArrowTable>(find_create(name)(path, name, feather, columns));
}

}  // namespace elbo
