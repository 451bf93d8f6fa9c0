// Byte-range locks and flocks: taken, waited for, held over restarts, asked for again.
#include "sim/world/sharer.h"

#include <utility>

namespace weft::sim {
namespace {

constexpr std::uint64_t kHoldMost = 3 * kMillisecond;
constexpr std::uint64_t kLongHoldMost = 100 * kMillisecond;
constexpr Nanos kPause = 10 * kMillisecond;

bool overlap(const LockRequest& a, const LockRequest& b) {
    if (a.flock != b.flock) return false;
    return a.flock || (a.from <= b.to && b.from <= a.to);
}

}  // namespace

void Sharer::drop_grip() {
    std::erase_if(commons_.grips_, [this](const auto& grip) { return grip.by == this; });
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
    drop_grip();
    std::erase_if(commons_.grips_, [](const auto& grip) { return !grip.by->still_has(grip); });
    for (const Commons::Grip& grip : commons_.grips_) {
        bool shared =
            grip.request.kind == request.kind && request.kind == LockRequest::Kind::shared;
        if (overlap(grip.request, request) && !shared) commons_.fail("two hold one lock");
    }
    commons_.grips_.push_back({this, request, session_, SessionId()});
}

Task<Done> Sharer::use_lock() {
    LockRequest request;
    request.owner = number_ + 1;
    request.flock = one_in(3);
    request.from = one_in(2) ? 0 : 5;
    request.to = request.from + 9;
    request.kind = one_in(3) ? LockRequest::Kind::shared : LockRequest::Kind::exclusive;
    request.wait = !one_in(4);
    FileId file = commons_.registers_.front().file;
    auto locked = co_await way_->compute().lock(caller(), file, request);
    if (!request.wait && locked.code() == Code::would_block) co_return Done{};
    co_await or_return(std::move(locked));
    auto over = way_->over(session_);
    if (ended_ || (over.has_value() && !over->with_compute)) co_return Done{};
    held_ = request;
    take_grip(request);
    co_return co_await use_held_lock(file);
}

// Under the sessions that it takes.
Task<Done> Sharer::use_held_lock(FileId file) {
    bool long_held = way_->far() && one_in(4);
    std::uint64_t most = long_held ? kLongHoldMost : kHoldMost;
    for (;;) {
        co_await sleep(commons_.reactor_, static_cast<Nanos>(below(most)));
        if (!ended_ && !way_->closed()) break;
        if (!ended_) session_ended();
        auto reclaimed = co_await reclaim(file);
        if (!reclaimed.ok() && !lost(reclaimed.code())) co_return Done{};
    }
    LockRequest request = *held_;
    held_.reset();
    drop_grip();
    request.kind = LockRequest::Kind::unlock;
    co_return co_await way_->compute().lock(caller(), file, request);
}

// What it held in the session before, as a frontend does it.
Task<Done> Sharer::reclaim(FileId file) {
    co_await or_return(co_await open_session());
    LockRequest request = *held_;
    request.wait = false;
    request.reclaim = true;
    for (Commons::Grip& grip : commons_.grips_) {
        if (grip.by == this) grip.asked = session_;
    }
    auto again = co_await way_->compute().lock(caller(), file, request);
    while (again.code() == Code::retry_later && !ended_ && !way_->closed()) {
        co_await sleep(commons_.reactor_, kPause);
        again = co_await way_->compute().lock(caller(), file, request);
    }
    if (again.ok()) {
        if (!ended_ && !way_->over(session_).has_value()) take_grip(*held_);
        co_return again;
    }
    if (lost(again.code())) co_return again;
    for (const Commons::Grip& grip : commons_.grips_) {
        bool kept = grip.by == this && still_has(grip);
        if (kept) commons_.fail("sharer" + std::to_string(number_) + " lost a lock by a restart");
    }
    held_.reset();
    drop_grip();
    co_return again;
}

}  // namespace weft::sim
