#include "platform/memory/buffer.h"

#include <cstring>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(Buffer, IsAlignedAndOfItsOwn) {
    std::mt19937 random(1);
    std::vector<Buffer> buffers;
    for (int i = 0; i < 500; ++i) {
        std::size_t size = 1 + random() % (i % 50 == 0 ? 6 * kMiB : 64 * kKiB);
        buffers.emplace_back(size);
        EXPECT_EQ(buffers.back().size(), size);
        EXPECT_TRUE(block_aligned(buffers.back().data()));
        std::memset(buffers.back().data(), i % 256, size);
        if (random() % 3 == 0) buffers.erase(buffers.begin());
    }
    // Nobody wrote over another's bytes: each holds one value throughout.
    for (const Buffer& buffer : buffers) {
        EXPECT_EQ(buffer.data()[0], buffer.data()[buffer.size() - 1]);
    }
}

TEST(Buffer, OfNoBytesHoldsNothing) {
    Buffer empty(0);
    EXPECT_FALSE(empty);
    EXPECT_EQ(empty.size(), 0U);
    EXPECT_TRUE(empty.bytes().empty());
}

TEST(Buffer, MovesWithItsMemory) {
    Buffer from(kBlockBytes);
    std::byte* data = from.data();
    Buffer to(std::move(from));
    EXPECT_EQ(to.data(), data);
    Buffer assigned;
    assigned = std::move(to);
    EXPECT_EQ(assigned.data(), data);
    EXPECT_EQ(assigned.size(), kBlockBytes);
}

TEST(Buffer, MayBeFreedOnAnotherThread) {
    Buffer buffer(64 * kKiB);
    std::thread([held = std::move(buffer)]() mutable { held = Buffer(kBlockBytes); }).join();
}

// Made before the thread's free lists are first used, so destroyed after they are emptied.
TEST(Buffer, MayBeFreedAtTheVeryEndOfAThread) {
    std::thread([] {
        static thread_local std::optional<Buffer> late;
        late.reset();
        {
            Buffer first(kBlockBytes);
        }
        late.emplace(kBlockBytes);
    }).join();
}

}  // namespace
}  // namespace weft
