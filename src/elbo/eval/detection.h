// How well a score finds anomalies: rows with a higher score are more anomalous.
#pragma once
#include <torch/types.h>

namespace elbo {

// score (n), anomalous (n) bool with rows of both kinds, on the CPU.

// The area under the ROC curve: the probability that an anomaly has a higher score than another row, where
// equal scores count half (Mann & Whitney 1947; Fawcett 2006, section 7).
double area_under_roc(const torch::Tensor& score, const torch::Tensor& anomalous);

// The area under the curve of precision and recall as average precision: Σ_t (R_t - R_{t-1}) P_t over the
// distinct scores t, from the highest down (Davis & Goadrich 2006; without interpolation).
double average_precision(const torch::Tensor& score, const torch::Tensor& anomalous);

// The lowest threshold that at most the share `rate` of the scores (n) exceeds, n ≥ 1.
double threshold_of_false_alarms(const torch::Tensor& score, double rate);

}  // namespace elbo
