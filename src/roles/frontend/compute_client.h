#pragma once

#include "model/services/compute_service.h"
#include "platform/runtime/sync.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

namespace weft::frontend {

// Called off by the program that waits (a signal hit it).
struct Interruption {
    explicit Interruption(Reactor& reactor) : signal(reactor) {}
    bool requested = false;
    Signal signal;
};

// Compute as this mount sees it: callers are numbered, and what may succeed later is tried
// again, under the same number, so that programs wait through a failover instead of failing.
class ComputeClient {
public:
    ComputeClient(Reactor& reactor, ComputeService& service, FilesystemId filesystem,
                  SessionId session, Nanos patience)
        : reactor_(reactor),
          service_(service),
          filesystem_(filesystem),
          session_(session),
          patience_(patience) {}

    ComputeService* service() { return &service_; }
    FilesystemId filesystem() const { return filesystem_; }
    FileId file(InodeId inode) const { return FileId{filesystem_, inode}; }

    // Who asks, for a request that changes nothing, or something.
    Caller reader(std::uint32_t uid, std::uint32_t gid, std::uint32_t pid) const {
        Caller caller;
        caller.session = session_;
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

    // `call` runs each time that compute says the session is over.
    void when_fenced(std::function<void()> call) { on_fenced_ = std::move(call); }

    // Ends with what `call` (no argument, gives a Task<T>) ends with, once that is neither
    // retry_later nor refresh_map, the patience is over, or the interruption comes. Nothing
    // interrupts if it is null.
    template <class T, class Call>
    Task<T> attempt(Interruption* interruption, Call call) {
        Nanos began = reactor_.now();
        Nanos pause = kPauseLeast;
        for (;;) {
            Result<T> result = co_await call();
            Code code = result.code();
            if (code == Code::fenced && on_fenced_) on_fenced_();
            if (code != Code::retry_later && code != Code::refresh_map) co_return result;
            if (reactor_.now() - began >= patience_) co_return result;
            if (interruption == nullptr) {
                co_await sleep(reactor_, pause);
            } else {
                if (interruption->requested) co_return Error{Code::interrupted, "frontend.call"};
                (void)co_await interruption->signal.wait(reactor_.now() + pause);
            }
            pause = std::min(2 * pause, kPauseMost);
        }
    }

private:
    static constexpr Nanos kPauseLeast = 1 * kMillisecond;
    static constexpr Nanos kPauseMost = 250 * kMillisecond;

    Reactor& reactor_;
    ComputeService& service_;
    FilesystemId filesystem_;
    SessionId session_;
    Nanos patience_;
    std::uint64_t seq_ = 0;
    std::function<void()> on_fenced_;
};

}  // namespace weft::frontend
