#include "sim/world/mount.h"

#include <utility>

namespace weft::sim {
namespace {

constexpr Nanos kLookEvery = 10 * kMillisecond;
constexpr Nanos kEndsWithin = 120 * kSecond;

}  // namespace

Task<SessionId> MountHost::open_session(LeaseHolder* holder, weft::Client client) {
    holders_.push_back(std::make_unique<Holder>(*this, holder));
    LeaseHolder* inner = holders_.back().get();
    auto opened = co_await way_->open_session(inner, client);
    if (opened.ok()) {
        session_ = opened.value();
        ++sessions_;
        over_ = false;
    }
    co_return opened;
}

Mount::Mount(std::uint64_t seed, const MountSettings& settings, MountHost& host,
             FilesystemId filesystem)
    : reactor_(host.clock()),
      host_(host),
      kernel_(reactor_, seed, settings.minor, settings.notice_delay),
      role_(reactor_, host.compute(), kernel_.channel(), filesystem, SessionId()) {}

Mount::~Mount() {
    host_.end_recalls();
    running_.reset();
}

Task<Done> Mount::begin(std::uint64_t client) {
    for (;;) {
        auto opened = co_await role_.open_session(host_, client);
        if (opened.ok()) break;
        co_await sleep(reactor_, kLookEvery);
    }
    running_.emplace(role_.run());
    running_->start(std::noop_coroutine());
    co_return co_await kernel_.mount();
}

Task<Done> Mount::end() {
    kernel_.drop_caches();
    Nanos deadline = reactor_.now() + kEndsWithin;
    for (;;) {
        frontend::FrontendStatus status = role_.status();
        bool nothing = status.known_inodes == 0 && status.open_files == 0;
        if (nothing && kernel_.known_inodes() == 0) break;
        if (reactor_.now() > deadline) co_return Error{Code::invalid, "sim.mount_keeps"};
        co_await sleep(reactor_, kLookEvery);
        // What was under way may have been the last to use an inode.
        kernel_.drop_caches();
    }
    kernel_.channel().close();
    while (!running_->ended()) co_await sleep(reactor_, kLookEvery);
    bool kept = role_.status().deferred_memory_bytes != 0;
    if (kept) co_return Error{Code::invalid, "sim.mount_keeps_writes"};
    co_return co_await host_.close_session(role_.session());
}

}  // namespace weft::sim
