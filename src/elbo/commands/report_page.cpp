#include "elbo/commands/report_page.h"

#include <fmt/format.h>

namespace elbo {
namespace {

constexpr const char* beginning = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n";
constexpr const char* foot = "<footer>elbo ";

// JSON inside an element of HTML: no text of a file can end the element.
std::string embedded(const nlohmann::ordered_json& json) {
  const std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (const char letter : text) {
    if (letter == '<')
      safe += "\\u003c";
    else
      safe += letter;
  }
  return safe;
}

std::string escaped(const std::string& text) {
  std::string html;
  for (const char letter : text) {
    if (letter == '&')
      html += "&amp;";
    else if (letter == '<')
      html += "&lt;";
    else
      html += letter;
  }
  return html;
}

}  // namespace

bool is_report_page(const std::string& content) {
  return content.starts_with(beginning) && content.find(foot) != std::string::npos;
}

std::string report_page(const nlohmann::ordered_json& runs, const std::string& version) {
  std::string title;
  for (const auto& run : runs) title += (title.empty() ? "" : ", ") + run["name"].get<std::string>();
  std::string page = beginning;
  page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  page += fmt::format("<title>{}</title>\n<style>{}</style></head>\n", escaped(title), report_style);
  page += fmt::format("<body><header><h1>{}</h1><div id=\"runs\"></div></header><main id=\"main\">",
                      escaped(title));
  page += "<noscript>The charts need JavaScript, which is switched off here.</noscript></main>\n";
  page += fmt::format("{}{}</footer><div id=\"tip\" role=\"status\"></div>\n", foot, escaped(version));
  page += "<script type=\"application/json\" id=\"data\">";
  page += embedded(runs);
  page += "</script>\n<script>";
  page += report_script;
  page += "</script></body></html>\n";
  return page;
}

}  // namespace elbo
