#include "elbo/nn/precision.h"

#include <utility>

namespace elbo {
namespace {

// Of each worker thread its own: the layers of a replica are called by one thread, from deep inside a model.
thread_local torch::ScalarType precision = torch::kFloat32;

}  // namespace

ProductPrecision::ProductPrecision(torch::ScalarType type) : before_(std::exchange(precision, type)) {}
ProductPrecision::~ProductPrecision() { precision = before_; }
torch::ScalarType ProductPrecision::current() { return precision; }

}  // namespace elbo
