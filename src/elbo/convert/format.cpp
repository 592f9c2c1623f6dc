#include "elbo/convert/format.h"

#include <fmt/format.h>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

std::vector<Format> all_formats() {
  return {idx_format(),   npy_format(),        npz_format(),  hdf5_format(),          csv_format(),
          tsv_format(),   images_format(),     text_format(), smiles_format(),        ratings_format(),
          audio_format(), wav_format(),        flac_format(), moving_digits_format(), sprites_format(),
          video_format(), piano_rolls_format()};
}

Format find_format(const std::string& name) {
  std::vector<std::string> names;
  for (Format& format : all_formats()) {
    if (format.name == name) return std::move(format);
    names.push_back(format.name);
  }
  const std::string nearest = nearest_name(name, names);
  usage_error("elbo convert {}: unknown format{}; expected one of {}", name,
              nearest.empty() ? "" : fmt::format(", did you mean {}?", nearest), join(names, ", "));
}

}  // namespace elbo
