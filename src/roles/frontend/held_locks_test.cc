#include "roles/frontend/held_locks.h"

#include <gtest/gtest.h>

namespace weft::frontend {
namespace {

using Kind = LockRequest::Kind;
constexpr InodeId kFile{7};

LockRequest range(std::uint64_t owner, std::uint64_t from, std::uint64_t to, Kind kind) {
    LockRequest request;
    request.owner = owner;
    request.from = from;
    request.to = to;
    request.kind = kind;
    request.wait = true;
    return request;
}

LockRequest held(LockRequest request) {
    request.wait = false;
    return request;
}

TEST(HeldLocks, AnUnlockInTheMiddleLeavesBothSides) {
    HeldLocks locks;
    locks.apply(kFile, range(1, 10, 29, Kind::exclusive));
    locks.apply(kFile, range(1, 15, 19, Kind::unlock));
    EXPECT_EQ(locks.of(kFile), (std::vector<LockRequest>{held(range(1, 10, 14, Kind::exclusive)),
                                                         held(range(1, 20, 29, Kind::exclusive))}));
}

TEST(HeldLocks, AConversionReplacesWhatItsOwnerHeld) {
    HeldLocks locks;
    locks.apply(kFile, range(1, 0, UINT64_MAX, Kind::exclusive));
    locks.apply(kFile, range(1, 0, UINT64_MAX, Kind::shared));
    EXPECT_EQ(locks.of(kFile),
              (std::vector<LockRequest>{held(range(1, 0, UINT64_MAX, Kind::shared))}));
    locks.apply(kFile, range(1, 0, UINT64_MAX, Kind::unlock));
    EXPECT_TRUE(locks.empty());
}

TEST(HeldLocks, OwnersAndFamiliesDoNotTouchEachOther) {
    HeldLocks locks;
    locks.apply(kFile, range(1, 0, 9, Kind::shared));
    locks.apply(kFile, range(2, 0, 9, Kind::shared));
    LockRequest whole = range(1, 0, UINT64_MAX, Kind::exclusive);
    whole.flock = true;
    locks.apply(kFile, whole);
    locks.apply(kFile, range(1, 0, UINT64_MAX, Kind::unlock));
    EXPECT_EQ(locks.of(kFile),
              (std::vector<LockRequest>{held(range(2, 0, 9, Kind::shared)), held(whole)}));
    EXPECT_EQ(locks.inodes(), (std::vector<InodeId>{kFile}));
}

}  // namespace
}  // namespace weft::frontend
