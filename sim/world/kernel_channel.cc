#include "sim/world/kernel_channel.h"

#include "platform/base/bytes.h"
#include "platform/base/check.h"
#include "roles/frontend/fuse_wire.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace weft::sim {
namespace {

constexpr std::uint32_t kProgram = 42;

bool has_answer(std::uint32_t opcode) {
    return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

}  // namespace

std::uint64_t KernelChannel::put(const Request& request, bool first) {
    fuse_in_header header{};
    header.len = static_cast<std::uint32_t>(sizeof(header) + request.body.size());
    header.opcode = request.opcode;
    header.unique = last_unique_ += 2;
    header.nodeid = request.nodeid;
    header.pid = kProgram;
    std::string message(text_of(image_of(header)));
    message += request.body;
    if (first) {
        requests_.emplace_front(header.unique, std::move(message));
    } else {
        requests_.emplace_back(header.unique, std::move(message));
    }
    changed_.notify_all();
    return header.unique;
}

Task<KernelChannel::Answer> KernelChannel::ask(Request request, Apply apply) {
    auto call = std::make_shared<Call>();
    call->apply = std::move(apply);
    if (closed_) {
        call->answer.error = ECONNABORTED;
        if (call->apply) call->apply(call->answer);
        co_return call->answer;
    }
    std::uint64_t unique = put(request, false);
    if (request.unique != nullptr) *request.unique = unique;
    calls_[unique] = call;
    while (!call->ended) co_await changed_.wait();
    co_return std::move(call->answer);
}

void KernelChannel::tell(Request request) {
    if (closed_) return;
    std::uint64_t unique = put(request, false);
    if (has_answer(request.opcode)) calls_[unique] = std::make_shared<Call>();
}

void KernelChannel::interrupt(std::uint64_t unique) {
    if (closed_ || !calls_.contains(unique)) return;
    auto waiting = std::ranges::find(requests_, unique, [](const auto& one) { return one.first; });
    if (waiting != requests_.end()) {
        requests_.erase(waiting);
        end(unique, {EINTR, {}});
        return;
    }
    fuse_interrupt_in in{};
    in.unique = unique;
    put({FUSE_INTERRUPT, 0, std::string(text_of(image_of(in))), nullptr}, true);
}

Task<std::size_t> KernelChannel::receive(Bytes into) {
    while (requests_.empty() && !closed_) co_await changed_.wait();
    if (closed_) co_return Error{Code::cancelled, "sim.kernel"};
    std::string message = std::move(requests_.front().second);
    requests_.pop_front();
    CHECK(into.size() >= kFuseRequestMost && message.size() <= into.size());
    std::memcpy(into.data(), message.data(), message.size());
    co_return message.size();
}

void KernelChannel::end(std::uint64_t unique, Answer answer) {
    auto found = calls_.find(unique);
    CHECK(found != calls_.end());
    std::shared_ptr<Call> call = std::move(found->second);
    calls_.erase(found);
    call->answer = std::move(answer);
    if (call->apply) call->apply(call->answer);
    call->ended = true;
    changed_.notify_all();
}

Result<Done> KernelChannel::send(std::span<const ConstBytes> parts) {
    if (closed_) return Error{Code::cancelled, "sim.kernel"};
    std::string message;
    for (ConstBytes part : parts) message.append(text_of(part));
    fuse_out_header header{};
    CHECK(message.size() >= sizeof(header));
    std::memcpy(&header, message.data(), sizeof(header));
    CHECK(header.len == message.size());
    std::string body = message.substr(sizeof(header));
    if (header.unique == 0) return obeyer_.obey_now(header.error, body);
    if (!calls_.contains(header.unique)) return Error{Code::not_found, "sim.kernel"};
    end(header.unique, {-header.error, std::move(body)});
    return Done{};
}

Task<Done> KernelChannel::notify(std::string message) {
    if (closed_) co_return Error{Code::cancelled, "sim.kernel"};
    fuse_out_header header{};
    CHECK(message.size() >= sizeof(header));
    std::memcpy(&header, message.data(), sizeof(header));
    CHECK(header.unique == 0 && header.len == message.size());
    co_return co_await obeyer_.obey(header.error, message.substr(sizeof(header)));
}

void KernelChannel::close() {
    closed_ = true;
    requests_.clear();
    while (!calls_.empty()) end(calls_.begin()->first, {ECONNABORTED, {}});
    changed_.notify_all();
}

}  // namespace weft::sim
