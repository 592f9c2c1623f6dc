#include "elbo/data/foreign_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// A format that elbo converts.
struct Convertible {
  std::string_view ending, format, what;
};
constexpr std::array<Convertible, 20> convertible{{{".csv", "csv", "a table of comma-separated values"},
                                                   {".csv.gz", "csv", "a table of comma-separated values"},
                                                   {".tsv", "tsv", "a table of tab-separated values"},
                                                   {".tsv.gz", "tsv", "a table of tab-separated values"},
                                                   {".tab", "tsv", "a table of tab-separated values"},
                                                   {".parquet", "csv", "a Parquet table"},
                                                   {".feather", "csv", "a Feather table"},
                                                   {".arrow", "csv", "an Arrow table"},
                                                   {".npy", "npy", "an array of NumPy"},
                                                   {".npz", "npz", "an archive of NumPy"},
                                                   {".smi", "smiles", "a list of molecules"},
                                                   {".smi.gz", "smiles", "a list of molecules"},
                                                   {".wav", "audio", "a recording"},
                                                   {".flac", "audio", "a recording"},
                                                   {"-ubyte", "idx", "a file of MNIST's format"},
                                                   {"-ubyte.gz", "idx", "a file of MNIST's format"},
                                                   {".idx", "idx", "a file of MNIST's format"},
                                                   {".inter", "ratings", "a list of ratings"},
                                                   {".txt", "text", "a text"},
                                                   {".txt.gz", "text", "a text"}}};

// A format that Python reads; the expression makes an array or a table of the file {0}.
struct Readable {
  std::string_view ending, what, module, expression, as;
};
constexpr std::array<Readable, 29> readable{
    {{".xlsx", "a spreadsheet", "pandas", "pandas.read_excel(\"{0}\")", "csv"},
     {".xls", "a spreadsheet", "pandas", "pandas.read_excel(\"{0}\")", "csv"},
     {".sas7bdat", "a table of SAS", "pandas", "pandas.read_sas(\"{0}\")", "csv"},
     {".dta", "a table of Stata", "pandas", "pandas.read_stata(\"{0}\")", "csv"},
     {".jsonl", "a table in lines of JSON", "pandas", "pandas.read_json(\"{0}\", lines=True)", "csv"},
     {".tif", "a TIFF image", "tifffile", "tifffile.imread(\"{0}\")", "npy"},
     {".tiff", "a TIFF image", "tifffile", "tifffile.imread(\"{0}\")", "npy"},
     {".fits", "a FITS file", "astropy.io.fits", "astropy.io.fits.getdata(\"{0}\")", "npy"},
     {".fits.gz", "a FITS file", "astropy.io.fits", "astropy.io.fits.getdata(\"{0}\")", "npy"},
     {".fit", "a FITS file", "astropy.io.fits", "astropy.io.fits.getdata(\"{0}\")", "npy"},
     {".mat", "a MATLAB file before version 7.3", "scipy.io", "scipy.io.loadmat(\"{0}\")[\"X\"]", "npy"},
     {".pt", "a file of PyTorch", "torch", "torch.load(\"{0}\").numpy()", "npy"},
     {".pkl", "a pickle of Python", "pickle", "pickle.load(open(\"{0}\", \"rb\"))", "npy"},
     {".pickle", "a pickle of Python", "pickle", "pickle.load(open(\"{0}\", \"rb\"))", "npy"},
     {".json", "a table in JSON", "pandas", "pandas.read_json(\"{0}\")", "csv"},
     {".orc", "an ORC table", "pandas", "pandas.read_orc(\"{0}\")", "csv"},
     {".arff", "a table of Weka", "pandas, scipy.io.arff",
      "pandas.DataFrame(scipy.io.arff.loadarff(\"{0}\")[0])", "csv"},
     {".fcs", "a file of flow cytometry", "fcsparser", "fcsparser.parse(\"{0}\")[1]", "csv"},
     {".mtx", "a sparse matrix", "scipy.io", "scipy.io.mmread(\"{0}\").toarray()", "npy"},
     {".mtx.gz", "a sparse matrix", "scipy.io", "scipy.io.mmread(\"{0}\").toarray()", "npy"},
     {".svm", "a table of LIBSVM", "sklearn.datasets",
      "sklearn.datasets.load_svmlight_file(\"{0}\")[0].toarray()", "npy"},
     {".libsvm", "a table of LIBSVM", "sklearn.datasets",
      "sklearn.datasets.load_svmlight_file(\"{0}\")[0].toarray()", "npy"},
     {".nii", "a NIfTI volume", "nibabel", "nibabel.load(\"{0}\").get_fdata()", "npy"},
     {".nii.gz", "a NIfTI volume", "nibabel", "nibabel.load(\"{0}\").get_fdata()", "npy"},
     {".dcm", "a DICOM image", "pydicom", "pydicom.dcmread(\"{0}\").pixel_array", "npy"},
     {".las", "a cloud of points", "laspy", "laspy.read(\"{0}\").xyz", "npy"},
     {".laz", "a cloud of points", "laspy", "laspy.read(\"{0}\").xyz", "npy"},
     {".edf", "an EDF recording", "mne", "mne.io.read_raw_edf(\"{0}\").get_data().T", "npy"},
     {".bdf", "a BDF recording", "mne", "mne.io.read_raw_bdf(\"{0}\").get_data().T", "npy"}}};

// Files inside of other files, by their first bytes.
struct Packed {
  std::string_view begin, what, program;
};
constexpr std::array<Packed, 5> packed{{{"\x1F\x8B", "compressed by gzip", "gunzip"},
                                        {"BZh", "compressed by bzip2", "bunzip2"},
                                        {"\xFD"
                                         "7zXZ",
                                         "compressed by xz", "unxz"},
                                        {"\x28\xB5\x2F\xFD", "compressed by zstd", "unzstd"},
                                        {"PK\x03\x04", "a zip archive", "unzip"}}};

constexpr std::array<std::string_view, 9> image_endings{".png", ".jpg",  ".jpeg", ".tif", ".tiff",
                                                        ".bmp", ".webp", ".gif",  ".ppm"};

// The path without its ending, for the files beside it.
std::string stem_of(const std::string& path, std::string_view ending) {
  return path.substr(0, path.size() - std::min(path.size(), ending.size()));
}

std::string conversion(const std::string& format, const std::string& path, const std::string& stem) {
  return fmt::format("elbo convert {} {} --out={}.h5, then elbo train {}.h5", format, path, stem, stem);
}

std::string in_python(const Readable& format, const std::string& path, const std::string& stem) {
  const std::string read = fmt::format(fmt::runtime(format.expression), path);
  const std::string line =
      format.as == "csv"
          ? fmt::format("import {}; {}.to_csv(\"{}.csv\", index=False)", format.module, read, stem)
          : fmt::format("import numpy, {}; numpy.save(\"{}.npy\", {})", format.module, stem, read);
  const std::string format_name(format.as);
  return fmt::format("is {}; in Python: {}; then {}", format.what, line,
                     conversion(format_name, stem + "." + format_name, stem));
}

// An INI file may have any name.
bool looks_like_ini(const std::string& begin) {
  const size_t first = begin.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return first == std::string::npos || begin[first] == '[' || begin[first] == '#' || begin[first] == ';';
}

std::string first_bytes(const std::string& path) {
  std::string begin(1024, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  begin.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  return begin;
}

}  // namespace

std::string foreign_file(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return "";
  if (hdf5::is_hdf5(path)) return "";
  const std::string begin = first_bytes(path), name = lower_case(path);
  if (begin.starts_with("CDF\x01") || begin.starts_with("CDF\x02") || begin.starts_with("CDF\x05"))
    return fmt::format("is a netCDF file before version 4; nccopy -k nc4 {} NEW.nc, then elbo train NEW.nc",
                       path);
  for (const Convertible& format : convertible)
    if (name.ends_with(format.ending) && !looks_like_ini(begin))
      return fmt::format("is {}; {}", format.what,
                         conversion(std::string(format.format), path, stem_of(path, format.ending)));
  for (const Readable& format : readable)
    if (name.ends_with(format.ending)) return in_python(format, path, stem_of(path, format.ending));
  for (const std::string_view ending : image_endings)
    if (name.ends_with(ending))
      return fmt::format(
          "is one image; put the images into a folder, and the classes into folders in it, then {}",
          conversion("images", "FOLDER", "FOLDER"));
  for (const Packed& archive : packed)
    if (begin.starts_with(archive.begin))
      return fmt::format("is {}; {} {}, then elbo train what is in it", archive.what, archive.program, path);
  if (begin.starts_with("\x0E\x03\x13\x01"))
    return fmt::format("is an HDF4 file; h4toh5 {0} {0}.h5, then elbo train {0}.h5", path);
  if (begin.find('\0') != std::string::npos && !name.ends_with(".h5") && !name.ends_with(".hdf5"))
    return "is neither an HDF5 file nor a text; expected DATA.h5 or CONFIG.ini; elbo convert --help lists "
           "the "
           "formats that can be converted";
  return "";
}

std::string foreign_folder(const std::string& path) {
  constexpr int most_entries = 1000;
  std::error_code error;
  for (const char* metadata : {".zarray", ".zgroup", "zarr.json"})
    if (fs::exists(fs::path(path) / metadata, error))
      return fmt::format(
          "is a Zarr store; in Python: import numpy, zarr; z = zarr.open(\"{0}\", mode=\"r\"); "
          "numpy.save(\"{0}.npy\", z[:] if hasattr(z, \"shape\") else z[\"x\"][:]); then {1}",
          path, conversion("npy", path + ".npy", path));
  int seen = 0;
  for (fs::recursive_directory_iterator at(path, error), end; !error && at != end && seen < most_entries;
       at.increment(error), ++seen) {
    const std::string name = lower_case(at->path().filename().string());
    const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
    const std::string stem = fs::path(path).has_filename() ? path : fs::path(path).parent_path().string();
    if (std::ranges::any_of(image_endings, ends))
      return "is a folder of images; " + conversion("images", path, stem);
    if (ends(".wav") || ends(".flac")) return "is a folder of recordings; " + conversion("audio", path, stem);
    if (ends(".h5") || ends(".hdf5"))
      return fmt::format("is a folder of HDF5 files; elbo train '{}/*{}'", stem,
                         at->path().extension().string());
  }
  return "";
}

}  // namespace elbo
