#include "sim/world/mounts.h"

#include "sim/world/commons.h"
#include "sim/world/found_or_made.h"
#include "sim/world/program.h"

#include <algorithm>
#include <cstdio>
#include <set>

namespace weft::sim {
namespace {

constexpr const char* kDirectory = "mounts";
constexpr std::uint64_t kFileBytes = 20 * kKiB;
constexpr std::uint32_t kPageBytes = 2048;
constexpr std::uint64_t kLives = 2;
constexpr std::uint32_t kPrograms = 2;  // A mount.

// What is written behind, with the process that it lies in.
bool may_lie_in_a_mount(Mounts::Kind kind) {
    return kind == Mounts::Kind::data || kind == Mounts::Kind::mtime;
}

}  // namespace

std::vector<Mounts::Register> Mounts::make_registers() {
    std::vector<Register> made;
    auto add = [&made](Kind kind, const char* name, std::uint64_t offset) {
        Register each;
        each.kind = kind;
        each.name = name;
        each.offset = offset;
        made.push_back(std::move(each));
    };
    add(Kind::data, "d0", 0);
    add(Kind::data, "d0", 8);
    add(Kind::data, "d0", kBlockBytes + 100);
    add(Kind::data, "d1", 0);
    add(Kind::size, "s", 0);
    add(Kind::mtime, "m", 0);
    add(Kind::name, "n0", 0);
    add(Kind::name, "n1", 0);
    return made;
}

Mounts::Mounts(SimulatedReactor& reactor, std::uint64_t seed, const MountSettings& settings)
    : reactor_(reactor), settings_(settings), seed_(seed) {
    if (settings_.count == 0) return;
    registers_ = make_registers();
    lives_.resize(kLives);
    for (Life& life : lives_) renew(life);
    std::uint32_t programs = settings_.count * kPrograms;
    for (std::uint32_t i = 0; i < programs; ++i) {
        std::uint64_t of_its_own = seed * 0x9e3779b97f4a7c15ULL + 7000 + i;
        programs_.push_back(std::make_unique<Program>(*this, i % settings_.count, i, of_its_own));
    }
}

Mounts::~Mounts() {
    forget();
}

Task<Done> Mounts::make_register(Caller caller, Register* made) {
    FoundOrMade there = co_await or_return(
        co_await find_or_make(compute_, caller, directory_, made->name, 0100644));
    const Node& node = there.node;
    // The second of a file finds it there, and has its first value as well.
    bool begins = made->synced == 0 && moment_ == 0;
    if (!begins) co_return Done{};
    made->history.reset(made->kind == Kind::name ? node.inode.value : 0);
    AttributeChange change;
    if (made->kind == Kind::mtime) change.mtime = Timestamp();
    if (made->kind == Kind::data) change.size = kFileBytes;
    caller.seq += 100;
    FileId file{directory_.filesystem, node.inode};
    co_await or_return(co_await compute_->setattr(caller, file, change));
    co_return Done{};
}

Task<Done> Mounts::make(SessionId session) {
    Caller caller;
    caller.session = session;
    FileId root{directory_.filesystem, kRootInode};
    caller.seq = 1;
    FoundOrMade there =
        co_await or_return(co_await find_or_make(compute_, caller, root, kDirectory, 0040755));
    directory_.inode = there.node.inode;
    for (Register& each : registers_) {
        ++caller.seq;
        co_await or_return(co_await make_register(caller, &each));
    }
    // From here on all of this counts as synced.
    co_return co_await compute_->sync(caller, directory_.filesystem);
}

Task<Done> Mounts::open(compute::ComputeRole* compute, FilesystemId filesystem, MakeWay make_way) {
    compute_ = compute;
    directory_.filesystem = filesystem;
    if (settings_.count == 0) co_return Done{};
    NoSharer nobody;
    SessionId session = co_await or_return(compute_->open_session(&nobody));
    co_await or_return(co_await make(session));
    co_await or_return(co_await compute_->close_session(session));
    hosts_in_use_.clear();
    sessions_seen_.assign(settings_.count, 1);
    for (std::uint32_t number = 0; number < settings_.count; ++number) {
        std::unique_ptr<Way> way = make_way(number);
        Task<Done> begun = begin_mount(std::move(way));
        co_await or_return(co_await begun);
    }
    tick();
    co_return Done{};
}

Task<Done> Mounts::begin_mount(std::unique_ptr<Way> way) {
    hosts_.push_back(std::make_unique<MountHost>(reactor_, std::move(way)));
    MountHost* host = hosts_.back().get();
    hosts_in_use_.push_back(host);
    std::uint64_t client = ++last_client_;
    mounts_.push_back(
        std::make_unique<Mount>(seed_ + client, settings_, *host, directory_.filesystem));
    Mount* mount = mounts_.back().get();
    co_return co_await mount->begin(client);
}

void Mounts::begin(Gate* gate) {
    pausing_ = false;
    paused_ = 0;
    gate_ = gate;
    for (auto& program : programs_) gate->spawn(program->act());
}

void Mounts::say(std::uint32_t mount, const Register& at, const char* what,
                 std::uint64_t value) const {
    if (!telling_) return;
    std::fprintf(stderr, "%12lld us: %llu: mount%u %s %s at %llu: %llu\n",
                 static_cast<long long>(reactor_.now() / kMicrosecond),
                 static_cast<unsigned long long>(moment_), mount, what, at.name.c_str(),
                 static_cast<unsigned long long>(at.offset),
                 static_cast<unsigned long long>(value));
}

void Mounts::note_pause() {
    ++paused_;
    if (paused_ == programs_.size()) sent_ = tick();
}

void Mounts::note_losses() {
    for (std::uint32_t i = 0; i < hosts_in_use_.size(); ++i) {
        std::uint64_t sessions = hosts_in_use_[i]->sessions();
        if (sessions == sessions_seen_[i]) continue;
        sessions_seen_[i] = sessions;
        for (Register& at : registers_) {
            if (may_lie_in_a_mount(at.kind)) at.history.lose_of(i + 1, at.synced);
        }
    }
}

std::optional<std::uint64_t> Mounts::all_sessions() const {
    std::uint64_t sessions = 0;
    for (const MountHost* host : hosts_in_use_) {
        if (host->session_is_over()) return std::nullopt;
        sessions += host->sessions();
    }
    return sessions;
}

void Mounts::interrupt_later(std::uint32_t mount, std::shared_ptr<std::uint64_t> request,
                             std::uint64_t after) {
    gate_->spawn(interrupt(mounts_[mount].get(), std::move(request), static_cast<Nanos>(after)));
}

Task<Done> Mounts::interrupt(Mount* mount, std::shared_ptr<std::uint64_t> request, Nanos after) {
    co_await sleep(reactor_, after);
    mount->kernel().channel().interrupt(*request);
    co_return Done{};
}

void Mounts::forget() {
    for (auto& program : programs_) program->forget();
    grips_.clear();
    being_written_.clear();
    mounts_.clear();
    for (MountHost* host : hosts_in_use_) host->end_way();
    hosts_in_use_.clear();
}

Task<Done> Mounts::leave() {
    for (auto& program : programs_) {
        auto closed = co_await program->close_all();
        if (!closed.ok()) co_return closed;
    }
    for (auto& mount : mounts_) {
        Mount* each = mount.get();
        co_await or_return(co_await each->end());
    }
    sent_ = tick();
    co_return Done{};
}

// What is gone may not be yet.
bool Mounts::may_have_too_many_links() const {
    auto links = static_cast<std::uint32_t>(std::ranges::count(lives_, true, &Life::is_link));
    return 1 + links > settings_.links_most;
}

void Mounts::renew(Life& life) {
    if (life.made) former_names_.push_back(life.name);
    life = Life();
    life.name = "l" + std::to_string(++last_value_);
}

void Mounts::probed(Life& life, bool there, Moment begin, Moment end) {
    if (there) {
        if (life.gone_from < begin) fail("name " + life.name + " is there and was removed");
        life.there_from = std::min(life.there_from, end);
        return;
    }
    if (begin <= life.there_from) return;
    if (end < life.there_to) fail("name " + life.name + " is not there");
    life.gone_from = std::min(life.gone_from, end);
}

Task<Done> Mounts::settle_register(Register* at, Lost lost) {
    if (lost == Lost::power) at->history.lose(at->synced);
    bool in_mounts = lost == Lost::process && may_lie_in_a_mount(at->kind);
    if (in_mounts) at->history.lose(std::max(at->synced, sent_));
    std::uint64_t value = 0;
    for (std::uint32_t i = 0; i < mounts_.size(); ++i) {
        Moment begin = tick();
        value = co_await or_return(co_await programs_[i]->look_surely(at));
        note_losses();
        say(i, *at, "settles", value);
        bool is_a_value = at->kind != Kind::mtime || value < 1'000'000'000;
        if (is_a_value) at->history.read(value, begin, tick(), i + 1);
    }
    std::string wrong = at->history.check();
    if (!wrong.empty()) fail("register " + at->name + ": " + wrong);
    // A start flushes what it has read; what is only looked at is no more durable for it.
    if (lost == Lost::nothing) co_return Done{};
    at->history.reset(value);
    at->synced = 0;
    co_return Done{};
}

Task<Done> Mounts::settle_lives(Lost lost) {
    for (std::size_t i = 0; i < lives_.size(); ++i) {
        Life& life = lives_[i];
        bool there = false;
        for (std::uint32_t mount = 0; mount < mounts_.size(); ++mount) {
            Moment begin = tick();
            there = co_await or_return(co_await programs_[mount]->sees_surely(life.name));
            if (lost != Lost::power) probed(life, there, begin, tick());
        }
        if (lost == Lost::nothing) continue;
        if (there) co_await or_return(co_await programs_[0]->clear(life.name));
        renew(life);
    }
    if (lost == Lost::nothing) co_return Done{};
    // With power goes, perhaps, that a name was removed.
    for (const std::string& name : std::exchange(former_names_, {})) {
        bool there = co_await or_return(co_await programs_[0]->sees_surely(name));
        if (there) co_await or_return(co_await programs_[0]->clear(name));
    }
    co_return Done{};
}

Task<Done> Mounts::settle(Lost lost) {
    if (settings_.count == 0) co_return Done{};
    for (std::size_t i = 0; i < registers_.size(); ++i) {
        co_await or_return(co_await settle_register(&registers_[i], lost));
    }
    co_await or_return(co_await settle_lives(lost));
    co_return co_await count_inodes();
}

Task<Done> Mounts::count_inodes() {
    NoSharer nobody;
    Caller caller;
    caller.session = co_await or_return(compute_->open_session(&nobody));
    std::set<std::uint64_t> inodes{directory_.inode.value};
    std::uint64_t cookie = 0;
    for (bool end = false; !end;) {
        auto page = co_await or_return(
            co_await compute_->readdir(caller, directory_, cookie, kPageBytes, false));
        for (const DirectoryItem& item : page.items) {
            cookie = item.cookie;
            if (item.name != "..") inodes.insert(item.node.inode.value);
        }
        end = page.end;
    }
    inode_count_ = inodes.size();
    co_return co_await compute_->close_session(caller.session);
}

}  // namespace weft::sim
