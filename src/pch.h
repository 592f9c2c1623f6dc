// What nearly every file needs. LibTorch's headers cost five seconds a file without this, and torch/torch.h
// as a whole costs each file four seconds even with it: templates that its headers use are instantiated in
// every file.
#pragma once
#include <fmt/format.h>
#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
