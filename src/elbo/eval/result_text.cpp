// Rows of tokens as lines of text.
#include <torch/types.h>

#include "elbo/base/file.h"
#include "elbo/eval/result_writer.h"

namespace elbo {
namespace {

// Escapes tabs and line ends, which separate texts in the file.
std::string one_line(const std::string& text) {
  std::string line;
  for (const char letter : text) {
    const auto* const escaped = letter == '\t' ? "\\t" : letter == '\n' ? "\\n" : letter == '\r' ? "\\r" : "";
    if (*escaped == '\0') line += letter;
    line += escaped;
  }
  return line;
}

// .txt: a line for each row, with tabs between outputs, and between the rows that an output holds. .smi: the
// main output alone, and the name of the row after it.
class TextWriter final : public CollectingWriter {
 public:
  explicit TextWriter(ResultFile file) : CollectingWriter(std::move(file)) {}

 private:
  void write(const ResultRows& all) const override {
    const bool smiles = file().path.ends_with(".smi");
    std::vector<std::string> lines(static_cast<size_t>(all.rows()));
    for (size_t output = 0; output < all.values.size(); ++output)
      if (smiles ? output == file().main : file().outputs[output].is_data)
        add(all.values[output], !smiles && output > 0, lines);
    if (smiles)
      for (size_t row = 0; row < all.identities.size(); ++row)
        if (!all.identities[row].name.empty())
          lines[row].append("\t").append(one_line(all.identities[row].name));
    std::string text;
    for (const std::string& line : lines) text += line + '\n';
    write_file(file().path, text);
  }

  // values (n, time) or (n, k, time)
  void add(const torch::Tensor& values, bool has_left, std::vector<std::string>& lines) const {
    const int64_t each = values.dim() == 3 ? values.size(1) : 1;
    const std::vector<std::string> texts =
        file().description.vocabulary.texts(values.reshape({-1, values.size(-1)}));
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool first = i % static_cast<size_t>(each) == 0 && !has_left;
      lines[i / static_cast<size_t>(each)].append(first ? "" : "\t").append(one_line(texts[i]));
    }
  }
};

}  // namespace

std::unique_ptr<ResultWriter> text_writer(ResultFile file) {
  return std::make_unique<TextWriter>(std::move(file));
}

}  // namespace elbo
