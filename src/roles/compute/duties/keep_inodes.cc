#include "model/layout/keys.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

constexpr Nanos kEvery = 5 * kSecond;
constexpr std::size_t kStepMost = 256;

}  // namespace

// Times of access that were noted in memory only.
Task<Done> Core::keep_inodes() {
    while (!closing) {
        Nanos next = reactor.now() + kEvery;
        while (!closing && reactor.now() < next) (void)co_await saving.wait(next);
        if (atimes_unsaved > 0) co_await or_return(co_await save_atimes());
    }
    co_return Done{};
}

Task<Done> Core::save_atimes() {
    std::vector<InodePin> unsaved;
    inodes.for_each([&](Inode& inode) {
        if (inode.atime_unsaved) unsaved.push_back(InodePin(inodes, inode));
    });
    while (!unsaved.empty()) {
        co_await or_return(co_await admit());
        Change change(*this);
        for (std::size_t i = 0; i < kStepMost && !unsaved.empty(); ++i) {
            if (unsaved.back()->exists) (void)change.edit(unsaved.back());
            unsaved.pop_back();
        }
        (void)change.commit();
    }
    co_return Done{};
}

}  // namespace weft::compute
