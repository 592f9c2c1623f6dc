// The page of a report: one HTML file that needs no network. Charts are drawn by a script in it from the
// data.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace elbo {

// runs: a list of what report_data.h gives for each. version: of elbo, for the page's foot.
std::string report_page(const nlohmann::ordered_json& runs, const std::string& version);

// Whether a file with this content is such a page.
bool is_report_page(const std::string& content);

// Parts of the page.
extern const char* const report_style;   // CSS
extern const char* const report_script;  // JavaScript, which reads the data from the element "data"

}  // namespace elbo
