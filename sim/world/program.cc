#include "sim/world/program.h"

#include "sim/world/kernel_body.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

namespace weft::sim {
namespace {

constexpr const char* kDirectory = "mounts";
constexpr const char* kLockFile = "d0";
constexpr std::uint64_t kValueBytes = 8;
constexpr std::uint64_t kHoldMost = 3 * kMillisecond;
constexpr std::uint64_t kPatienceMost = 2 * kMillisecond;
constexpr Nanos kAgain = 10 * kMillisecond;
constexpr std::uint64_t kHoleAt = 16 * kKiB;
// Later than any value: what writes have left.
constexpr std::uint64_t kRealTimes = 1'000'000'000;

std::string text_of_value(std::uint64_t value) {
    std::string text(kValueBytes, '\0');
    std::memcpy(text.data(), &value, kValueBytes);
    return text;
}

bool overlap(const Mounts::Grip& a, const Mounts::Grip& b) {
    if (a.flock != b.flock || (a.shared && b.shared)) return false;
    return a.flock || (a.from <= b.to && b.from <= a.to);
}

}  // namespace

Program::Program(Mounts& mounts, std::uint32_t mount, std::uint32_t number, std::uint64_t seed)
    : mounts_(mounts), mount_(mount), number_(number), random_(seed) {}

void Program::forget() {
    open_.clear();
}

// True if it went well, or if that it did not is no news.
bool Program::goes_on(Code code, const char* what) {
    if (code == Code::ok) return true;
    // What was open may have gone with a session, or what was written.
    bool told = code == Code::io_failed || code == Code::stale;
    if (told && mounts_.has_lost_sessions(mount_)) return true;
    if (mounts_.left_) return false;
    mounts_.fail("mount" + std::to_string(mount_) + ": " + what + ": " +
                 std::string(name_of(code)));
    return false;
}

Task<Done> Program::act() {
    while (!mounts_.pausing_ && mounts_.failure_.empty()) {
        mounts_.note_losses();
        auto done = co_await step();
        mounts_.tally_->count(done.code());
        if (!goes_on(done.code(), "step")) co_return Done{};
        // What is in the caches takes no time.
        co_await sleep(mounts_.reactor_, kMicrosecond);
    }
    if (one_in(2)) {
        auto closed = co_await close_all();
        if (!goes_on(closed.code(), "close")) co_return Done{};
    }
    auto sent = co_await kernel().statfs();
    if (goes_on(sent.code(), "statfs")) mounts_.note_pause();
    co_return Done{};
}

Task<Done> Program::step() {
    Register* at = &mounts_.registers_[below(mounts_.registers_.size())];
    switch (below(24)) {
        case 0:
            return sync(at);
        case 1:
            return list();
        case 2:
            return use_lock();
        case 3:
        case 4:
        case 5:
        case 6:
            return use_life(&mounts_.lives_[below(mounts_.lives_.size())]);
        case 7:
            if (one_in(4)) kernel().shrink();
            return close_all();
        case 8:
        case 9:
        case 10:
        case 11:
        case 12:
        case 13:
            return write(at);
        default:
            return read(at);
    }
}

Task<InodePtr> Program::directory() {
    return kernel().find(kernel().root(), kDirectory);
}

Task<KernelFilePtr> Program::file(std::string name, bool writes) {
    std::string key = name + (writes ? "+" : "");
    auto found = open_.find(key);
    if (found == open_.end() && !writes) found = open_.find(name + "+");
    if (found != open_.end()) co_return found->second;
    InodePtr in = co_await or_return(co_await directory());
    std::uint32_t flags = writes ? O_RDWR : O_RDONLY;
    if (one_in(8)) flags |= O_CREAT;
    KernelFilePtr opened = co_await or_return(co_await kernel().open(in, name, flags));
    open_[key] = opened;
    co_return opened;
}

Task<Done> Program::drop(std::string name) {
    for (const char* end : {"", "+"}) {
        auto found = open_.find(name + end);
        if (found == open_.end()) continue;
        KernelFilePtr file = std::move(found->second);
        open_.erase(found);
        co_await or_return(co_await kernel().close(file));
    }
    co_return Done{};
}

Task<Done> Program::close_all() {
    while (!open_.empty()) {
        KernelFilePtr file = std::move(open_.begin()->second);
        open_.erase(open_.begin());
        auto closed = co_await kernel().close(file);
        if (!goes_on(closed.code(), "close")) co_return closed;
    }
    co_return Done{};
}

Task<std::uint64_t> Program::look(Register* at, Moment* since) {
    if (at->kind == Kind::data) {
        KernelFilePtr from = co_await or_return(co_await file(at->name, false));
        std::string text =
            co_await or_return(co_await kernel().read(from, at->offset, kValueBytes, since));
        if (text.size() != kValueBytes) co_return Error{Code::invalid, "sim.short_read"};
        std::uint64_t value = 0;
        std::memcpy(&value, text.data(), kValueBytes);
        co_return value;
    }
    InodePtr in = co_await or_return(co_await directory());
    fuse_attr seen = co_await or_return(co_await kernel().stat(in, at->name));
    if (at->kind == Kind::size) co_return seen.size;
    if (at->kind == Kind::mtime) co_return seen.mtime;
    co_return seen.ino;
}

Task<std::uint64_t> Program::look_surely(Register* at) {
    for (;;) {
        Moment since = 0;  // What settles does not ask.
        auto value = co_await look(at, &since);
        if (value.ok() && is_judged()) co_return value;
        bool again = !is_judged() || mounts_.has_lost_sessions(mount_);
        if (!again) co_return value;
        (void)co_await drop(at->name);
        // Where a lock was lost the file fails until nobody has it open.
        bool fails = value.code() == Code::io_failed;
        for (auto& other : mounts_.programs_) {
            bool beside = fails && other->mount_ == mount_ && other.get() != this;
            if (beside) (void)co_await other->drop(at->name);
        }
        co_await sleep(mounts_.reactor_, kAgain);
    }
}

Task<bool> Program::sees(std::string name) {
    InodePtr in = co_await or_return(co_await directory());
    auto seen = co_await kernel().find(in, name);
    if (!seen.ok() && seen.code() != Code::not_found) co_return seen.error();
    co_return seen.ok();
}

Task<bool> Program::sees_surely(std::string name) {
    for (;;) {
        auto seen = co_await sees(name);
        if (seen.ok() && is_judged()) co_return seen;
        if (!seen.ok() && is_judged()) co_return seen;
        co_await sleep(mounts_.reactor_, kAgain);
    }
}

Task<Done> Program::read(Register* at) {
    Moment begin = mounts_.tick();
    std::optional<std::uint64_t> since = sure();
    auto value = co_await look(at, &begin);
    // Linux looks a name up again once; if it is replaced again meanwhile, that is what it says.
    bool replaced = at->kind == Kind::name && value.code() == Code::stale;
    if (replaced) co_return Done{};
    if (!value.ok()) {
        if (mounts_.has_lost_sessions(mount_)) (void)co_await drop(at->name);
        co_return value.error();
    }
    bool judged = sure_since(since);
    if (at->kind == Kind::mtime && value.value() >= kRealTimes) judged = false;
    // Through one page cache it may be seen before the write is done.
    auto writing = mounts_.being_written_.find(value.value());
    if (writing != mounts_.being_written_.end() && writing->second == mount_) judged = false;
    if (judged) at->history.read(value.value(), begin, mounts_.tick(), mount_ + 1);
    mounts_.say(mount_, *at, "reads", value.value());
    bool closes = at->kind == Kind::data && one_in(3);
    if (closes) co_return co_await drop(at->name);
    co_return Done{};
}

Task<Done> Program::write(Register* at) {
    if (at->kind == Kind::name) co_return co_await replace_name(at);
    std::uint64_t value = ++mounts_.last_value_;
    std::size_t number = at->history.begin_write(value, mounts_.tick(), mount_ + 1);
    std::uint64_t sessions = mount().host().sessions();
    mounts_.say(mount_, *at, "begins to write", value);
    mounts_.being_written_[value] = mount_;
    auto sent = co_await send(at, value);
    mounts_.being_written_.erase(value);
    if (!sent.ok()) {
        if (mounts_.has_lost_sessions(mount_)) (void)co_await drop(at->name);
        co_return sent;
    }
    // What was written when the session was lost may be lost with it.
    bool kept = is_judged() && sessions == mount().host().sessions();
    if (kept) at->history.end_write(number, mounts_.tick());
    mounts_.say(mount_, *at, "has written", value);
    if (one_in(3)) co_return co_await drop(at->name);
    co_return Done{};
}

Task<Done> Program::send(Register* at, std::uint64_t value) {
    if (at->kind == Kind::mtime) co_return co_await set_mtime(at, value);
    if (at->kind == Kind::size) {
        InodePtr in = co_await or_return(co_await directory());
        InodePtr inode = co_await or_return(co_await kernel().find(in, at->name));
        co_return co_await kernel().truncate(inode, value);
    }
    KernelFilePtr to = co_await or_return(co_await file(at->name, true));
    if (one_in(16)) {
        std::uint32_t mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        co_await or_return(co_await kernel().allocate(to, kHoleAt, kBlockBytes, mode));
    }
    std::string data = text_of_value(value);
    // Nothing else is in that file.
    if (at->name == "d1") data.resize(kValueBytes + below(3 * kBlockBytes), 'x');
    co_return co_await kernel().write(to, at->offset, std::move(data));
}

// Behind a write, now and then, as tar does.
Task<Done> Program::set_mtime(Register* at, std::uint64_t value) {
    if (one_in(2)) {
        KernelFilePtr to = co_await or_return(co_await file(at->name, true));
        co_await or_return(co_await kernel().write(to, 0, "x"));
    }
    InodePtr in = co_await or_return(co_await directory());
    InodePtr inode = co_await or_return(co_await kernel().find(in, at->name));
    co_return co_await kernel().set_mtime(inode, value);
}

Task<Done> Program::replace_name(Register* at) {
    InodePtr in = co_await or_return(co_await directory());
    std::string fresh = "t" + std::to_string(++mounts_.last_value_);
    InodePtr made =
        co_await or_return(co_await kernel().make(in, fresh, Kernel::Make::file, InodePtr()));
    std::size_t number = at->history.begin_write(made->number, mounts_.tick(), mount_ + 1);
    co_await or_return(co_await kernel().rename(in, fresh, at->name));
    at->history.end_write(number, mounts_.tick());
    co_return Done{};
}

Task<Done> Program::use_life(Mounts::Life* life) {
    if (life->gone && one_in(4)) mounts_.renew(*life);
    bool changes = !life->busy && !life->gone && one_in(4);
    if (changes) {
        Task<Done> change = life->made ? remove(life) : make(life);
        co_return co_await change;
    }
    std::string name = life->name;
    Moment begin = mounts_.tick();
    std::optional<std::uint64_t> since = sure();
    bool there = co_await or_return(co_await sees(name));
    bool judged = sure_since(since);
    if (judged && life->name == name) mounts_.probed(*life, there, begin, mounts_.tick());
    co_return Done{};
}

Task<Done> Program::make(Mounts::Life* life) {
    life->busy = true;
    InodePtr in = co_await or_return(co_await directory());
    auto how = static_cast<Kernel::Make>(below(4));
    life->is_directory = how == Kernel::Make::directory;
    life->is_link = how == Kernel::Make::link;
    InodePtr target = co_await or_return(co_await kernel().find(in, "m"));
    auto made = co_await kernel().make(in, life->name, how, target);
    if (made.code() == Code::too_many_links && mounts_.may_have_too_many_links()) {
        life->busy = false;
        co_return Done{};
    }
    (void)co_await or_return(std::move(made));
    life->there_from = std::min(life->there_from, mounts_.tick());
    life->made = true;
    life->busy = false;
    co_return Done{};
}

Task<Done> Program::remove(Mounts::Life* life) {
    life->busy = true;
    InodePtr in = co_await or_return(co_await directory());
    life->there_to = mounts_.tick();
    co_await or_return(co_await kernel().remove(in, life->name, life->is_directory));
    life->gone_from = std::min(life->gone_from, mounts_.tick());
    life->gone = true;
    life->busy = false;
    co_return Done{};
}

Task<Done> Program::clear(std::string name) {
    InodePtr in = co_await or_return(co_await directory());
    fuse_attr there = co_await or_return(co_await kernel().stat(in, name));
    bool is_directory = (there.mode & S_IFMT) == S_IFDIR;
    co_return co_await kernel().remove(in, name, is_directory);
}

Task<Done> Program::list() {
    InodePtr in = co_await or_return(co_await directory());
    std::vector<std::string> before;
    for (const Mounts::Life& life : mounts_.lives_) before.push_back(life.name);
    Moment begin = mounts_.tick();
    std::optional<std::uint64_t> since = sure();
    auto names = co_await or_return(co_await kernel().list(in));
    Moment end = mounts_.tick();
    bool judged = sure_since(since);
    for (std::size_t i = 0; judged && i < before.size(); ++i) {
        Mounts::Life& life = mounts_.lives_[i];
        bool there = std::ranges::find(names, before[i]) != names.end();
        if (life.name == before[i]) mounts_.probed(life, there, begin, end);
    }
    co_return Done{};
}

// fsync of the file, or of the directory for a name.
Task<Done> Program::sync(Register* at) {
    if (mounts_.never_syncs_) co_return Done{};
    mounts_.note_losses();
    Moment begin = mounts_.tick();
    // What a mount whose session is lost has not sent yet, no other can make durable.
    std::optional<std::uint64_t> sessions = mounts_.all_sessions();
    if (at->kind == Kind::name) {
        InodePtr in = co_await or_return(co_await directory());
        co_await or_return(co_await kernel().sync_directory(in));
    } else {
        KernelFilePtr synced = co_await or_return(co_await file(at->name, one_in(2)));
        co_await or_return(co_await kernel().fsync(synced));
    }
    if (!sessions.has_value() || sessions != mounts_.all_sessions()) co_return Done{};
    for (Register& each : mounts_.registers_) {
        bool covered = at->kind == Kind::name ? each.kind == Kind::name : each.name == at->name;
        if (covered) each.synced = std::max(each.synced, begin);
    }
    co_return Done{};
}

Task<Done> Program::use_lock() {
    KernelFilePtr on = co_await or_return(co_await file(kLockFile, true));
    fuse_lk_in in{};
    Mounts::Grip grip;
    grip.by = this;
    grip.flock = one_in(3);
    grip.shared = one_in(3);
    grip.from = one_in(2) ? 0 : 5;
    grip.to = grip.from + 9;
    in.owner = number_ + 1;
    in.lk_flags = grip.flock ? FUSE_LK_FLOCK : 0;
    in.lk.start = grip.from;
    in.lk.end = grip.to;
    in.lk.type = grip.shared ? F_RDLCK : F_WRLCK;
    in.lk.pid = number_ + 1;
    bool waits = !one_in(4);
    auto request = std::make_shared<std::uint64_t>(0);
    if (waits && one_in(4)) mounts_.interrupt_later(mount_, request, below(kPatienceMost));
    auto locked = co_await kernel().lock(on, in, waits, request);
    mounts_.tally_->count(locked.code());
    bool refused = locked.code() == Code::would_block || locked.code() == Code::interrupted;
    if (refused) co_return Done{};
    co_await or_return(std::move(locked));
    // One that went with its session may be another's by now.
    std::erase_if(mounts_.grips_, [](const auto& held) { return !held.by->still_has(held); });
    grip.sessions = mount().host().sessions();
    for (const Mounts::Grip& held : mounts_.grips_) {
        if (is_judged() && overlap(held, grip)) mounts_.fail("two programs hold one lock");
    }
    if (is_judged()) mounts_.grips_.push_back(grip);
    co_await sleep(mounts_.reactor_, static_cast<Nanos>(below(kHoldMost)));
    std::erase_if(mounts_.grips_, [this](const auto& held) { return held.by == this; });
    in.lk.type = F_UNLCK;
    // What comes late interrupts the wait that was, if anything.
    auto unlocking = std::make_shared<std::uint64_t>(0);
    co_return co_await kernel().lock(on, in, false, unlocking);
}

}  // namespace weft::sim
