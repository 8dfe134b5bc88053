// The messages between a pool and its processes: plain structs, laid end to end with what they announce.
//
//   pool -> process   call: CallHeader, a BufferEntry for each buffer, the bytes, the definition, the context, buffers that are
//                     not in blocks
//                     interrupt: CallHeader; `bytes` is "module\0name" of the exception
//                     give_back: CallHeader; the process returns the calls that it has not begun
//                     end: CallHeader; after the calls that came before it
//   process -> pool   answer: ReplyHeader, entries, the bytes, buffers that are not in blocks
//                     given_back: ReplyHeader; this call has not been begun and will not be
//                     ready, failed: ReplyHeader; once, before all others. `bytes` of failed is what start() raised
//                     aside: ReplyHeader; `bytes` for weft._payloads.receiving
//
// Both sides are the same build of weft on the same machine, so nothing is converted; times are of the monotonic clock,
// which they share. Calls are answered in the order in which they were sent.
#pragma once

#include <cstdint>

#include "channel/blocks.hpp"

namespace weft::core::wire {

struct CallHeader {
  enum Kind : uint32_t { call, interrupt, give_back, end };
  Kind kind;
  uint32_t buffers;
  uint64_t id;
  uint64_t bytes, definition, context;  // sizes
};

struct ReplyHeader {
  enum Kind : uint32_t { answer, given_back, ready, failed, aside };
  Kind kind;
  uint32_t raised;  // 0: no; 1: by the task's function; 2: before that was called
  uint64_t id;
  uint64_t bytes;  // size
  uint64_t buffers;
  int64_t began, ended;  // nanoseconds
  uint64_t resident;     // bytes of memory that the process has; 0: it was not asked to look
};

struct BufferEntry {
  channel::BlockSlice slice;  // block 0: the buffer is in the message, and `size` long
  uint64_t read_only;
};

}  // namespace weft::core::wire
