#include "kernels/sort.hpp"

#include <memory>
#include <vector>

#include "kernels/radix.hpp"

namespace weft::kernels {

namespace {

constexpr size_t kFew = 256;                    // so few are sorted by merging
constexpr size_t kOneBucket = size_t{1} << 16;  // so few are sorted by one thread: 512 KiB of double
constexpr size_t kBucket = size_t{1} << 14;     // elements wanted in a bucket
constexpr size_t kMostLevels = 8;               // 256 buckets, whose ends are all in the cache
constexpr size_t kOversampling = 16;
constexpr size_t kInterleaved = 8;              // searches at once, to hide how long each comparison takes

template <class T, bool kReverse>
class SampleSort {
 public:
  SampleSort(Team& team, T* a, T* scratch, size_t n)
      : team_(team), a_(a), scratch_(scratch), n_(n), parts_(std::clamp<size_t>(n / kOneBucket, 1, team.size() * 4)),
        levels_(std::clamp<size_t>(static_cast<size_t>(std::bit_width(n / kBucket)), 4, kMostLevels)),
        buckets_(size_t{1} << levels_), tree_(buckets_), bucket_of_(new uint8_t[n]), places_(parts_ * buckets_), ends_(buckets_) {}

  bool run() {
    choose_splitters();
    if (!each(parts_, [this](size_t part) { classify(part); })) return false;  // nothing has been moved
    make_places();
    if (!each(parts_, [this](size_t part) { distribute(part); })) return false;  // a is as it was
    std::vector<char> sorted(buckets_);
    const bool whole = each(buckets_, [&](size_t bucket) {
      const size_t at = first_of(bucket);
      Radix<T, kReverse>::sort(scratch_ + at, a_ + at, ends_[bucket] - at, false, 2);
      sorted[bucket] = 1;
    });
    for (size_t bucket = 0; !whole && bucket < buckets_; ++bucket) {
      const size_t at = first_of(bucket);
      if (!sorted[bucket]) std::copy(scratch_ + at, scratch_ + ends_[bucket], a_ + at);
    }
    return whole;
  }

 private:
  using K = Key<T>;

  template <class Body>
  bool each(size_t count, Body&& body) {
    return parallel_for(team_, count, 1, 1, {ChunkKind::dynamic, 1}, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) body(i);
    });
  }

  size_t begin(size_t part) const { return n_ / parts_ * part + std::min(part, n_ % parts_); }
  size_t first_of(size_t bucket) const { return bucket == 0 ? 0 : ends_[bucket - 1]; }

  // Equal keys come into one bucket, so the sample needs no luck for the result to be right, only to be fast.
  void choose_splitters() {
    std::vector<K> sample(buckets_ * kOversampling);
    uint64_t random = n_ | 1;
    for (K& key : sample) {
      random ^= random << 13;
      random ^= random >> 7;
      random ^= random << 17;
      key = key_of<T, kReverse>(a_[random % n_]);
    }
    std::sort(sample.begin(), sample.end());
    // As a search tree in an array: the children of node i are 2i and 2i + 1.
    for (size_t level = 0; level < levels_; ++level) {
      const size_t nodes = size_t{1} << level;
      for (size_t i = 0; i < nodes; ++i) tree_[nodes + i] = sample[(2 * i + 1) * (sample.size() / (2 * nodes))];
    }
  }

  void classify(size_t part) {
    size_t counts[size_t{1} << kMostLevels] = {};
    const K* tree = tree_.data();
    size_t i = begin(part);
    const size_t end = begin(part + 1);
    for (; i + kInterleaved <= end; i += kInterleaved) {
      K keys[kInterleaved];
      size_t nodes[kInterleaved];
      for (size_t k = 0; k < kInterleaved; ++k) keys[k] = key_of<T, kReverse>(a_[i + k]), nodes[k] = 1;
      for (size_t level = 0; level < levels_; ++level) {
        for (size_t k = 0; k < kInterleaved; ++k) nodes[k] = 2 * nodes[k] + (keys[k] > tree[nodes[k]] ? 1 : 0);
      }
      for (size_t k = 0; k < kInterleaved; ++k) {
        const size_t bucket = nodes[k] - buckets_;
        bucket_of_[i + k] = static_cast<uint8_t>(bucket);
        ++counts[bucket];
      }
    }
    for (; i < end; ++i) {
      const K key = key_of<T, kReverse>(a_[i]);
      size_t node = 1;
      while (node < buckets_) node = 2 * node + (key > tree[node] ? 1 : 0);
      bucket_of_[i] = static_cast<uint8_t>(node - buckets_);
      ++counts[node - buckets_];
    }
    std::copy_n(counts, buckets_, &places_[part * buckets_]);
  }

  // From how many of each bucket each part has, to where it puts them: in the parts' order, which keeps the sort
  // stable.
  void make_places() {
    size_t place = 0;
    for (size_t bucket = 0; bucket < buckets_; ++bucket) {
      for (size_t part = 0; part < parts_; ++part) place += std::exchange(places_[part * buckets_ + bucket], place);
      ends_[bucket] = place;
    }
  }

  void distribute(size_t part) {
    size_t places[size_t{1} << kMostLevels];  // not the shared ones: neighbours would share cache lines
    std::copy_n(&places_[part * buckets_], buckets_, places);
    const size_t end = begin(part + 1);
    for (size_t i = begin(part); i < end; ++i) scratch_[places[bucket_of_[i]]++] = a_[i];
  }

  Team& team_;
  T* const a_;
  T* const scratch_;
  const size_t n_;
  const size_t parts_;
  const size_t levels_;
  const size_t buckets_;
  std::vector<K> tree_;
  const std::unique_ptr<uint8_t[]> bucket_of_;
  std::vector<size_t> places_;
  std::vector<size_t> ends_;
};

template <class T, bool kReverse>
bool sort_by(Team& team, T* a, T* scratch, size_t n) {
  if (n <= kFew) {
    std::stable_sort(a, a + n, [](T x, T y) { return key_of<T, kReverse>(x) < key_of<T, kReverse>(y); });
    return true;
  }
  if (n <= kOneBucket) {
    // A loop of one step, so that it too runs without the thread state.
    return parallel_for(team, 1, 1, 1, {}, [=](size_t, size_t) { Radix<T, kReverse>::sort(a, scratch, n, true, 3); });
  }
  return SampleSort<T, kReverse>(team, a, scratch, n).run();
}

}  // namespace

template <class T>
bool sort(Team& team, T* a, T* scratch, size_t n, bool reverse) {
  return reverse ? sort_by<T, true>(team, a, scratch, n) : sort_by<T, false>(team, a, scratch, n);
}

template bool sort<float>(Team&, float*, float*, size_t, bool);
template bool sort<double>(Team&, double*, double*, size_t, bool);
template bool sort<int32_t>(Team&, int32_t*, int32_t*, size_t, bool);
template bool sort<int64_t>(Team&, int64_t*, int64_t*, size_t, bool);

}  // namespace weft::kernels
