#include "roles/compute/key_locks_internal.h"

#include <algorithm>

namespace weft::compute {

KeyLocks::Use::Use(KeyLocks& locks, LockKey key) : locks_(&locks), key_(key) {
    entry_ = &locks.entries_.try_emplace(key, locks.reactor_).first->second;
    ++entry_->users;
}

KeyLocks::Use& KeyLocks::Use::operator=(Use&& other) noexcept {
    std::swap(locks_, other.locks_);
    std::swap(key_, other.key_);
    std::swap(entry_, other.entry_);
    return *this;
}

KeyLocks::Use::~Use() {
    if (locks_ == nullptr) return;
    if (--entry_->users == 0) locks_->entries_.erase(key_);
}

KeyLocks::Held& KeyLocks::Held::operator=(Held&& other) noexcept {
    lock_ = std::move(other.lock_);
    use_ = std::move(other.use_);
    return *this;
}

Task<KeyLocks::Held> KeyLocks::exclusive(LockKey key, Nanos deadline) {
    Use use(*this, key);
    auto lock = co_await or_return(co_await use.mutex().lock(until(deadline)));
    co_return Held(std::move(use), std::move(lock));
}

Task<KeyLocks::Held> KeyLocks::shared(LockKey key, Nanos deadline) {
    Use use(*this, key);
    auto lock = co_await or_return(co_await use.mutex().lock_shared(until(deadline)));
    co_return Held(std::move(use), std::move(lock));
}

Task<std::vector<KeyLocks::Held>> KeyLocks::exclusive_all(std::vector<LockKey> keys,
                                                          Nanos deadline) {
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::vector<Held> held;
    for (LockKey key : keys) held.push_back(co_await or_return(co_await exclusive(key, deadline)));
    co_return held;
}

}  // namespace weft::compute
