// The file that a command writes: its options, and the forms of results by the ending of its name.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/eval/result_writer.h"

namespace elbo {

struct OutputOptions {
  std::string out;     // the file to write
  bool force = false;  // replace an existing file
  // Data sets and files that the command reads (data_files.h); "": none. They are never replaced.
  std::vector<std::string> inputs{};
  void bind(OptionTable& table, const std::string& what);
  // The same for rows of results: `what` they are, in any of the forms.
  void bind_rows(OptionTable& table, const std::string& what);
  std::string ending() const;  // ".csv"; "" if there is none
  bool is_picture() const;     // .png or .gif, which need values in [0, 1]
};

// Throw a usage Error unless --out names a file that may be written and has one of these endings
// (check_output) or a form that can hold such rows (check_results). --force replaces only a regular file that
// is neither read nor part of a run. Call them before computing anything.
void check_output(const OutputOptions& options, const std::vector<std::string>& endings);
void check_results(const OutputOptions& options, const ResultFile& file);

// The ending of a file that shows such rows to people: .png, .wav or .txt; "" where none can hold them.
std::string ending_to_look_at(const ResultFile& file);

// The writer for the ending of file.path, which check_results() has accepted.
std::unique_ptr<ResultWriter> open_results(ResultFile file);

}  // namespace elbo
