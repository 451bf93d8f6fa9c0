// What clients were told of their requests, in the index: who lost its session, because compute was
// restarted or the connection went, sends again what was not answered, and it is not done twice.
// docs/decisions/0008-replies-in-the-index.md.
#include "model/layout/keys.h"
#include "roles/compute/core_internal.h"

namespace weft::compute {
namespace {

// Longer than any client tries again: programs wait 120 s.
constexpr Nanos kForgetAfter = 600 * kSecond;

FileId told_of(const ReplyRecord& known) {
    return {known.filesystem, known.inode};
}

}  // namespace

void Core::remember(Change& change, const Caller& caller, FileId of, std::uint64_t count) {
    if (caller.seq == 0 || caller.client == 0) return;
    ReplyRecord record{caller.seq, of.filesystem, of.inode, count};
    Batch& batch = change.on(shard_of_client(caller.client));
    batch.put(keys::reply(caller.client, caller.seq % kReplySlots), encode(record));
}

Task<std::optional<ReplyRecord>> Core::find_reply(std::uint64_t client, std::uint64_t seq) {
    Shard& in = shard(shard_of_client(client));
    auto value = co_await in.index.get(keys::reply(client, seq % kReplySlots));
    if (value.code() == Code::not_found) co_return std::optional<ReplyRecord>();
    if (!value.ok()) co_return value.error();
    auto record = decode_reply(value.value());
    if (!record.has_value()) co_return Error{Code::corrupt, "compute.reply"};
    if (record->seq != seq) co_return std::optional<ReplyRecord>();
    // Committed, for all that is known here; the client must not hear of it before it is.
    co_await or_return(co_await settled(journal.last_appended()));
    co_return record;
}

template <>
Task<Done> Core::tell_again<Done>(Caller, ReplyRecord) {
    co_return Done{};
}

template <>
Task<Node> Core::tell_again<Node>(Caller caller, ReplyRecord known) {
    FileId of = told_of(known);
    InodePin inode = co_await or_return(co_await pin(of));
    co_await or_return(co_await recall_for_look(caller.session, inode));
    Node node = look(caller.session, inode);
    Lsn seen = inode->changed;
    co_return co_await answer(caller.session, inode, std::move(node), seen);
}

template <>
Task<Opened> Core::tell_again<Opened>(Caller caller, ReplyRecord known) {
    FileId of = told_of(known);
    InodePin inode = co_await or_return(co_await pin(of));
    Opened told;
    told.handle = co_await or_return(add_handle(caller.session, inode));
    told.node = co_await or_return(co_await tell_again<Node>(caller, known));
    co_return told;
}

// A copy of fewer bytes than asked for: whoever wants the rest asks for it.
template <>
Task<std::uint64_t> Core::tell_again<std::uint64_t>(Caller, ReplyRecord known) {
    co_return known.count;
}

bool Core::is_old_reply(std::string_view key) const {
    auto client = keys::parse_reply(key);
    if (!client.has_value()) return false;
    auto found = clients.find(*client);
    if (found == clients.end()) return reactor.now() - opened_at > kForgetAfter;
    return found->second.sessions == 0 && reactor.now() - found->second.last_ended > kForgetAfter;
}

void Core::note_client(std::uint64_t client) {
    if (client == 0) return;
    std::erase_if(clients, [now = reactor.now()](const auto& each) {
        return each.second.sessions == 0 && now - each.second.last_ended > kForgetAfter;
    });
    ++clients[client].sessions;
}

void Core::note_client_gone(std::uint64_t client) {
    if (client == 0) return;
    ClientUse& use = clients.at(client);
    --use.sessions;
    use.last_ended = reactor.now();
}

}  // namespace weft::compute
