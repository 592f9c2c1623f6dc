// Animations: GIF files (CompuServe, Graphics Interchange Format, version 89a).
#pragma once
#include <torch/types.h>

#include <filesystem>

namespace elbo {

// frames (time, height, width, channels) uint8, 1 channel in grey or 3 in 6·7·6 colours; repeated for ever.
// seconds: of each frame, in hundredths. Throws a usage Error for frames of more than 65535 pixels a side.
void write_gif(const std::filesystem::path& path, const torch::Tensor& frames, double seconds);

}  // namespace elbo
