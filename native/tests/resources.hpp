// What this process holds of the system: to be the same after a test as before.
#pragma once

#if defined(__linux__)
#include <dirent.h>

#include <cstdio>
#include <cstring>
#endif

#include "check.hpp"

namespace weft::test {

struct Resources {
  long descriptors = 0;
  long shared_mappings = 0;  // of memory without a name

  static Resources now() {
    Resources found;
#if defined(__linux__)
    DIR* const folder = ::opendir("/proc/self/fd");
    CHECK(folder != nullptr);
    while (::readdir(folder) != nullptr) ++found.descriptors;
    ::closedir(folder);
    std::FILE* const maps = std::fopen("/proc/self/maps", "re");
    CHECK(maps != nullptr);
    char line[4096];
    while (std::fgets(line, sizeof line, maps) != nullptr) {
      if (std::strstr(line, "/memfd:weft") != nullptr) ++found.shared_mappings;
    }
    std::fclose(maps);
#endif
    return found;
  }
};

// Invariant 3: nothing of it is left when the scope ends.
class NothingIsLeft {
 public:
  ~NothingIsLeft() {
    const Resources after = Resources::now();
    CHECK_EQ(after.descriptors, before_.descriptors);
    CHECK_EQ(after.shared_mappings, before_.shared_mappings);
  }

 private:
  const Resources before_ = Resources::now();
};

}  // namespace weft::test
