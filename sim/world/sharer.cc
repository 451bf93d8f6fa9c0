#include "sim/world/sharer.h"

#include "platform/base/bytes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <utility>

namespace weft::sim {
namespace {

using Kind = Commons::Kind;
using ValueBytes = std::array<std::byte, 8>;

constexpr const char* kXattr = "user.register";
constexpr Nanos kLeftLookEvery = 100 * kMicrosecond;
constexpr std::uint64_t kLateMost = 2 * kMillisecond;
constexpr Nanos kPause = 10 * kMillisecond;
// A client that nobody tells finds out by asking: half a second, and 4 s without an answer. Long
// before that it uses nothing any more that it has cached.
constexpr Nanos kKnowsWithin = 6 * kSecond;

// A record is filled with what its value makes; 0 is a hole.
std::vector<std::byte> bytes_of_value(Kind kind, std::uint64_t value) {
    auto first = std::bit_cast<ValueBytes>(value);
    std::vector<std::byte> bytes(first.begin(), first.end());
    if (kind != Kind::record) return bytes;
    bytes.resize(kRecordBytes);
    for (std::uint64_t at = first.size(); value != 0 && at < kRecordBytes; ++at) {
        bytes[at] = static_cast<std::byte>(fill(value, at));
    }
    return bytes;
}

std::uint64_t value_of_bytes(const std::vector<std::byte>& bytes) {
    ValueBytes first{};
    std::copy_n(bytes.begin(), first.size(), first.begin());
    return std::bit_cast<std::uint64_t>(first);
}

bool is_of_file(Kind kind) {
    return kind == Kind::data || kind == Kind::record;
}

std::uint64_t parse(const std::string& text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

Sharer::Sharer(Commons& commons, std::uint64_t seed, std::uint32_t number)
    : commons_(commons), number_(number), random_(seed * 0x9e3779b97f4a7c15ULL + number + 77) {}

Task<Done> Sharer::come(std::unique_ptr<Way> way) {
    way_ = std::move(way);
    seq_ = 0;
    return open_session();
}

Task<Done> Sharer::open_session() {
    if (gate_ == nullptr) gate_ = std::make_unique<Gate>(commons_.reactor_);
    weft::Client client;
    client.last_seq = seq_;
    client.locks_held = held_.size();
    Result<SessionId> opened = Error{Code::retry_later, "sim.session"};
    for (;;) {
        session_power_losses_ = commons_.power_losses_;
        opened = co_await way_->open_session(this, client);
        if (opened.ok() || !way_->far()) break;
        co_await sleep(commons_.reactor_, kPause);
    }
    session_ = co_await or_return(std::move(opened));
    if (!way_->far()) seq_ = 0;
    ended_ = false;
    co_return Done{};
}

bool Sharer::lost(Code code) {
    bool over = code == Code::fenced || code == Code::retry_later || code == Code::unavailable;
    if (!way_->far() || !over) return false;
    if (!ended_) session_ended();
    return true;
}

void Sharer::notice() {
    if (!ended_ && (way_->closed() || unaware())) session_ended();
}

bool Sharer::unaware() {
    auto over = way_->over(session_);
    if (!over.has_value()) return false;
    bool late = commons_.reactor_.now() - over->since > kKnowsWithin;
    if (late && !ended_ && !way_->closed()) {
        commons_.fail("sharer" + std::to_string(number_) + " is not told that its session is over");
    }
    return true;
}

Caller Sharer::caller() {
    Caller made;
    made.session = session_;
    made.seq = ++seq_;
    return made;
}

void Sharer::forget() {
    gate_.reset();
    session_ended();
    drop_grips();
    held_.clear();
    recalls_.clear();
    way_.reset();
}

// What was buffered may never have been.
void Sharer::session_ended() {
    ended_ = true;
    // What is on its way was granted under this session.
    for (auto& [file, count] : recalls_) ++count;
    cached_.clear();
    directory_leased_ = false;
    for (std::size_t number : buffered_.unsent) {
        buffered_.at->history.end_write(number, RegisterHistory::kNever);
    }
    buffered_ = Buffered();
    left_handles_.clear();
    if (way_ != nullptr && !way_->far()) drop_grips();
}

void Sharer::term_ended() {
    (void)covered();
}

// As a frontend does: what is buffered stays to be sent, under the session if that goes on.
bool Sharer::covered() {
    const LeaseTerm* term = way_ == nullptr ? nullptr : way_->lease_term();
    Reactor* clock = way_ == nullptr ? nullptr : way_->clock();
    Nanos now = clock != nullptr ? clock->now() : commons_.reactor_.now();
    bool covers = term == nullptr || term->covers(now);
    if (std::exchange(covered_, covers) == covers) return covers;
    for (auto& [file, count] : recalls_) ++count;
    cached_.clear();
    directory_leased_ = false;
    return covers;
}

// True if it went well, or if that it did not is no news.
bool Sharer::goes_on(Code code, const char* what) {
    if (code == Code::ok) return true;
    if (lost(code)) return false;
    if (!ended_ && !commons_.left_) {
        std::string said(name_of(code));
        commons_.fail("sharer" + std::to_string(number_) + ": " + what + ": " + said);
    }
    return false;
}

FileId Sharer::leased_by(const Register& at) const {
    return at.kind == Kind::name ? commons_.directory_ : at.file;
}

void Sharer::drop_caches_of(FileId file) {
    ++recalls_[file];
    if (file == commons_.directory_) directory_leased_ = false;
    std::erase_if(cached_, [&](const auto& each) { return leased_by(*each.first) == file; });
}

Task<Done> Sharer::act() {
    while (!commons_.pausing_ && commons_.failure_.empty()) {
        if (!ended_ && way_->closed()) session_ended();
        if (ended_) co_await or_return(co_await open_session());
        auto done = co_await step();
        commons_.tally_->count(done.code());
        bool news = !goes_on(done.code(), "step");
        if (news && !ended_) co_return Done{};
        auto pause = static_cast<std::uint64_t>(commons_.pause_most_);
        if (pause > 0) co_await sleep(commons_.reactor_, static_cast<Nanos>(below(pause)));
    }
    if (ended_) co_return Done{};
    auto given = co_await give_back();
    (void)lost(given.code());
    co_return Done{};
}

// Most are records, where there are some.
Commons::Register* Sharer::choose_register() {
    bool records = commons_.sharing_ == Sharing::records && !one_in(4);
    std::size_t own = kRecordsOfEach * commons_.sharers_.size();
    std::size_t first = records ? commons_.registers_.size() - own : 0;
    return &commons_.registers_[first + below(commons_.registers_.size() - first)];
}

Task<Done> Sharer::step() {
    bool files = commons_.sharing_ == Sharing::small_files && !one_in(4);
    if (files) return use_small_files();
    Register* at = choose_register();
    bool buffers = buffered_.at != nullptr;
    switch (below(20)) {
        case 0:
            return commons_.never_syncs_ ? read(at) : sync();
        case 1:
        case 2:
            return use_lock();
        case 3:
            return buffers ? give_back() : take_write_lease(at);
        case 4:
        case 5:
        case 6:
        case 7:
        case 8:
        case 9:
            return write(buffers && one_in(2) ? buffered_.at : at);
        default:
            return read(buffers && one_in(4) ? buffered_.at : at);
    }
}

Task<Done> Sharer::until_left() {
    while (buffered_.leaving) co_await sleep(commons_.reactor_, kLeftLookEvery);
    co_return Done{};
}

Task<Done> Sharer::send(Register* at, std::uint64_t value) {
    ComputeService& compute = way_->compute();
    if (is_of_file(at->kind)) {
        std::vector<std::byte> bytes = bytes_of_value(at->kind, value);
        ConstBytes from(bytes);
        co_await or_return(
            co_await compute.write(caller(), at->file, at->offset, from, false, false));
        co_return Done{};
    }
    if (at->kind == Kind::mtime) {
        AttributeChange change;
        change.mtime = Timestamp{static_cast<std::int64_t>(value), 0};
        co_await or_return(co_await compute.setattr(caller(), at->file, change));
        co_return Done{};
    }
    std::string text = std::to_string(value);
    co_return co_await compute.setxattr(caller(), at->file, kXattr, text, SetXattr::any);
}

Task<Done> Sharer::replace_name(Register* at) {
    ComputeService& compute = way_->compute();
    NewNode what;
    what.mode = 0100644;
    std::string fresh = "t" + std::to_string(++commons_.last_value_);
    FileId directory = commons_.directory_;
    Node node = co_await or_return(co_await compute.create(caller(), directory, fresh, what));
    std::size_t number = at->history.begin_write(node.inode.value, commons_.tick());
    std::uint64_t losses = commons_.power_losses_;
    drop_caches_of(directory);
    co_await or_return(
        co_await compute.rename(caller(), directory, fresh, directory, at->name, RenameFlags()));
    if (is_kept(losses)) at->history.end_write(number, commons_.tick());
    co_return Done{};
}

Task<Done> Sharer::write(Register* at) {
    co_await or_return(co_await until_left());
    if (at->kind == Kind::name) co_return co_await replace_name(at);
    bool others = at->kind == Kind::record && at->owner != number_;
    if (others) co_return co_await read(at);
    std::uint64_t value = ++commons_.last_value_;
    std::size_t number = at->history.begin_write(value, commons_.tick());
    if (buffered_.at == at && !covered()) co_await or_return(co_await give_back());
    if (buffered_.at == at) {
        cached_.erase(at);
        buffered_.value = value;
        buffered_.unsent.push_back(number);
        at->history.end_buffered_write(number, commons_.tick());
        co_await sleep(commons_.reactor_, kMicrosecond);
        co_return Done{};
    }
    std::uint64_t losses = commons_.power_losses_;
    drop_caches_of(at->file);
    co_await or_return(co_await send(at, value));
    if (is_kept(losses)) at->history.end_write(number, commons_.tick());
    co_return Done{};
}

// With whether it may be cached, from the lease that came with it.
Task<std::uint64_t> Sharer::fetch(Register* at, bool* may_keep) {
    ComputeService& compute = way_->compute();
    if (at->kind == Kind::name) co_return co_await fetch_name(at, may_keep);
    if (is_of_file(at->kind)) {
        std::vector<std::byte> bytes = bytes_of_value(at->kind, 0);
        Bytes into(bytes);
        ReadReply reply =
            co_await or_return(co_await compute.read(caller(), at->file, at->offset, into));
        *may_keep = reply.node.lease >= LeaseMode::read;
        std::uint64_t value = value_of_bytes(bytes);
        bool whole = bytes == bytes_of_value(at->kind, value);
        if (!whole) commons_.fail("a record of " + at->name + " is of more than one write");
        co_return value;
    }
    if (at->kind == Kind::mtime) {
        Node node = co_await or_return(co_await compute.getattr(caller(), at->file));
        *may_keep = node.lease >= LeaseMode::read;
        co_return static_cast<std::uint64_t>(node.attributes.mtime.seconds);
    }
    std::string text = co_await or_return(co_await compute.getxattr(caller(), at->file, kXattr));
    *may_keep = false;
    co_return parse(text);
}

// Names are cached under a lease on their directory that was there before.
Task<std::uint64_t> Sharer::fetch_name(Register* at, bool* may_keep) {
    ComputeService& compute = way_->compute();
    FileId directory = commons_.directory_;
    if (!directory_leased_) {
        std::uint64_t seen = recalls_[directory];
        Node node = co_await or_return(co_await compute.getattr(caller(), directory));
        directory_leased_ =
            covered() && node.lease >= LeaseMode::read && undisturbed(directory, seen);
    }
    *may_keep = directory_leased_;
    Node node = co_await or_return(co_await compute.lookup(caller(), directory, at->name));
    co_return node.inode.value;
}

Task<std::uint64_t> Sharer::look(Register* at) {
    bool may_use = covered();
    auto known = cached_.find(at);
    if (may_use && known != cached_.end()) co_return known->second;
    FileId file = leased_by(*at);
    std::uint64_t seen = recalls_[file];
    bool may_keep = false;
    std::uint64_t value = co_await or_return(co_await fetch(at, &may_keep));
    if (covered() && may_keep && undisturbed(file, seen) && !ended_) cached_[at] = value;
    co_return value;
}

Task<std::uint64_t> Sharer::look_surely(Register* at) {
    for (;;) {
        notice();
        if (ended_) co_await or_return(co_await open_session());
        auto value = co_await look(at);
        if (!lost(value.code())) co_return value;
    }
}

// What it has buffered itself is no news to anybody.
Task<Done> Sharer::read(Register* at) {
    co_await or_return(co_await until_left());
    if (buffered_.at == at && !covered()) co_await or_return(co_await give_back());
    if (buffered_.at == at && buffered_.value.has_value()) {
        co_await sleep(commons_.reactor_, kMicrosecond);
        co_return Done{};
    }
    RegisterHistory::Moment begin = commons_.tick();
    std::uint64_t losses = commons_.power_losses_;
    std::uint64_t value = co_await or_return(co_await look(at));
    bool judged = is_kept(losses);
    if (judged) at->history.read(value, begin, commons_.tick());
    co_await sleep(commons_.reactor_, kMicrosecond);
    co_return Done{};
}

Task<Done> Sharer::take_write_lease(Register* at) {
    co_await or_return(co_await until_left());
    bool others = at->kind == Kind::record && at->owner != number_;
    if (buffered_.at != nullptr || others || at->kind == Kind::name || at->kind == Kind::xattr) {
        co_return Done{};
    }
    ComputeService& compute = way_->compute();
    std::uint64_t seen = recalls_[at->file];
    Opened opened = co_await or_return(co_await compute.open(caller(), at->file, LeaseMode::write));
    bool given = covered() && opened.node.lease == LeaseMode::write && undisturbed(at->file, seen);
    if (!given) co_return co_await compute.release(caller(), at->file, opened.handle);
    buffered_.at = at;
    buffered_.handle = opened.handle;
    std::erase_if(cached_, [at](const auto& each) { return each.first == at; });
    co_return Done{};
}

// Sends what is buffered, and keeps nothing of the register.
Task<Done> Sharer::flush() {
    buffered_.leaving = true;
    Register* at = buffered_.at;
    Result<Done> sent = Done{};
    if (buffered_.value.has_value()) sent = co_await send(at, *buffered_.value);
    if (buffered_.at != at || lost(sent.code())) co_return sent;  // The session has ended.
    if (sent.ok()) {
        RegisterHistory::Moment now = commons_.tick();
        for (std::size_t number : buffered_.unsent) at->history.send_buffered_write(number, now);
        buffered_.unsent.clear();
    }
    left_handles_.push_back(buffered_.handle);
    if (sent.ok()) buffered_ = Buffered();
    co_return sent;
}

Task<Done> Sharer::give_back() {
    co_await or_return(co_await until_left());
    ComputeService& compute = way_->compute();
    if (buffered_.at != nullptr) {
        FileId file = buffered_.at->file;
        co_await or_return(co_await flush());
        co_await or_return(co_await compute.release_lease(caller(), file, LeaseMode::none));
        drop_caches_of(file);
    }
    while (!left_handles_.empty()) {
        std::uint64_t handle = left_handles_.back();
        left_handles_.pop_back();
        co_await or_return(co_await compute.release(caller(), FileId(), handle));
    }
    co_return Done{};
}

// Sometimes late, and once in a while never: then the session ends. What is cached may be
// used until this ends.
Task<Done> Sharer::recall(Recall recall) {
    ++recalls_[recall.file];
    bool deaf = one_in(200);
    while (deaf && !ended_ && !way_->closed()) co_await sleep(commons_.reactor_, kMillisecond);
    if (one_in(3)) co_await sleep(commons_.reactor_, static_cast<Nanos>(below(kLateMost)));
    bool buffers = buffered_.at != nullptr && buffered_.at->file == recall.file;
    if (buffers && recall.keep != LeaseMode::write) {
        if (!buffered_.leaving && gate_ != nullptr) gate_->spawn(flush());
        co_await or_return(co_await until_left());
    }
    drop_caches_of(recall.file);
    co_return Done{};
}

Task<Done> Sharer::sync() {
    if (buffered_.at != nullptr) co_await or_return(co_await give_back());
    RegisterHistory::Moment begin = commons_.tick();
    FilesystemId filesystem = commons_.directory_.filesystem;
    co_await or_return(co_await way_->compute().sync(caller(), filesystem));
    commons_.synced_ = std::max(commons_.synced_, begin);
    co_return Done{};
}

}  // namespace weft::sim
