#include "channel/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <limits>

#if defined(__linux__)
#include <sys/sysinfo.h>
#endif

namespace weft::channel {

void Segment::unmap() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  bytes_ = {};
}

Segment Segment::map(Descriptor descriptor, size_t size) {
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
  if (address == MAP_FAILED) throw_errno("weft: shared memory could not be mapped", errno);
  return Segment(std::move(descriptor), {static_cast<std::byte*>(address), size});
}

#if defined(__linux__)

namespace {

constexpr const char* kNone = "weft: no shared memory of that size";
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// What would not be answered with an error but with a signal, or by the kernel ending some process.
void refuse_what_would_hurt(size_t size) {
  if (size == 0 || size > static_cast<size_t>(std::numeric_limits<off_t>::max())) throw_errno(kNone, EINVAL);
  rlimit most{};
  // Beyond this limit fallocate raises SIGXFSZ.
  if (::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY && size > most.rlim_cur) {
    throw_errno(kNone, EFBIG);
  }
  // Anonymous shared memory has no limit of its own: the kernel would try.
  struct sysinfo machine{};
  if (::sysinfo(&machine) == 0) {
    const uint64_t memory = (static_cast<uint64_t>(machine.totalram) + machine.totalswap) * machine.mem_unit;
    if (size > memory) throw_errno(kNone, ENOMEM);
  }
}

}  // namespace

Segment Segment::create(size_t size) {
  refuse_what_would_hurt(size);
  Descriptor descriptor(::memfd_create("weft", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!descriptor) throw_errno("weft: shared memory is not to be had here", errno);
  int failed;
  do {
    failed = ::fallocate(descriptor.get(), 0, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
  } while (failed == EINTR);
  if (failed != 0) throw_errno(kNone, failed);
  if (::fcntl(descriptor.get(), F_ADD_SEALS, kSeals) != 0) {
    throw_errno("weft: shared memory could not be sealed", errno);
  }
  return map(std::move(descriptor), size);
}

Segment Segment::open(Descriptor descriptor, size_t least) {
  struct stat found{};
  if (::fstat(descriptor.get(), &found) != 0) throw_errno("weft: not a descriptor of shared memory", errno);
  const int seals = ::fcntl(descriptor.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) throw_errno("weft: shared memory that could be taken away", EINVAL);
  if (static_cast<uint64_t>(found.st_size) < least) throw_errno("weft: shared memory that is too small", EINVAL);
  return map(std::move(descriptor), static_cast<size_t>(found.st_size));
}

#else

Segment Segment::create(size_t) { throw_errno("weft: shared memory without a name", ENOTSUP); }
Segment Segment::open(Descriptor, size_t) { throw_errno("weft: shared memory without a name", ENOTSUP); }

#endif

}  // namespace weft::channel
