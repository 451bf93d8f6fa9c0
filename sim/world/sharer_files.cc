// Small files that their owners make and remove in the one directory, where all look at them.
#include "platform/base/bytes.h"
#include "platform/memory/buffer.h"
#include "sim/world/sharer.h"

#include <utility>

namespace weft::sim {
namespace {

using State = Commons::SmallFile::State;

constexpr std::size_t kFilesOfEach = 24;

std::string content_of_value(std::uint64_t value) {
    std::string content(kSmallFileBytes, '\0');
    for (std::uint64_t at = 0; at < content.size(); ++at) content[at] = fill(value, at);
    return content;
}

bool is_settled(State state) {
    return state == State::there || state == State::gone;
}

}  // namespace

Task<Done> Sharer::use_small_files() {
    std::vector<Commons::SmallFile*> own;
    for (auto& file : commons_.small_files_) {
        if (file.owner == number_ && file.state == State::there) own.push_back(&file);
    }
    bool removes = own.size() >= kFilesOfEach || (!own.empty() && one_in(6));
    if (removes) return remove_small_file(own[below(own.size())]);
    bool none = commons_.small_files_.empty();
    if (none || one_in(3)) return make_small_file();
    if (one_in(6)) return list_small_files();
    return probe_small_file(&commons_.small_files_[below(commons_.small_files_.size())]);
}

Task<Done> Sharer::make_small_file() {
    std::uint64_t value = ++commons_.last_value_;
    Commons::SmallFile fresh;
    fresh.name = "f" + std::to_string(number_) + "." + std::to_string(value);
    fresh.owner = number_;
    fresh.value = value;
    Commons::SmallFile* made = &commons_.small_files_.emplace_back(std::move(fresh));
    std::uint64_t losses = commons_.power_losses_;
    auto sent = co_await send_small_file(made);
    bool kept = sent.ok() && is_kept(losses);
    made->state = kept ? State::there : State::unsure;
    made->changed = commons_.tick();
    co_return sent;
}

Task<Done> Sharer::send_small_file(Commons::SmallFile* file) {
    ComputeService& compute = way_->compute();
    NewNode what;
    what.mode = 0100644;
    FileId directory = commons_.directory_;
    Opened opened = co_await or_return(
        co_await compute.create_open(caller(), directory, file->name, what, true));
    FileId made{directory.filesystem, opened.node.inode};
    std::string content = content_of_value(file->value);
    ConstBytes from = bytes_of(content);
    co_await or_return(co_await compute.write(caller(), made, 0, from, false, false));
    co_return co_await compute.release(caller(), made, opened.handle);
}

Task<Done> Sharer::remove_small_file(Commons::SmallFile* file) {
    file->state = State::going;
    std::uint64_t losses = commons_.power_losses_;
    auto removed = co_await way_->compute().unlink(caller(), commons_.directory_, file->name);
    bool kept = removed.ok() && is_kept(losses);
    file->state = kept ? State::gone : State::unsure;
    file->changed = commons_.tick();
    co_return removed;
}

// Fails with not_found or stale where there is none.
Task<std::string> Sharer::content_of(Commons::SmallFile* file) {
    ComputeService& compute = way_->compute();
    FileId directory = commons_.directory_;
    Node node = co_await or_return(co_await compute.lookup(caller(), directory, file->name));
    FileId found{directory.filesystem, node.inode};
    Buffer into(kSmallFileBytes + 1);
    Bytes bytes = into.bytes();
    ReadReply reply = co_await or_return(co_await compute.read(caller(), found, 0, bytes));
    co_return std::string(text_of(into.bytes().first(reply.count)));
}

// What its owner knows holds if nothing has changed while this looked.
Task<Done> Sharer::probe_small_file(Commons::SmallFile* file) {
    State before = file->state;
    std::uint64_t losses = commons_.power_losses_;
    auto content = co_await content_of(file);
    commons_.tally_->count(content.code());
    bool absent = content.code() == Code::not_found || content.code() == Code::stale;
    if (!content.ok() && !absent) co_return content.error();
    bool judged = is_settled(before) && file->state == before && is_kept(losses);
    if (!judged) co_return Done{};
    std::string who = "sharer" + std::to_string(number_) + ": " + file->name;
    if (absent != (before == State::gone)) {
        commons_.fail(who + (absent ? " is not there" : " is there, and was removed"));
    }
    bool right = absent || content.value() == content_of_value(file->value);
    if (!right) commons_.fail(who + " has not the content that was written");
    co_return Done{};
}

Task<Done> Sharer::look_at_file(Commons::SmallFile* file) {
    for (;;) {
        notice();
        if (ended_) co_await or_return(co_await open_session());
        auto looked = co_await probe_small_file(file);
        if (!lost(looked.code())) co_return looked;
    }
}

Task<Done> Sharer::list_small_files() {
    std::map<std::string, State> before;
    for (const auto& file : commons_.small_files_) before[file.name] = file.state;
    std::uint64_t losses = commons_.power_losses_;
    Caller by = caller();
    auto names = co_await or_return(co_await commons_.list(&way_->compute(), by));
    if (!is_kept(losses)) co_return Done{};
    for (const auto& file : commons_.small_files_) {
        auto known = before.find(file.name);
        bool judged =
            known != before.end() && known->second == file.state && is_settled(file.state);
        if (!judged) continue;
        bool there = names.contains(file.name);
        if (there == (file.state == State::there)) continue;
        commons_.fail("sharer" + std::to_string(number_) + ": the list has " +
                      (there ? "" : "not ") + file.name);
    }
    co_return Done{};
}

}  // namespace weft::sim
