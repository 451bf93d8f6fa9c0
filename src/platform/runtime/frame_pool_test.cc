#include "platform/runtime/frame_pool.h"

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

struct Frame {
    void* memory;
    std::size_t size;
    unsigned char mark;
};

bool holds_its_mark(const Frame& frame) {
    const auto* bytes = static_cast<const unsigned char*>(frame.memory);
    for (std::size_t i = 0; i < frame.size; ++i) {
        if (bytes[i] != frame.mark) return false;
    }
    return true;
}

TEST(FramePool, GivesEachFrameMemoryOfItsOwn) {
    std::mt19937 random(7);
    std::vector<Frame> frames;
    for (int step = 0; step < 20000; ++step) {
        if (frames.size() < 600 && random() % 2 == 0) {
            std::size_t size = 1 + random() % (step % 10 == 0 ? 10000 : 500);
            auto mark = static_cast<unsigned char>(random());
            frames.push_back({allocate_frame(size), size, mark});
            std::memset(frames.back().memory, mark, size);
        } else if (!frames.empty()) {
            std::swap(frames[random() % frames.size()], frames.back());
            ASSERT_TRUE(holds_its_mark(frames.back()));
            free_frame(frames.back().memory, frames.back().size);
            frames.pop_back();
        }
    }
    for (const Frame& frame : frames) {
        EXPECT_TRUE(holds_its_mark(frame));
        free_frame(frame.memory, frame.size);
    }
}

struct FreedLate {
    void* frame = nullptr;
    ~FreedLate() {
        if (frame != nullptr) free_frame(frame, 100);
        // And such a destructor may still run coroutines.
        free_frame(allocate_frame(200), 200);
    }
};

// Made before the thread's free lists are first used, so destroyed after they are emptied.
TEST(FramePool, TakesFramesAtTheVeryEndOfAThread) {
    std::thread([] {
        static thread_local FreedLate late;
        late.frame = nullptr;
        free_frame(allocate_frame(100), 100);
        late.frame = allocate_frame(100);
    }).join();
}

}  // namespace
}  // namespace weft
