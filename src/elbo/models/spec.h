// A ModelSpec made of a variant's options and its model class.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include "elbo/models/registry.h"

namespace elbo {

// Options: a struct with bind(OptionTable&). Built: a Model with a constructor Built(const ModelContext&,
// const Options&, RandomGenerator&).
template <typename Built, typename Options>
class SpecOf final : public ModelSpec {
 public:
  SpecOf(std::string name, std::string summary, std::string reference)
      : name_(std::move(name)), summary_(std::move(summary)), reference_(std::move(reference)) {}
  std::string name() const override { return name_; }
  std::string summary() const override { return summary_; }
  std::string reference() const override { return reference_; }
  void bind(OptionTable& table) override { options_.bind(table); }
  std::shared_ptr<Model> build(const ModelContext& context, RandomGenerator& init) const override {
    ModelContext fitted = context;
    fitted.network.spatial = context.data.spatial();
    return std::make_shared<Built>(fitted, options_, init);
  }

 private:
  std::string name_, summary_, reference_;
  Options options_;
};

}  // namespace elbo
