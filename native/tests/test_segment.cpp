// Shared memory without a name: all of it is there, the other side cannot take it away, and a machine that has none
// says so.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "channel/segment.hpp"
#include "check.hpp"
#include "resources.hpp"

using namespace weft;
using namespace weft::test;
using namespace weft::channel;

namespace {

int error_of(size_t size) {
  try {
    (void)Segment::create(size);
  } catch (const std::system_error& error) {
    CHECK(std::strstr(error.what(), "shared memory") != nullptr);
    return error.code().value();
  }
  return 0;
}

#if defined(__linux__)
Descriptor copy_of(int descriptor) { return Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)); }
#endif

}  // namespace

#if defined(__linux__)

TEST(both_see_the_same_memory) {
  const NothingIsLeft nothing_is_left;
  Segment made = Segment::create(100'000);
  CHECK_EQ(made.bytes().size(), 100'000);
  for (const std::byte byte : made.bytes()) CHECK(byte == std::byte{0});
  CHECK((::fcntl(made.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
  Segment opened = Segment::open(made.take_descriptor(), 100'000);
  (void)opened.take_descriptor();
  made.bytes()[99'999] = std::byte{7};
  CHECK(opened.bytes()[99'999] == std::byte{7});
  made = Segment();  // the other mapping stays
  CHECK(opened.bytes()[99'999] == std::byte{7});
}

TEST(nobody_can_take_it_away) {
  const NothingIsLeft nothing_is_left;
  const Segment made = Segment::create(1 << 16);
  CHECK(::ftruncate(made.descriptor(), 0) != 0 && errno == EPERM);
  CHECK(::ftruncate(made.descriptor(), 1 << 20) != 0 && errno == EPERM);
}

TEST(what_is_no_segment_is_refused) {
  const NothingIsLeft nothing_is_left;
  const auto refused = [](Descriptor descriptor, size_t least) {
    try {
      (void)Segment::open(std::move(descriptor), least);
    } catch (const std::system_error& error) {
      return error.code().value();
    }
    return 0;
  };
  const Segment made = Segment::create(4096);
  CHECK_EQ(refused(copy_of(made.descriptor()), 4097), EINVAL);
  CHECK_EQ(refused(copy_of(made.descriptor()), 4096), 0);
  CHECK_EQ(refused(make_pipe().first, 1), EINVAL);
  Descriptor unsealed(::memfd_create("weft-unsealed", MFD_CLOEXEC));
  CHECK_EQ(::ftruncate(unsealed.get(), 4096), 0);
  CHECK_EQ(refused(std::move(unsealed), 4096), EINVAL);
}

TEST(no_room_is_an_error_at_once) {
  const NothingIsLeft nothing_is_left;
  CHECK_EQ(error_of(0), EINVAL);
  CHECK_EQ(error_of(size_t{1} << 63), EINVAL);
  CHECK_EQ(error_of(size_t{1} << 50), ENOMEM);

  rlimit before{};
  CHECK_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit less = before;
  less.rlim_cur = 1 << 16;
  CHECK_EQ(::setrlimit(RLIMIT_FSIZE, &less), 0);
  CHECK_EQ(error_of((1 << 16) + 1), EFBIG);  // and no SIGXFSZ, which would end this program
  CHECK_EQ(error_of(1 << 16), 0);
  CHECK_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);

  CHECK_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  less = before;
  less.rlim_cur = 0;
  CHECK_EQ(::setrlimit(RLIMIT_NOFILE, &less), 0);
  const int error = error_of(4096);
  CHECK_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  CHECK_EQ(error, EMFILE);
}

#else

TEST(there_is_no_shared_memory_here) { CHECK_EQ(error_of(4096), ENOTSUP); }

#endif
