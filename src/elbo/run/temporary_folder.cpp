#include "elbo/run/temporary_folder.h"

#include <stdlib.h>

#include <string>
#include <system_error>

#include "elbo/base/error.h"
#include "elbo/comm/on_root.h"

namespace elbo {
namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder(Communicator& world) : is_root_(world.rank() == 0) {
  const auto made = on_root<std::string>(world, [] {
    std::string name = (fs::temp_directory_path() / "elbo_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      fail("{}: cannot create the temporary folder of a run; check TMPDIR", name);
    return name;
  });
  path_ = broadcast_text(world, made, 0);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (is_root_) fs::remove_all(path_, ignored);
}

}  // namespace elbo
