// What crosses to a worker that shares no objects with the caller, as bytes.
//
// A call is one object, the tuple (function number, keyword names or None, *values); a result is one object too. If all
// of it is plain (see is_plain) marshal writes it, without a look at any Python code; else pickle does, with large
// buffers out of band (weft._payloads). Pickles begin with 0x80, which tells them from what marshal writes.
//
// A packed Future holds, in the places of its arguments: the bytes; a Parcel in a capsule, or None; the function's number
// and what it is made of, or None; and, if there is a fourth, what names the task in traces. So whoever runs it reads plain memory that does not change, and needs no thread state of the caller's
// interpreter for that: the Future's own references keep it alive until it settles.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "future/future.hpp"
#include "python.hpp"
#include "remote/lent.hpp"

namespace weft::core {

// What a packed call has besides its bytes. Freed attached.
struct Parcel {
  std::vector<std::shared_ptr<LentView>> buffers;  // out of band, in the order of the pickle
  std::string context;                             // context variables, see weft._payloads; empty: none
};

// The parts of a packed call. Any thread that has claimed the Future; no thread state needed.
struct PackedCall {
  std::string_view bytes;
  const Parcel* parcel;         // or null
  std::string_view definition;  // for weft._payloads.working.load_function; empty: the first value is what to call
  long number;                  // of the function; 0: it has none
};
PackedCall packed_call(Future*);
// What the task is named after: a function that map() was given, or null. Borrowed.
PyObject* packed_subject(Future*);

inline bool is_pickle(std::string_view bytes) { return !bytes.empty() && static_cast<unsigned char>(bytes[0]) == 0x80; }

// None, numbers, strings and tuples of such, of exactly these types and not too many: what marshal carries unchanged.
bool is_plain(PyObject*);
// bytes; null with an exception set.
PyObject* marshal_plain(PyObject*);
// The object; null with an exception set.
PyObject* unmarshal(std::string_view);

// A tuple (bytes, list of PickleBuffers) as weft._payloads returns it. False: an exception is set.
bool take_pickled(PyObject* pair, std::string_view* bytes, PyObject** buffers);

}  // namespace weft::core
