#include "platform/runtime/frame_pool.h"

#include <array>
#include <cstdint>
#include <new>
#include <type_traits>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_PLAIN_FRAMES 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEFT_PLAIN_FRAMES 1
#endif

namespace weft {

#if defined(WEFT_PLAIN_FRAMES)

// The sanitizer finds a use after free only if each frame is its own allocation.
void* allocate_frame(std::size_t size) {
    return ::operator new(size);
}
void free_frame(void* frame, std::size_t) {
    ::operator delete(frame);
}

#else

namespace {

constexpr std::size_t kClassBytes = 64;
constexpr std::size_t kClassCount = 64;     // Up to 4 KiB.
constexpr std::size_t kKeptPerClass = 256;  // Bound on what a thread hoards.

struct FreeFrame {
    FreeFrame* next;
};

// Outlives every other thread_local: it has no destructor, so a frame that is freed late, by
// the destructor of another one or of a static, finds it usable still. From then on nothing is
// kept.
struct FreeLists {
    std::array<FreeFrame*, kClassCount> heads;
    std::array<std::uint16_t, kClassCount> counts;
    bool emptied_at_exit;
    bool closed;

    void* pop(std::size_t size_class) {
        FreeFrame* frame = heads[size_class];
        if (frame == nullptr) return nullptr;
        heads[size_class] = frame->next;
        --counts[size_class];
        return frame;
    }
    bool push(std::size_t size_class, void* frame);
};
static_assert(std::is_trivially_destructible_v<FreeLists>);

constinit thread_local FreeLists free_lists{};

// Its destructor is the thread's end, as far as the lists go.
struct AtThreadExit {
    ~AtThreadExit() {
        free_lists.closed = true;
        for (std::size_t i = 0; i < kClassCount; ++i) {
            while (void* frame = free_lists.pop(i)) ::operator delete(frame);
        }
    }
};

bool FreeLists::push(std::size_t size_class, void* frame) {
    if (closed || counts[size_class] == kKeptPerClass) return false;
    if (!emptied_at_exit) [[unlikely]] {
        static thread_local AtThreadExit at_thread_exit;
        emptied_at_exit = true;
    }
    heads[size_class] = new (frame) FreeFrame{heads[size_class]};
    ++counts[size_class];
    return true;
}

std::size_t class_of(std::size_t size) {
    return (size - 1) / kClassBytes;
}

}  // namespace

void* allocate_frame(std::size_t size) {
    std::size_t size_class = class_of(size);
    if (size_class >= kClassCount) return ::operator new(size);
    if (void* frame = free_lists.pop(size_class)) return frame;
    return ::operator new((size_class + 1) * kClassBytes);
}

void free_frame(void* frame, std::size_t size) {
    std::size_t size_class = class_of(size);
    if (size_class < kClassCount && free_lists.push(size_class, frame)) return;
    ::operator delete(frame);
}

#endif

}  // namespace weft
