// The table of variants. To add one, write models/NAME.cpp and list its spec in models/registry.cpp
// (docs/adding_a_variant.md).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/data/batch.h"
#include "elbo/models/model.h"
#include "elbo/nn/networks.h"

namespace elbo {

// The arguments of a model's constructor besides its options.
struct ModelContext {
  DataShape data;
  NetworkOptions network;
  std::string name{};  // of the variant, for error messages
};

// A variant and the current values of its options, which bind() registers in a table.
class ModelSpec {
 public:
  virtual ~ModelSpec() = default;
  virtual std::string name() const = 0;
  virtual std::string summary() const = 0;    // one line
  virtual std::string reference() const = 0;  // the paper
  virtual void bind(OptionTable& table) = 0;  // under model.*
  // Parameters are initialised from `init`, in the order of registration. Throws a usage Error for data that
  // do not fit the variant.
  virtual std::shared_ptr<Model> build(const ModelContext& context, RandomGenerator& init) const = 0;
};

std::vector<std::unique_ptr<ModelSpec>> all_models();
// Throws a usage Error that suggests the variant with the nearest name.
std::unique_ptr<ModelSpec> find_model(const std::string& name);

}  // namespace elbo
