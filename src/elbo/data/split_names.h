// What the names of groups and datasets mean, in any case and with any separators.
#pragma once
#include <cstdint>
#include <string>

namespace elbo {

// train, validation or test where `name` is one of these words or another one for it (training; val, valid,
// dev; testing, eval, holdout, held_out, t10k), else "".
std::string split_meant(const std::string& name);

enum class ArrayRole : uint8_t { none, rows, labels };

// x, data, images, features, inputs, … are rows; y, labels, targets, … are labels.
ArrayRole role_meant(const std::string& name);

struct NamedArray {
  std::string split;  // "": the name says none
  ArrayRole role = ArrayRole::none;
};

// A split and a role in one name: x_train, trainX, train_images, test_set_y; a split alone means its rows.
NamedArray array_meant(const std::string& name);

}  // namespace elbo
