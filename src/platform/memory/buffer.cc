#include "platform/memory/buffer.h"

#include "platform/base/check.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_PLAIN_BUFFERS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEFT_PLAIN_BUFFERS 1
#endif

namespace weft {
namespace {

constexpr std::size_t kClassCount = 11;  // 4 KiB << 10 = 4 MiB.
#if defined(WEFT_PLAIN_BUFFERS)
constexpr std::size_t kKeptBytesPerClass = 0;  // The sanitizer finds a use after free only so.
#else
constexpr std::size_t kKeptBytesPerClass = 4 * kMiB;  // Bound on what a thread hoards.
#endif

std::size_t class_of(std::size_t size) {
    std::size_t blocks = divide_up(size, kBlockBytes);
    return static_cast<std::size_t>(std::bit_width(blocks - 1));
}

std::size_t class_bytes(std::size_t size_class) {
    return kBlockBytes << size_class;
}

std::byte* allocate(std::size_t size) {
    void* memory = std::aligned_alloc(kBlockBytes, round_up(size, kBlockBytes));
    CHECK(memory != nullptr);
    return static_cast<std::byte*>(memory);
}

struct FreeMemory {
    FreeMemory* next;
};

// Outlives every other thread_local: it has no destructor, so a buffer that is freed late, by
// the destructor of another one or of a static, finds it usable still. From then on nothing is
// kept.
struct FreeLists {
    std::array<FreeMemory*, kClassCount> heads;
    std::array<std::uint32_t, kClassCount> counts;
    bool emptied_at_exit;
    bool closed;

    std::byte* pop(std::size_t size_class) {
        FreeMemory* memory = heads[size_class];
        if (memory == nullptr) return nullptr;
        heads[size_class] = memory->next;
        --counts[size_class];
        return reinterpret_cast<std::byte*>(memory);
    }
    bool push(std::size_t size_class, std::byte* memory);
};
static_assert(std::is_trivially_destructible_v<FreeLists>);

constinit thread_local FreeLists free_lists{};

// Its destructor is the thread's end, as far as the lists go.
struct AtThreadExit {
    ~AtThreadExit() {
        free_lists.closed = true;
        for (std::size_t i = 0; i < kClassCount; ++i) {
            while (std::byte* memory = free_lists.pop(i)) std::free(memory);
        }
    }
};

bool FreeLists::push(std::size_t size_class, std::byte* memory) {
    if (closed || (counts[size_class] + 1) * class_bytes(size_class) > kKeptBytesPerClass) {
        return false;
    }
    if (!emptied_at_exit) [[unlikely]] {
        static thread_local AtThreadExit at_thread_exit;
        emptied_at_exit = true;
    }
    heads[size_class] = new (memory) FreeMemory{heads[size_class]};
    ++counts[size_class];
    return true;
}

}  // namespace

Buffer::Buffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    std::size_t size_class = class_of(size);
    if (size_class >= kClassCount) {
        data_ = allocate(size);
        return;
    }
    data_ = free_lists.pop(size_class);
    if (data_ == nullptr) data_ = allocate(class_bytes(size_class));
}

Buffer::~Buffer() {
    if (data_ == nullptr) return;
    std::size_t size_class = class_of(size_);
    if (size_class < kClassCount && free_lists.push(size_class, data_)) return;
    std::free(data_);
}

bool block_aligned(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % kBlockBytes == 0;
}

}  // namespace weft
