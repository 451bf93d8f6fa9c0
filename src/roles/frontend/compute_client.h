#pragma once

#include "model/services/compute_service.h"
#include "platform/runtime/sync.h"
#include "roles/frontend/session_compute.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

namespace weft::frontend {

// A signal has hit the program that waits.
struct Interruption {
    Interruption(Reactor& reactor, std::uint32_t of_thread) : thread(of_thread), signal(reactor) {}
    std::uint32_t thread;
    bool requested = false;
    bool by_any_signal = false;    // Not only by one that ends the program.
    Nanos looked = INT64_MIN / 2;  // When it was last asked whether the thread is being killed.
    Signal signal;
};

using IsDying = std::function<bool(std::uint32_t thread)>;

// Compute as this mount sees it: callers are numbered, and what may succeed later is tried
// again, under the same number, so that programs wait through a failover instead of failing.
// So is what ended with its session (fenced), once the mount has the next one: until then, from
// hold() to go_on(), no request leaves.
class ComputeClient {
public:
    ComputeClient(Reactor& reactor, ComputeService& service, FilesystemId filesystem,
                  SessionId session, Nanos patience)
        : reactor_(reactor),
          service_(service, session),
          filesystem_(filesystem),
          released_(reactor),
          patience_(patience) {}

    ComputeService* service() { return &service_; }
    FilesystemId filesystem() const { return filesystem_; }
    FileId file(InodeId inode) const { return FileId{filesystem_, inode}; }

    // Who asks, for a request that changes nothing, or something.
    Caller reader(std::uint32_t uid, std::uint32_t gid, std::uint32_t pid) const {
        Caller caller;
        caller.session = service_.session();
        caller.uid = uid;
        caller.gid = gid;
        caller.pid = pid;
        return caller;
    }
    Caller writer(std::uint32_t uid, std::uint32_t gid, std::uint32_t pid) {
        Caller caller = reader(uid, gid, pid);
        caller.seq = ++seq_;
        return caller;
    }
    // The frontend itself, for deferred work.
    Caller own_reader() const { return reader(0, 0, 0); }
    Caller own_writer() { return writer(0, 0, 0); }

    // `call` runs when compute says that the session is over; it may hold().
    void when_fenced(std::function<void()> call) { on_fenced_ = std::move(call); }
    // Tells which interruptions count; without, all do.
    void set_is_dying(IsDying is_dying) { is_dying_ = std::move(is_dying); }
    void hold() { held_ = true; }
    void set_session(SessionId session) { service_.set_session(session); }
    SessionId session() const { return service_.session(); }
    void go_on() {
        held_ = false;
        released_.notify_all();
    }
    bool held() const { return held_; }
    // The highest number given to any caller.
    std::uint64_t last_seq() const { return seq_; }

    // Ends with what `call` (no argument, gives a Task<T>) ends with, once that is neither
    // retry_later nor refresh_map, nor fenced while held, the patience is over, or the
    // interruption comes and counts. Nothing interrupts if it is null.
    template <class T, class Call>
    Task<T> attempt(Interruption* interruption, Call call) {
        return attempt_since<T>(reactor_.now(), interruption, std::move(call));
    }
    // The same for what has waited since `began` to be attempted.
    template <class T, class Call>
    Task<T> attempt_since(Nanos began, Interruption* interruption, Call call) {
        Nanos pause = kPauseLeast;
        for (;;) {
            SessionId session = service_.session();
            Result<T> result = Error{Code::retry_later, "frontend.session"};
            if (!held_) {
                result = co_await call();
                Code code = result.code();
                bool over = code == Code::fenced;
                bool news = over && !held_ && session == service_.session();
                if (news && on_fenced_) on_fenced_();
                bool renewed = over && (held_ || session != service_.session());
                bool again = renewed || code == Code::retry_later || code == Code::refresh_map;
                if (!again) co_return result;
            }
            Nanos patience_ends = began + patience_;
            if (reactor_.now() >= patience_ends) co_return result;
            if (interruption != nullptr && counts(*interruption)) {
                co_return Error{Code::interrupted, "frontend.call"};
            }
            Nanos until = std::min(reactor_.now() + pause, patience_ends);
            if (interruption != nullptr) {
                (void)co_await interruption->signal.wait(until);
            } else if (held_) {
                (void)co_await released_.wait(patience_ends);
            } else {
                co_await sleep(reactor_, pause);
            }
            pause = std::min(2 * pause, held_ ? kPauseHeld : kPauseMost);
        }
    }

private:
    static constexpr Nanos kPauseLeast = 1 * kMillisecond;
    static constexpr Nanos kPauseMost = 250 * kMillisecond;
    static constexpr Nanos kPauseHeld = 20 * kMillisecond;
    static constexpr Nanos kLookAgain = 100 * kMillisecond;

    // The kernel tells of a program's first signal only, so one that did not count may be
    // followed by one that does.
    bool counts(Interruption& interruption) {
        if (!interruption.requested) return false;
        if (interruption.by_any_signal || !is_dying_) return true;
        if (reactor_.now() < interruption.looked + kLookAgain) return false;
        interruption.looked = reactor_.now();
        return is_dying_(interruption.thread);
    }

    Reactor& reactor_;
    SessionCompute service_;
    FilesystemId filesystem_;
    Signal released_;
    bool held_ = false;
    Nanos patience_;
    std::uint64_t seq_ = 0;
    std::function<void()> on_fenced_;
    IsDying is_dying_;
};

}  // namespace weft::frontend
