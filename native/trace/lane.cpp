#include "trace/lane.hpp"

#include <utility>

namespace weft::trace {

Lane::Lane(uint64_t thread_id, uint32_t most_chunks, std::shared_ptr<Bell> bell)
    : thread(thread_id), most_chunks_(most_chunks), bell_(std::move(bell)), tail_(new Chunk), head_(tail_) {}

Lane::~Lane() {
  while (head_ != nullptr) delete std::exchange(head_, head_->next.load(sync::relaxed));
  delete spare_.load(sync::acquire);
}

// At the limit, and at no byte in the middle of a character.
std::string_view Lane::cut(std::string_view name) {
  size_t length = kMostName;
  while (length > 0 && (static_cast<unsigned char>(name[length]) & 0xc0) == 0x80) --length;
  return name.substr(0, length);
}

bool Lane::begin_chunk() {
  bell_->ring();  // whether there is room or not: the consumer has work
  if (chunks_.load(sync::acquire) >= most_chunks_) return false;
  Chunk* chunk = spare_.exchange(nullptr, sync::acquire);
  if (chunk == nullptr) chunk = new (std::nothrow) Chunk;
  if (chunk == nullptr) return false;
  chunks_.fetch_add(1, sync::relaxed);
  tail_->next.store(chunk, sync::release);  // from here on the old one is the consumer's
  tail_ = chunk;
  at_ = 0;
  return true;
}

void Lane::recycle(Chunk* chunk) {
  chunk->next.store(nullptr, sync::relaxed);
  chunk->filled.store(0, sync::relaxed);
  delete spare_.exchange(chunk, sync::acq_rel);
  chunks_.fetch_sub(1, sync::release);
}

}  // namespace weft::trace
