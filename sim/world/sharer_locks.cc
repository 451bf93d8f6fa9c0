// Byte-range locks and flocks: taken, waited for, held over restarts, asked for again.
#include "sim/world/sharer.h"

#include <array>
#include <utility>

namespace weft::sim {
namespace {

constexpr std::uint64_t kHoldMost = 3 * kMillisecond;
constexpr std::uint64_t kLongHoldMost = 100 * kMillisecond;
constexpr Nanos kPause = 10 * kMillisecond;
constexpr std::uint64_t kFarFirst = 20;
constexpr std::array<std::uint64_t, 3> kFirsts = {0, 5, kFarFirst};
constexpr std::uint64_t kLockedMost = 9;  // Behind the first byte.

bool overlap(const LockRequest& a, const LockRequest& b) {
    if (a.flock != b.flock) return false;
    return a.flock || (a.from <= b.to && b.from <= a.to);
}

bool same(const LockRequest& a, const LockRequest& b) {
    return a.flock == b.flock && a.from == b.from;
}

}  // namespace

void Sharer::drop_grips() {
    std::erase_if(commons_.grips_, [this](const auto& grip) { return grip.by == this; });
}

void Sharer::drop_grip(const LockRequest& request) {
    std::erase_if(commons_.grips_,
                  [&](const auto& grip) { return grip.by == this && same(grip.request, request); });
}

// Who loses its session to a restart of compute holds its lock until that waited in vain.
// By another loss it goes, as it does if that hits the session that it was asked for again in.
bool Sharer::still_has(const Commons::Grip& grip) const {
    auto over = way_->over(grip.session);
    if (!over.has_value()) return true;
    auto asked = way_->over(grip.asked);
    bool gone = asked.has_value() && !asked->with_compute;
    return over->with_compute && !gone && commons_.reactor_.now() < commons_.lock_grace_ends_;
}

void Sharer::take_grip(const LockRequest& request) {
    drop_grip(request);
    std::erase_if(commons_.grips_, [](const auto& grip) { return !grip.by->still_has(grip); });
    for (const Commons::Grip& grip : commons_.grips_) {
        bool shared =
            grip.request.kind == request.kind && request.kind == LockRequest::Kind::shared;
        if (overlap(grip.request, request) && !shared) commons_.fail("two hold one lock");
    }
    commons_.grips_.push_back({this, request, session_, SessionId()});
}

bool Sharer::is_no_news(const LockRequest& request, Code code) const {
    if (code == Code::limit_reached) return commons_.locks_run_out_;
    return !request.wait && code == Code::would_block;
}

// By something else than a restart, over which what was granted is held.
bool Sharer::session_is_over() const {
    auto over = way_->over(session_);
    return ended_ || (over.has_value() && !over->with_compute);
}

Task<Done> Sharer::use_lock() {
    LockRequest request;
    request.owner = number_ + 1;
    request.flock = one_in(3);
    request.from = kFirsts[below(kFirsts.size())];
    request.to = request.from + kLockedMost;
    request.kind = one_in(3) ? LockRequest::Kind::shared : LockRequest::Kind::exclusive;
    request.wait = !one_in(4);
    FileId file = commons_.registers_.front().file;
    auto locked = co_await way_->compute().lock(caller(), file, request);
    commons_.tally_->count(locked.code());
    if (is_no_news(request, locked.code())) co_return Done{};
    co_await or_return(std::move(locked));
    if (session_is_over()) co_return Done{};
    held_.push_back(request);
    take_grip(request);
    bool another = !request.flock && one_in(3);
    if (another) (void)co_await take_another_lock(file);
    co_return co_await use_held_locks(file);
}

// Waits for it with the first in hand, as another may the other way round: one of them is told.
Task<Done> Sharer::take_another_lock(FileId file) {
    LockRequest request = held_.front();
    request.from = request.from < kFarFirst ? kFarFirst : 0;
    request.to = request.from + kLockedMost;
    request.kind = LockRequest::Kind::exclusive;
    request.wait = true;
    ++commons_.waiting_;
    bool alone = commons_.waiting_ == 1;
    auto locked = co_await way_->compute().lock(caller(), file, request);
    --commons_.waiting_;
    commons_.tally_->count(locked.code());
    Code code = locked.code();
    // Over a network compute may still have one wait whose session is over for its client.
    if (code == Code::deadlock && alone && !way_->far()) {
        commons_.fail("sharer" + std::to_string(number_) + " is told of a deadlock, and is alone");
    }
    bool refused = code == Code::deadlock || is_no_news(request, code);
    if (!locked.ok() && !refused) (void)goes_on(code, "another lock");
    if (!locked.ok() || session_is_over()) co_return Done{};
    held_.push_back(request);
    take_grip(request);
    co_return Done{};
}

// Under the sessions that it takes.
Task<Done> Sharer::use_held_locks(FileId file) {
    bool long_held = way_->far() && one_in(4);
    std::uint64_t most = long_held ? kLongHoldMost : kHoldMost;
    for (;;) {
        co_await sleep(commons_.reactor_, static_cast<Nanos>(below(most)));
        if (!ended_ && !way_->closed()) break;
        if (!ended_) session_ended();
        (void)co_await reclaim(file);
        if (held_.empty()) co_return Done{};
    }
    std::vector<LockRequest> held = std::exchange(held_, {});
    drop_grips();
    for (LockRequest request : held) {
        request.kind = LockRequest::Kind::unlock;
        co_await or_return(co_await way_->compute().lock(caller(), file, request));
    }
    co_return Done{};
}

// What it held in the session before, as a frontend does it.
Task<Done> Sharer::reclaim(FileId file) {
    co_await or_return(co_await open_session());
    for (Commons::Grip& grip : commons_.grips_) {
        if (grip.by == this) grip.asked = session_;
    }
    std::vector<LockRequest> held = held_;
    for (const LockRequest& request : held) {
        co_await or_return(co_await reclaim_one(file, request));
    }
    co_return Done{};
}

// Fails if that session is over as well.
Task<Done> Sharer::reclaim_one(FileId file, LockRequest held) {
    LockRequest request = held;
    request.wait = false;
    request.reclaim = true;
    auto again = co_await way_->compute().lock(caller(), file, request);
    while (again.code() == Code::retry_later && !ended_ && !way_->closed()) {
        co_await sleep(commons_.reactor_, kPause);
        again = co_await way_->compute().lock(caller(), file, request);
    }
    commons_.tally_->count(again.code());
    if (again.ok()) {
        if (!ended_ && !way_->over(session_).has_value()) take_grip(held);
        co_return Done{};
    }
    if (lost(again.code())) co_return again;
    for (const Commons::Grip& grip : commons_.grips_) {
        bool kept = grip.by == this && same(grip.request, held) && still_has(grip);
        if (kept) commons_.fail("sharer" + std::to_string(number_) + " lost a lock by a restart");
    }
    std::erase_if(held_, [&](const LockRequest& each) { return same(each, held); });
    drop_grip(held);
    co_return Done{};
}

}  // namespace weft::sim
