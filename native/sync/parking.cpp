#include "sync/parking.hpp"

#if defined(__linux__) && !defined(WEFT_PORTABLE_PARKING)

#include <cerrno>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weft::sync {

namespace {

static_assert(sizeof(ParkWord) == sizeof(uint32_t), "a futex is 32 bits wide");

long futex(const ParkWord& word, int operation, uint32_t value, const timespec* timeout) {
  // SAFETY: the kernel wants the plain word inside the atomic; the sizes are equal (asserted above).
  return syscall(SYS_futex, reinterpret_cast<const uint32_t*>(&word), operation | FUTEX_PRIVATE_FLAG, value, timeout,
                 nullptr, FUTEX_BITSET_MATCH_ANY);
}

}  // namespace

Parked park(const ParkWord& word, uint32_t expected, Nanos deadline) {
  // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock, which is what Nanos counts.
  timespec until{};
  const bool bounded = deadline != kForever;
  if (deadline < 0) deadline = 0;  // long past, but the kernel would call it invalid, not over
  if (bounded) {
    until.tv_sec = static_cast<time_t>(deadline / kSecond);
    until.tv_nsec = static_cast<long>(deadline % kSecond);
  }
  if (futex(word, FUTEX_WAIT_BITSET, expected, bounded ? &until : nullptr) == 0) return Parked::woken;
  switch (errno) {
    case ETIMEDOUT:
      return Parked::timed_out;
    case EINTR:
      return Parked::interrupted;
    default:
      return Parked::woken;
  }
}

void unpark_one(const ParkWord& word) { futex(word, FUTEX_WAKE, 1, nullptr); }
void unpark_all(const ParkWord& word) { futex(word, FUTEX_WAKE, INT_MAX, nullptr); }

}  // namespace weft::sync

#else

#include <array>
#include <condition_variable>
#include <mutex>

namespace weft::sync {

namespace {

struct Bucket {
  std::mutex mutex;
  std::condition_variable changed;
};

Bucket& bucket_of(const ParkWord& word) {
  // Never destroyed: threads may still be parked while the process ends.
  static auto& buckets = *new std::array<Bucket, 256>;
  const auto address = reinterpret_cast<uintptr_t>(&word);
  return buckets[((address >> 4) ^ (address >> 12)) % buckets.size()];
}

}  // namespace

// The word is read under the bucket's mutex, and an unpark takes that mutex between the change of the word
// and the notification: so either the reader sees the change or it is already waiting when notified.
Parked park(const ParkWord& word, uint32_t expected, Nanos deadline) {
  Bucket& bucket = bucket_of(word);
  std::unique_lock lock(bucket.mutex);
  if (word.load(seq_cst) != expected) return Parked::woken;
  if (deadline == kForever) {
    bucket.changed.wait(lock);
    return Parked::woken;
  }
  const auto until = std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::nanoseconds(deadline)));
  return bucket.changed.wait_until(lock, until) == std::cv_status::timeout ? Parked::timed_out : Parked::woken;
}

// Several addresses share a bucket, so one waiter cannot be picked: wake them all.
void unpark_one(const ParkWord& word) { unpark_all(word); }

void unpark_all(const ParkWord& word) {
  Bucket& bucket = bucket_of(word);
  { std::lock_guard lock(bucket.mutex); }
  bucket.changed.notify_all();
}

}  // namespace weft::sync

#endif
