#pragma once

#include "platform/fuse/fuse_channel.h"
#include "platform/memory/buffer.h"

#include <utility>
#include <vector>

namespace weft::frontend {

class MemoryPool;

// Where a request is received, and its reply made. The head (4 KiB) ends with the 80 bytes of
// a WRITE's two headers, so that its payload begins on a block boundary and can go to drives
// as it is. A large payload is not copied into the write-behind buffer: it becomes it.
//
//   0 .. 4016   the reply's header and fixed part
//   4016 ..     the request; from 4096 on the payload, 1 MiB
class Memory {
public:
    Memory() = default;
    // Any size, from the thread's free lists; not of a pool.
    explicit Memory(std::size_t size) : buffer_(size) {}
    Memory(Memory&& other) noexcept
        : buffer_(std::move(other.buffer_)), pool_(std::exchange(other.pool_, nullptr)) {}
    Memory& operator=(Memory&& other) noexcept {
        std::swap(buffer_, other.buffer_);
        std::swap(pool_, other.pool_);
        return *this;
    }
    ~Memory();

    static constexpr std::size_t kHeadBytes = kBlockBytes;
    static constexpr std::size_t kWholeBytes = kHeadBytes + kFusePayloadMost;
    static constexpr std::size_t kReplyHeadBytes = kHeadBytes - kFuseHeadBytes;

    Bytes bytes() { return buffer_.bytes(); }
    ConstBytes bytes() const { return buffer_.bytes(); }
    std::size_t size() const { return buffer_.size(); }
    explicit operator bool() const { return static_cast<bool>(buffer_); }

private:
    friend class MemoryPool;
    Memory(Buffer buffer, MemoryPool* pool) : buffer_(std::move(buffer)), pool_(pool) {}

    Buffer buffer_;
    MemoryPool* pool_ = nullptr;
};

// Whole memories (kWholeBytes each). Those in use are bounded by their users; up to
// `kept_most` unused ones are kept, since fresh pages cost as much as copying them. Outlives
// what it gave.
class MemoryPool {
public:
    explicit MemoryPool(std::size_t kept_most) : kept_most_(kept_most) {}
    Memory take();
    std::size_t kept() const { return kept_.size(); }

private:
    friend class Memory;
    void give(Buffer buffer);

    std::size_t kept_most_;
    std::vector<Buffer> kept_;
};

inline Memory::~Memory() {
    if (pool_ != nullptr) pool_->give(std::move(buffer_));
}
inline Memory MemoryPool::take() {
    if (kept_.empty()) return Memory(Buffer(Memory::kWholeBytes), this);
    Memory memory(std::move(kept_.back()), this);
    kept_.pop_back();
    return memory;
}
inline void MemoryPool::give(Buffer buffer) {
    if (buffer && kept_.size() < kept_most_) kept_.push_back(std::move(buffer));
}

}  // namespace weft::frontend
