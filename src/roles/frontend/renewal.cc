// A mount's next session, after it has lost one: compute was restarted, the connection is gone,
// or a recall was not answered in time. docs/protocols/leases.md.
#include "roles/frontend/mount_internal.h"

#include <algorithm>
#include <utility>

#include <fcntl.h>

namespace weft::frontend {
namespace {

constexpr Nanos kPauseLeast = 10 * kMillisecond;
constexpr Nanos kPauseMost = 500 * kMillisecond;
// Of the first session, where each is lost at once.
constexpr int kOpensMost = 8;
// Notices of which the kernel may be busy with at a time, and how long one may keep us: it then
// waits for a request of ours that is held, and comes right after its reply.
constexpr std::size_t kNoticesMost = 256;
constexpr Nanos kNoticeMost = 2 * kSecond;

}  // namespace

Task<Done> Mount::open_session(SessionHost* sessions, LeaseHolder* holder, std::uint64_t client) {
    Client as{client, 0, 0};
    // It may be lost before this hears of it.
    renewing_ = true;
    Result<SessionId> opened = Error{Code::retry_later, "frontend.session"};
    for (int i = 0; i < kOpensMost; ++i) {
        lost_again_ = false;
        opened = co_await sessions->open_session(holder, as);
        if (!opened.ok() || !lost_again_) break;
        opened = Error{Code::retry_later, "frontend.session"};
    }
    renewing_ = false;
    SessionId session = co_await or_return(std::move(opened));
    compute_.set_session(session);
    sessions_ = sessions;
    holder_ = holder;
    client_ = client;
    co_return Done{};
}

void Mount::session_lost() {
    if (renewing_) {
        lost_again_ = true;
        return;
    }
    if (sessions_ == nullptr || draining_) {
        // What the kernel has cached is covered no longer: only the end of the connection keeps
        // programs from reading it.
        channel_.close();
        return;
    }
    renewing_ = true;
    compute_.hold();
    background_.spawn(renew());
}

Task<Done> Mount::renew() {
    SessionHost* sessions = sessions_;  // Which an end of the mount meanwhile forgets.
    SessionId old = compute_.session();
    Nanos pause = kPauseLeast;
    forget_grants();
    (void)co_await drop_all_caches();
    while (renewing_) {
        lost_again_ = false;
        Client client{client_, compute_.last_seq(), held_locks_.count()};
        auto opened = co_await sessions->open_session(holder_, client);
        if (opened.ok()) {
            compute_.set_session(opened.value());
            if (!lost_again_) (void)co_await reclaim();
            if (!lost_again_) break;
            forget_grants();
        }
        if (opened.code() == Code::not_found) end_renewal(false);
        if (renewing_) co_await sleep(reactor_, pause);
        pause = std::min(2 * pause, kPauseMost);
    }
    if (renewing_) end_renewal(true);
    // Ends only when its recalls have, and these may have waited for the renewal.
    co_return co_await sessions->close_session(old);
}

void Mount::end_renewal(bool good) {
    renewing_ = false;
    if (!good) {
        sessions_ = nullptr;
        channel_.close();
    }
    compute_.go_on();
}

// What happened while the term did not cover is known here in part only, so that what was granted
// before it covers again does not count either.
void Mount::look_at_term() {
    const LeaseTerm* term = sessions_ == nullptr ? nullptr : sessions_->lease_term();
    bool covers = term == nullptr || term->covers(reactor_.now());
    if (std::exchange(covered_, covers) == covers) return;
    forget_grants();
    leases_.set_covered(covers);
    if (!covers && !renewing_ && !draining_) background_.spawn(drop_all_caches());
}

void Mount::forget_grants() {
    recalls_.note_all();
    changes_.note_all();
    leases_.clear();
    for (const FilePtr& file : files_.all()) {
        file->lease = LeaseMode::none;
        file->attributes_valid = false;
        file->no_capability = false;
    }
}

// Not for pages that a request of ours has locked, which may wait for long: if this process were
// killed meanwhile, the kernel would wait for the notice before it ended what programs wait for,
// and for that request before it ended the notice.
std::vector<std::shared_ptr<Mount::Notice>> Mount::begin_notices(InodeId inode) {
    std::vector<std::shared_ptr<Notice>> notices;
    std::int64_t from = 0;
    FilePtr file = files_.find(inode);
    if (file != nullptr) {
        for (auto [first, last] : file->crossings.leave_out()) {
            auto begin = static_cast<std::int64_t>(first);
            if (begin > from) notices.push_back(begin_notice(inode, from, begin - from));
            from = std::max(from, static_cast<std::int64_t>(last));
        }
    }
    notices.push_back(begin_notice(inode, from, 0));
    return notices;
}

// The kernel may have cached anything of any inode that it knows. Entries first, which are what
// most ways to the others begin with; then open files, which need none.
Task<Done> Mount::drop_all_caches() {
    std::vector<InodeId> inodes = nodes_.all();
    auto is_open = [this](InodeId inode) {
        return files_.find(inode) != nullptr;
    };
    std::partition(inodes.begin(), inodes.end(), is_open);
    for (InodeId inode : inodes) {
        if (agreement_.increase_epoch) break;
        Task<Done> forgotten = forget_all_entries(inode);
        (void)co_await forgotten;
    }
    increase_epoch();
    std::vector<std::pair<InodeId, std::shared_ptr<Notice>>> waiting;
    for (std::size_t next = 0; next < inodes.size() || !waiting.empty();) {
        while (next < inodes.size() && waiting.size() < kNoticesMost) {
            for (auto& notice : begin_notices(inodes[next])) {
                waiting.emplace_back(inodes[next], std::move(notice));
            }
            ++next;
        }
        auto settled = [this](const auto& one) {
            return one.second->done || occupied(one.first);
        };
        std::erase_if(waiting, settled);
        bool full = waiting.size() >= kNoticesMost || next == inodes.size();
        if (waiting.empty() || !full) continue;
        bool progress = co_await arrivals_.wait(reactor_.now() + kNoticeMost);
        if (!progress) waiting.clear();
    }
    co_return Done{};
}

// What cannot be done yet is tried again, as long as the session lasts: a file that is not opened
// again, or a lock that is not taken again, is lost to its program.
template <class T, class Call>
Task<T> Mount::insist(Call call) {
    Nanos pause = kPauseLeast;
    for (;;) {
        Result<T> result = co_await call();
        Code code = result.code();
        bool later = code == Code::retry_later || code == Code::refresh_map;
        if (!later || lost_again_ || !renewing_) co_return result;
        co_await sleep(reactor_, pause);
        pause = std::min(2 * pause, kPauseMost);
    }
}

// Before anything else goes out under the new session, so that locks are not taken from one
// program of ours by another.
Task<Done> Mount::reclaim() {
    for (auto handle = handle_to_reopen(); handle.has_value() && !lost_again_;
         handle = handle_to_reopen()) {
        Task<Done> reopened = reopen(*handle);
        (void)co_await reopened;
    }
    for (InodeId inode : held_locks_.inodes()) {
        Task<Done> reclaimed = reclaim_locks(inode);
        if (!lost_again_) (void)co_await reclaimed;
    }
    for (FilePtr file : files_.all()) {
        Task<Done> judged = judge_deferred(file);
        if (!lost_again_) (void)co_await judged;
    }
    co_return Done{};
}

std::optional<std::uint64_t> Mount::handle_to_reopen() {
    for (std::uint64_t handle : files_.open_handles()) {
        if (files_.find_open(handle)->session != compute_.session()) return handle;
    }
    return std::nullopt;
}

Task<Done> Mount::reopen(std::uint64_t handle) {
    OpenFile* open = files_.find_open(handle);
    if (open == nullptr) co_return Done{};
    SessionId session = compute_.session();
    // Whatever comes of it, it is not tried twice: a file that is gone says so when it is used.
    open->session = session;
    FilePtr file = open->file;
    bool writes = (open->flags & O_ACCMODE) != O_RDONLY && settings_.deferred_bytes_most > 0;
    Caller caller = compute_.own_writer();
    LeaseMode want = writes ? LeaseMode::write : LeaseMode::read;
    Moments before = moments();
    FileId id = compute_.file(file->inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->open(caller, id, want);
    };
    auto opened = co_await insist<Opened>(call);
    if (opened.code() == Code::fenced) lost_again_ = renewing_;
    if (!opened.ok()) co_return opened.error();
    open = files_.find_open(handle);
    if (open == nullptr || compute_.session() != session) {
        // Closed meanwhile, under a handle that nobody knows any more.
        background_.spawn(release_handle(file->inode, opened.value().handle));
        co_return Done{};
    }
    open->compute_handle = opened.value().handle;
    Node node = std::move(opened.value().node);
    if (recalls_.changed_since(file->inode, before.recalls)) node.lease = LeaseMode::none;
    leases_.grant(node);
    file->lease = leases_.held(file->inode);
    co_return Done{};
}

// What programs were told is written, and compute does not have, is sent again, unless somebody
// else has changed the file since: then it would undo what came later.
Task<Done> Mount::judge_deferred(FilePtr file) {
    if (!file->ahead() || !file->in_flight.empty()) co_return Done{};
    std::uint64_t known = file->attributes.version;
    Caller caller = compute_.own_reader();
    auto now = co_await compute_.service()->getattr(caller, compute_.file(file->inode));
    if (now.code() == Code::fenced) lost_again_ = renewing_;
    if (!now.ok() || now.value().attributes.version == known) co_return Done{};
    write_behind_.discard(file, Error{Code::io_failed, "frontend.session"});
    co_return Done{};
}

Task<Done> Mount::reclaim_locks(InodeId inode) {
    for (LockRequest held : held_locks_.of(inode)) {
        Caller caller = compute_.own_writer();
        FileId id = compute_.file(inode);
        ComputeService* service = compute_.service();
        LockRequest again = held;
        again.reclaim = true;
        auto call = [=] {
            return service->lock(caller, id, again);
        };
        auto locked = co_await insist<Done>(call);
        if (locked.code() == Code::fenced) lost_again_ = renewing_;
        if (locked.ok() || lost_again_) continue;
        held.kind = LockRequest::Kind::unlock;
        held_locks_.apply(inode, held);
        FilePtr file = files_.find(inode);
        if (file != nullptr) file->lost_locks = true;
    }
    co_return Done{};
}

}  // namespace weft::frontend
