#include "elbo/nn/precision.h"

#include <utility>

namespace elbo {
namespace {

// One per worker thread: a replica's layers are called by one thread, deep inside a model.
thread_local torch::ScalarType precision = torch::kFloat32;

}  // namespace

MatmulPrecision::MatmulPrecision(torch::ScalarType type) : before_(std::exchange(precision, type)) {}
MatmulPrecision::~MatmulPrecision() { precision = before_; }
torch::ScalarType MatmulPrecision::current() { return precision; }

}  // namespace elbo
