// The table of formats that `elbo convert` reads. Each format is one .cpp file with its options and its
// reader.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/convert/dataset_writer.h"

namespace elbo {

struct Format {
  // Reads the inputs, writes target.out.
  using Conversion = std::function<void(const std::vector<std::string>& inputs, const Target& target)>;
  std::string name;
  std::string takes;           // "X.npy [LABELS.npy]"
  std::string summary;         // one line
  size_t least = 1, most = 1;  // inputs
  // Adds the format's options to the table and returns a conversion that uses their values.
  std::function<Conversion(OptionTable& table)> bind;
};

// The `bind` of a format with the function convert(inputs, target, options) and a struct Options with bind().
template <typename Options>
auto with_options(void (*convert)(const std::vector<std::string>&, const Target&, const Options&),
                  const Options& defaults = {}) {
  return [=](OptionTable& table) -> Format::Conversion {
    const auto options = std::make_shared<Options>(defaults);  // outlives the table
    options->bind(table);
    return [=](const std::vector<std::string>& inputs, const Target& target) {
      convert(inputs, target, *options);
    };
  };
}

// Each is defined in the .cpp file of its name.
Format idx_format();
Format npy_format();
Format npz_format();
Format hdf5_format();
Format csv_format();
Format tsv_format();
Format images_format();
Format text_format();
Format smiles_format();
Format ratings_format();
Format audio_format();
Format wav_format();
Format flac_format();
Format moving_digits_format();
Format sprites_format();
Format video_format();
Format piano_rolls_format();

std::vector<Format> all_formats();
// Throws a usage Error that suggests the format with the nearest name.
Format find_format(const std::string& name);

}  // namespace elbo
