#include "channel/ends.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "channel/pipe_channel.hpp"
#include "channel/shared_channel.hpp"

namespace weft::channel {

namespace {

// Of the parent, for the child to watch. Unlike the socket, it tells the parent's death also if a process that the
// parent forked has inherited the parent's descriptors and lives on.
Descriptor pidfd_of_this_process() {
  try {
    return open_pidfd(::getpid());
  } catch (const std::system_error& error) {
    if (error.code().value() == EMFILE || error.code().value() == ENFILE) throw;
    return {};  // the system has none: the socket has to do
  }
}

Descriptor copy_of(int descriptor) {
  Descriptor copy(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!copy) throw_errno("weft: no further descriptor for a worker process", errno);
  return copy;
}

ChannelPair make_shared(const ChannelOptions& options) {
  Segment segment = SharedChannel::make_segment(options.ring_size);
  Descriptor parents_event = make_event();
  Descriptor childs_event = make_event();
  DescriptorPair sockets = make_socket_pair(true);
  std::array<Descriptor, ChannelEnds::kCount> child;
  child[1] = pidfd_of_this_process();
  child[3] = copy_of(childs_event.get());
  child[4] = copy_of(parents_event.get());
  child[2] = segment.take_descriptor();  // the parent's mapping stays
  child[0] = std::move(sockets.second);
  SharedDescriptors parent{std::move(parents_event), std::move(childs_event), std::move(sockets.first), {}};
  ChannelPair pair;
  pair.kind = ChannelKind::shared;
  pair.parent = std::make_unique<SharedChannel>(Side::parent, std::move(segment), std::move(parent), options.spins);
  pair.child = OwnedEnds(ChannelKind::shared, std::move(child));
  return pair;
}

ChannelPair make_piped(const ChannelOptions& options) {
  DescriptorPair sockets = make_socket_pair(false);
  std::array<Descriptor, ChannelEnds::kCount> child;
  child[0] = std::move(sockets.second);
  child[1] = pidfd_of_this_process();
  ChannelPair pair;
  pair.kind = ChannelKind::pipe;
  pair.parent = std::make_unique<PipeChannel>(std::move(sockets.first), Descriptor(), options.spins);
  pair.child = OwnedEnds(ChannelKind::pipe, std::move(child));
  return pair;
}

}  // namespace

void ChannelEnds::let_inherit() const {
  for (const int descriptor : in_order()) {
    if (descriptor >= 0) close_at_exec(descriptor, false);
  }
}

OwnedEnds::OwnedEnds(ChannelKind kind, std::array<Descriptor, ChannelEnds::kCount> descriptors)
    : kind_(kind), descriptors_(std::move(descriptors)) {}

ChannelEnds OwnedEnds::get() const {
  std::array<int, ChannelEnds::kCount> numbers;
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = descriptors_[i].get();
  return ChannelEnds::from_order(kind_, numbers);
}

ChannelEnds OwnedEnds::release() {
  const ChannelEnds ends = get();
  for (Descriptor& descriptor : descriptors_) (void)descriptor.release();
  return ends;
}

ChannelPair make_pair(const ChannelOptions& options) {
  using Prefer = ChannelOptions::Prefer;
  if (options.prefer == Prefer::pipe) return make_piped(options);
  if (options.prefer == Prefer::shared) return make_shared(options);
  std::error_code code;
  std::string because;
  try {
    return make_shared(options);
  } catch (const std::system_error& error) {
    code = error.code();
    because = error.what();
  }
  ChannelPair pair = make_piped(options);
  pair.no_shared_memory = code;
  pair.no_shared_memory_because = because;
  return pair;
}

std::unique_ptr<Channel> attach(const ChannelEnds& ends, bool spins) {
  std::array<Descriptor, ChannelEnds::kCount> owned;
  const std::array<int, ChannelEnds::kCount> numbers = ends.in_order();
  for (size_t i = 0; i < owned.size(); ++i) owned[i] = Descriptor(numbers[i]);
  for (const Descriptor& descriptor : owned) {
    if (descriptor) close_at_exec(descriptor.get(), true);  // a program that the child runs gets none of them
  }
  if (ends.kind == ChannelKind::pipe) {
    return std::make_unique<PipeChannel>(std::move(owned[0]), std::move(owned[1]), spins);
  }
  Segment segment = Segment::open(std::move(owned[2]), 1);
  (void)segment.take_descriptor();  // closed: the mapping is enough
  SharedDescriptors child{std::move(owned[3]), std::move(owned[4]), std::move(owned[0]), std::move(owned[1])};
  return std::make_unique<SharedChannel>(Side::child, std::move(segment), std::move(child), spins);
}

}  // namespace weft::channel
