#pragma once

#include "platform/base/types.h"

#include <utility>

namespace weft {

// Memory aligned to 4 KiB, as O_DIRECT wants it, owned by one holder. It comes from free
// lists of the thread by size class (4 KiB to 4 MiB, powers of two); what is kept unused is
// bounded. Contents are undefined when made.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(std::size_t size);
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Buffer();

    Bytes bytes() { return {data_, size_}; }
    ConstBytes bytes() const { return {data_, size_}; }
    std::byte* data() { return data_; }
    const std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }
    explicit operator bool() const { return data_ != nullptr; }

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

bool block_aligned(const void* pointer);

}  // namespace weft
