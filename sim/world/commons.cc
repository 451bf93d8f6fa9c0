#include "sim/world/commons.h"

#include "sim/world/found_or_made.h"
#include "sim/world/sharer.h"

#include <array>

namespace weft::sim {
namespace {

constexpr std::uint32_t kPageBytes = 2048;

}  // namespace

Commons::Commons(SimulatedReactor& reactor, std::uint64_t seed, std::uint32_t sharers,
                 Sharing sharing)
    : reactor_(reactor), sharing_(sharing) {
    for (std::uint32_t i = 0; i < sharers; ++i) {
        sharers_.push_back(std::make_unique<Sharer>(*this, seed, i));
    }
    constexpr std::array<std::uint64_t, 3> kOffsets = {0, 4092, kMiB - 4};
    for (std::uint64_t offset : kOffsets) {
        registers_.push_back({Kind::data, "d" + std::to_string(offset), {}, offset});
    }
    registers_.push_back({Kind::mtime, "m", {}, 0});
    registers_.push_back({Kind::xattr, "x", {}, 0});
    registers_.push_back({Kind::name, "n0", {}, 0});
    registers_.push_back({Kind::name, "n1", {}, 0});
    std::uint32_t records = sharing == Sharing::records ? kRecordsOfEach * sharers : 0;
    for (std::uint32_t i = 0; i < records; ++i) {
        registers_.push_back({Kind::record, "records", {}, i * kRecordBytes, i % sharers});
    }
}

Commons::~Commons() = default;

Task<Done> Commons::make_register(Caller caller, Register* made) {
    FoundOrMade there = co_await or_return(
        co_await find_or_make(compute_, caller, directory_, made->name, 0100644));
    const Node& node = there.node;
    if (made->kind != Kind::name) made->file = {directory_.filesystem, node.inode};
    if (!there.fresh) co_return Done{};
    made->history.reset(0);
    if (made->kind == Kind::name) made->history.reset(node.inode.value);
    if (made->kind == Kind::mtime) {
        AttributeChange change;
        change.mtime = Timestamp();
        caller.seq += 100;
        co_await or_return(co_await compute_->setattr(caller, made->file, change));
    }
    if (made->kind == Kind::xattr) {
        caller.seq += 100;
        co_await or_return(
            co_await compute_->setxattr(caller, made->file, "user.register", "0", SetXattr::any));
    }
    if (made->kind == Kind::data || made->kind == Kind::record) {
        std::uint64_t records = kRecordsOfEach * sharers_.size();
        AttributeChange change;
        change.size = made->offset + sizeof(std::uint64_t);
        if (made->kind == Kind::record) change.size = records * kRecordBytes;
        caller.seq += 100;
        co_await or_return(co_await compute_->setattr(caller, made->file, change));
    }
    co_return Done{};
}

Task<Done> Commons::make(SessionId session) {
    Caller caller;
    caller.session = session;
    FileId root{directory_.filesystem, kRootInode};
    caller.seq = 1;
    FoundOrMade there =
        co_await or_return(co_await find_or_make(compute_, caller, root, "commons", 0040755));
    directory_.inode = there.node.inode;
    for (Register& each : registers_) {
        ++caller.seq;
        co_await or_return(co_await make_register(caller, &each));
    }
    // From here on all of this counts as synced.
    co_return co_await compute_->sync(caller, directory_.filesystem);
}

Task<Done> Commons::open(compute::ComputeRole* compute, FilesystemId filesystem, MakeWay make_way) {
    compute_ = compute;
    directory_.filesystem = filesystem;
    if (sharers_.empty()) co_return Done{};
    NoSharer nobody;
    SessionId session = co_await or_return(compute_->open_session(&nobody));
    co_await or_return(co_await make(session));
    co_await or_return(co_await compute_->close_session(session));
    std::uint32_t number = 0;
    for (auto& sharer : sharers_) {
        std::unique_ptr<Way> way = make_way(number++);
        co_await or_return(co_await sharer->come(std::move(way)));
    }
    co_return Done{};
}

void Commons::begin(Gate* gate) {
    pausing_ = false;
    for (auto& sharer : sharers_) gate->spawn(sharer->act());
}

void Commons::limit_locks(std::size_t most) {
    constexpr std::size_t kLocksOfEach = 2;
    // What might split another has to have room for the pieces.
    locks_run_out_ = kLocksOfEach * sharers_.size() + 1 > most;
}

void Commons::compute_ends() {
    std::erase_if(grips_, [](const Grip& grip) { return !grip.by->still_has(grip); });
    lock_grace_ends_ = INT64_MAX;
}

void Commons::compute_begins(compute::ComputeRole* compute, Nanos lock_grace_ends) {
    compute_ = compute;
    lock_grace_ends_ = lock_grace_ends;
}

void Commons::lose_power() {
    ++power_losses_;
    for (Register& at : registers_) at.history.lose(synced_);
    for (SmallFile& file : small_files_) {
        if (file.changed > synced_) file.state = SmallFile::State::unsure;
    }
}

void Commons::forget() {
    for (auto& sharer : sharers_) sharer->forget();
}

Task<std::set<std::string>> Commons::list(ComputeService* compute, Caller caller) {
    std::set<std::string> names;
    std::uint64_t cookie = 0;
    for (bool end = false; !end;) {
        auto page = co_await or_return(
            co_await compute->readdir(caller, directory_, cookie, kPageBytes, false));
        for (const DirectoryItem& item : page.items) {
            cookie = item.cookie;
            if (item.name != "." && item.name != "..") names.insert(item.name);
        }
        end = page.end;
    }
    co_return names;
}

// Each is where its owner knows it to be; those of which it does not know are left alone from
// here on.
Task<Done> Commons::settle_small_files(Lost lost) {
    using State = SmallFile::State;
    std::size_t reader = 0;
    for (SmallFile& file : small_files_) {
        bool lasts = lost != Lost::power || file.changed <= synced_;
        if (!lasts) file.state = State::unsure;
        bool there = names_.contains(file.name);
        if (file.state == State::gone && there) fail(file.name + " is there, and was removed");
        if (file.state != State::there) {
            file.state = State::unsure;
            continue;
        }
        if (!there) fail(file.name + " is not there");
        Sharer& by = *sharers_[++reader % sharers_.size()];
        co_await or_return(co_await by.look_at_file(&file));
        if (lost != Lost::nothing) file.changed = 0;
    }
    std::erase_if(small_files_, [](const auto& file) { return file.state == State::unsure; });
    co_return Done{};
}

Task<Done> Commons::settle(Lost lost) {
    if (sharers_.empty()) co_return Done{};
    for (auto& sharer : sharers_) {
        sharer->notice();
        bool closed = sharer->ended();
        if (closed) co_await or_return(co_await sharer->open_session());
    }
    for (Register& at : registers_) {
        if (lost == Lost::power) at.history.lose(synced_);
        std::uint64_t value = 0;
        for (auto& sharer : sharers_) {
            RegisterHistory::Moment begin = tick();
            value = co_await or_return(co_await sharer->look_surely(&at));
            at.history.read(value, begin, tick());
        }
        std::string wrong = at.history.check();
        if (!wrong.empty()) fail("register " + at.name + ": " + wrong);
        // A start flushes what it has read; what is only looked at is no more durable for it.
        if (lost != Lost::nothing) at.history.reset(value);
    }
    NoSharer nobody;
    Caller own;
    own.session = co_await or_return(compute_->open_session(&nobody));
    names_ = co_await or_return(co_await list(compute_, own));
    inode_count_ = 1 + names_.size();
    co_await or_return(co_await compute_->close_session(own.session));
    co_await or_return(co_await settle_small_files(lost));
    if (lost != Lost::nothing) synced_ = 0;
    co_return Done{};
}

}  // namespace weft::sim
