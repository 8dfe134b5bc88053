#include "channel/shared_channel.hpp"

#include <new>
#include <stdexcept>

namespace weft::channel {

// The begin of the segment; the two rings' data follow it.
struct SharedChannel::Layout {
  static constexpr uint64_t kMagic = 0x6c65'6e6e'6168'6301;  // changes with the layout

  alignas(64) uint64_t magic;
  uint64_t ring_size;
  BellWord bells[2];     // by the side that sleeps
  RingHeader rings[2];   // by the side that writes

  static size_t size_with(size_t ring_size) { return sizeof(Layout) + 2 * ring_size; }

  static Layout& of(const Segment& segment) {
    // SAFETY: made by make_segment at the begin of the mapping, which is aligned to a page; is_address_free (ring.hpp,
    // doorbell.hpp) says that its atomics may be used from another process.
    return *std::launder(reinterpret_cast<Layout*>(segment.bytes().data()));
  }
  static const Segment& checked(const Segment& segment) {
    const std::span<std::byte> bytes = segment.bytes();
    if (bytes.size() >= sizeof(Layout)) {
      const Layout& layout = of(segment);
      const uint64_t ring_size = layout.ring_size;
      if (layout.magic == kMagic && RingMemory::is_capacity(ring_size) && bytes.size() >= size_with(ring_size)) {
        return segment;
      }
    }
    throw std::runtime_error("weft: this shared memory is no channel of this version");
  }
  static RingMemory ring(const Segment& segment, Side writer) {
    Layout& layout = of(checked(segment));
    const auto index = static_cast<size_t>(writer);
    std::byte* const data = segment.bytes().data() + sizeof(Layout);
    return {&layout.rings[index], data + index * layout.ring_size, layout.ring_size};
  }
  static BellWord& bell(const Segment& segment, Side sleeper) {
    return of(segment).bells[static_cast<size_t>(sleeper)];
  }
};

namespace {

static_assert(static_cast<uint32_t>(What::message) == kBellMessage && static_cast<uint32_t>(What::room) == kBellRoom);

constexpr Side other(Side side) { return side == Side::parent ? Side::child : Side::parent; }

}  // namespace

Segment SharedChannel::make_segment(size_t ring_size) {
  static_assert(sizeof(Layout) % 64 == 0);
  if (!RingMemory::is_capacity(ring_size)) {
    throw std::invalid_argument("weft: a ring's size must be a power of two, 256 bytes at least");
  }
  Segment segment = Segment::create(Layout::size_with(ring_size));
  auto* layout = new (segment.bytes().data()) Layout{};
  layout->magic = Layout::kMagic;
  layout->ring_size = ring_size;
  return segment;
}

SharedChannel::SharedChannel(Side side, Segment segment, SharedDescriptors descriptors, bool spins)
    : segment_(std::move(segment)),
      descriptors_(std::move(descriptors)),
      writer_(Layout::ring(segment_, side)),
      reader_(Layout::ring(segment_, other(side))),
      own_bell_(Layout::bell(segment_, side), descriptors_.own_event.get()),
      peer_bell_(Layout::bell(segment_, other(side)), descriptors_.peer_event.get()),
      waker_(Layout::bell(segment_, side), descriptors_.own_event.get()),
      spins_(spins) {}

// ---- sending ------------------------------------------------------------------------------------------------------

bool SharedChannel::no_room(size_t size) {
  needed_ = size;
  flush();  // so that somebody makes room
  return false;
}

bool SharedChannel::try_send(std::span<const Piece> pieces) {
  const size_t total = size_of(pieces);
  if (sent_ > 0 || total > writer_.most()) return try_send_in_parts(pieces, total);
  if (!writer_.try_write(pieces)) return no_room(total);
  unflushed_ = true;
  needed_ = 0;
  return true;
}

bool SharedChannel::try_send_in_parts(std::span<const Piece> pieces, size_t total) {
  if (sent_ > 0 && total != total_) throw std::logic_error("weft: another message while a long one is half way");
  if (total > kMostMessage) throw std::length_error("weft: a message of more than 64 TiB");
  total_ = total;
  // Half of what would fit: the reader copies one part out while the next one is written.
  const size_t most = writer_.most() / 2;
  do {
    const size_t prefix = sent_ == 0 ? Joiner::kPrefix : 0;
    const size_t size = prefix + std::min(total - sent_, most - prefix);
    std::byte* const room = writer_.reserve(size);
    if (room == nullptr) return no_room(size);
    const uint64_t announced = total;
    std::memcpy(room, &announced, prefix);
    copy_pieces(pieces, sent_, {room + prefix, size - prefix});
    writer_.publish(prefix > 0 ? FrameKind::first : FrameKind::more);
    sent_ += size - prefix;
    unflushed_ = true;
    flush();
  } while (sent_ < total);
  sent_ = 0;
  needed_ = 0;
  return true;
}

bool SharedChannel::flush() {
  if (unflushed_) peer_bell_.ring(kBellMessage);
  unflushed_ = false;
  return true;
}

// ---- reading ------------------------------------------------------------------------------------------------------

std::optional<std::span<const std::byte>> SharedChannel::peek() {
  while (!joiner_.is_complete()) {
    const std::optional<RingReader::Frame> frame = reader_.peek();
    if (!frame) return std::nullopt;
    if (frame->kind == FrameKind::whole) {
      if (joiner_.is_joining()) throw Corrupt("weft: a message within a long one");
      return frame->bytes;
    }
    joiner_.add(*frame);
    release_frame();
  }
  return joiner_.bytes();
}

void SharedChannel::release() {
  if (joiner_.is_complete()) {
    joiner_.reset();
  } else {
    release_frame();
  }
}

void SharedChannel::release_frame() {
  reader_.release();
  if (peer_bell_.is_waited_for(kBellRoom) && reader_.writer_has_room()) peer_bell_.ring(kBellRoom);
}

// ---- waiting ------------------------------------------------------------------------------------------------------

bool SharedChannel::is_ready(What what) {
  if (wants(what, What::message) && peek()) return true;
  return wants(what, What::room) && writer_.has_room(needed_);
}

Waited SharedChannel::wait(What what, sync::Nanos deadline) {
  flush();
  if (is_ready(what)) return Waited::ready;
  const auto woken = [this] { return woken_.load(sync::seq_cst) != 0 && woken_.exchange(0, sync::seq_cst) != 0; };
  if (spins_ && !gone_ && deadline > sync::now()) {
    bool interrupted = false;
    if (budget_.spin([&] { return is_ready(what) || (interrupted = woken()); })) {
      return interrupted ? Waited::interrupted : Waited::ready;
    }
  }
  for (;;) {
    if (wants(what, What::room)) writer_.want_room(needed_);
    own_bell_.announce(static_cast<uint32_t>(what));
    auto slept = Doorbell::Slept::rung;
    if (!is_ready(what) && woken_.load(sync::seq_cst) == 0) {
      const Watched peer{descriptors_.process.get(), descriptors_.socket.get()};
      slept = gone_ ? Doorbell::Slept::peer_gone : own_bell_.sleep(peer, deadline);
    }
    own_bell_.withdraw();
    // Also after a death: what was published before it is there.
    if (is_ready(what)) return Waited::ready;
    if (woken()) return Waited::interrupted;
    switch (slept) {
      case Doorbell::Slept::rung:
        break;
      case Doorbell::Slept::peer_gone:
        gone_ = true;
        return Waited::peer_gone;
      case Doorbell::Slept::timed_out:
        return Waited::timed_out;
      case Doorbell::Slept::interrupted:
        return Waited::interrupted;
    }
  }
}

void SharedChannel::wake() {
  woken_.store(1, sync::seq_cst);
  waker_.ring(kBellWake);
}

}  // namespace weft::channel
