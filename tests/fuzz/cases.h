// The first byte of an input to the converters selects one of these cases.
#pragma once
#include <string>
#include <vector>

#include "elbo/base/options.h"

namespace elbo::fuzz {

struct Case {
  std::string format;
  std::string file;   // the file for the other bytes of the input
  std::string given;  // the converter's input: the file, or the folder that contains it
  std::vector<Setting> settings{};
};

// All formats that parse files. hdf5 and moving_digits are not among them: they read with the HDF5 library.
inline std::vector<Case> cases() {
  return {{"idx", "images", "images"},
          {"npy", "x.npy", "x.npy"},
          {"npz", "x.npz", "x.npz"},
          {"csv", "x.csv", "x.csv", {{"standardize", "true"}, {"label", "3"}, {"missing", "mean"}}},
          {"csv", "x.csv", "x.csv", {{"window", "3"}, {"stride", "2"}, {"categories", "one_hot"}}},
          {"tsv", "x.tsv", "x.tsv", {{"transform", "log_returns"}, {"missing", "drop"}}},
          {"ratings", "x.csv", "x.csv", {{"values", "rating"}, {"leave_out", "1"}}},
          {"text", "x.txt", "x.txt", {{"vocabulary", "6"}}},
          {"text", "x.txt", "x.txt", {{"tokens", "characters"}, {"length", "6"}, {"longer", "cut"}}},
          {"text", "x.txt", "x.txt", {{"tokens", "byte_pairs"}, {"vocabulary", "30"}}},
          {"smiles", "x.smi", "x.smi"},
          {"images", "png/a/1.png", "png", {{"channels", "1"}}},
          {"images", "jpg/a/1.jpg", "jpg", {{"size", "5x6"}}},
          {"video", "film/1.png", "film", {{"frames", "1"}, {"size", "4"}, {"fit", "pad"}}},
          {"wav", "x.wav", "x.wav"},
          {"wav", "x.wav", "x.wav", {{"form", "waveform"}, {"rate", "2000"}, {"frames", "0"}}},
          {"flac", "x.flac", "x.flac", {{"form", "mu_law"}, {"frame", "100"}}},
          {"piano_rolls", "x.json", "x.json", {{"frames", "2"}}}};
}

}  // namespace elbo::fuzz
