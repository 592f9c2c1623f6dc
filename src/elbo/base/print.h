// Results on stdout. Texts from files and command lines are not trusted: control characters in them are
// escaped.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "elbo/base/text.h"

namespace elbo {

// An argument of print_escaped() that has several lines.
struct Lines {
  std::string text;
};

namespace print_detail {

template <typename T>
decltype(auto) shown(T&& value) {
  if constexpr (std::is_same_v<std::remove_cvref_t<T>, Lines>) {
    return printable(value.text, "\n");
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    return printable(std::string_view(value));
  } else {
    return std::forward<T>(value);
  }
}

template <typename T>
using Shown = decltype(shown(std::declval<T>()));

}  // namespace print_detail

// As fmt::print(), with each text in `args` on one line, as printable() shows it.
template <typename... Args>
void print_escaped(fmt::format_string<print_detail::Shown<Args>...> format, Args&&... args) {
  const auto put = [&](auto&&... shown) { fmt::vprint(format.get(), fmt::make_format_args(shown...)); };
  put(print_detail::shown(std::forward<Args>(args))...);
}

}  // namespace elbo
