#include "sim/world/network_client.h"

#include <algorithm>
#include <utility>

namespace weft::sim {
namespace {

constexpr Nanos kPatience = 300 * kSecond;
constexpr Nanos kPauseLeast = 10 * kMillisecond;
constexpr Nanos kPauseMost = 500 * kMillisecond;

}  // namespace

FarCompute::FarCompute(Reactor& reactor, std::unique_ptr<Way> way, FilesystemId filesystem)
    : reactor_(reactor),
      way_(std::move(way)),
      compute_(reactor, way_->compute(), filesystem, SessionId(), kPatience),
      background_(reactor) {
    compute_.when_fenced([this] { session_lost(); });
}

Task<Done> FarCompute::open(Reclaim reclaim) {
    reclaim_ = std::move(reclaim);
    renewing_ = true;
    compute_.hold();
    co_return co_await renew();
}

void FarCompute::session_lost() {
    lost_again_ = true;
    if (renewing_) return;
    renewing_ = true;
    compute_.hold();
    background_.spawn(renew());
}

Task<Done> FarCompute::renew() {
    Nanos pause = kPauseLeast;
    bool first = compute_.session() == SessionId();
    for (;;) {
        lost_again_ = false;
        weft::Client client;
        client.last_seq = last_seq_;
        auto opened = co_await way_->open_session(this, client);
        if (opened.ok()) {
            compute_.set_session(opened.value());
            Result<Done> reclaimed = Done{};
            if (!first) reclaimed = co_await reclaim_(compute_.service());
            if (reclaimed.ok() && !lost_again_) break;
        }
        co_await sleep(reactor_, pause);
        pause = std::min(2 * pause, kPauseMost);
    }
    renewing_ = false;
    compute_.go_on();
    co_return Done{};
}

ComputeService* FarCompute::under(const Caller& caller) {
    last_seq_ = std::max(last_seq_, caller.seq);
    return compute_.service();
}

Task<Node> FarCompute::lookup(Caller caller, FileId directory, std::string name) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->lookup(caller, directory, name);
    };
    return compute_.attempt<Node>(nullptr, call);
}

Task<Node> FarCompute::getattr(Caller caller, FileId file) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->getattr(caller, file);
    };
    return compute_.attempt<Node>(nullptr, call);
}

Task<Node> FarCompute::setattr(Caller caller, FileId file, AttributeChange change) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->setattr(caller, file, change);
    };
    return compute_.attempt<Node>(nullptr, call);
}

Task<Node> FarCompute::create(Caller caller, FileId directory, std::string name, NewNode what) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->create(caller, directory, name, what);
    };
    return compute_.attempt<Node>(nullptr, call);
}

Task<Opened> FarCompute::create_open(Caller caller, FileId directory, std::string name,
                                     NewNode what, bool exclusive) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->create_open(caller, directory, name, what, exclusive);
    };
    return compute_.attempt<Opened>(nullptr, call);
}

Task<Opened> FarCompute::create_unnamed(Caller caller, FileId directory, NewNode what) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->create_unnamed(caller, directory, what);
    };
    return compute_.attempt<Opened>(nullptr, call);
}

Task<Node> FarCompute::link(Caller caller, FileId file, FileId directory, std::string name) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->link(caller, file, directory, name);
    };
    return compute_.attempt<Node>(nullptr, call);
}

Task<Done> FarCompute::unlink(Caller caller, FileId directory, std::string name) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->unlink(caller, directory, name);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<Done> FarCompute::rmdir(Caller caller, FileId directory, std::string name) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->rmdir(caller, directory, name);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<Done> FarCompute::rename(Caller caller, FileId from, std::string from_name, FileId to,
                              std::string to_name, RenameFlags flags) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->rename(caller, from, from_name, to, to_name, flags);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<std::string> FarCompute::readlink(Caller caller, FileId file) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->readlink(caller, file);
    };
    return compute_.attempt<std::string>(nullptr, call);
}

Task<DirectoryPage> FarCompute::readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                        std::uint32_t most_bytes, bool with_attributes) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->readdir(caller, directory, cookie, most_bytes, with_attributes);
    };
    return compute_.attempt<DirectoryPage>(nullptr, call);
}

Task<Opened> FarCompute::open(Caller caller, FileId file, LeaseMode want) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->open(caller, file, want);
    };
    return compute_.attempt<Opened>(nullptr, call);
}

Task<Done> FarCompute::release(Caller caller, FileId file, std::uint64_t handle) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->release(caller, file, handle);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<Done> FarCompute::release_lease(Caller caller, FileId file, LeaseMode keep) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->release_lease(caller, file, keep);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<ReadReply> FarCompute::read(Caller caller, FileId file, std::uint64_t offset, Bytes into) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->read(caller, file, offset, into);
    };
    return compute_.attempt<ReadReply>(nullptr, call);
}

Task<Node> FarCompute::write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from,
                             bool append, bool clear_setid) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->write(caller, file, offset, from, append, clear_setid);
    };
    return compute_.attempt<Node>(nullptr, call);
}

Task<Done> FarCompute::fsync(Caller caller, FileId file) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->fsync(caller, file);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<Done> FarCompute::sync(Caller caller, FilesystemId filesystem) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->sync(caller, filesystem);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<Node> FarCompute::fallocate(Caller caller, FileId file, std::uint64_t offset,
                                 std::uint64_t length, FallocateFlags flags) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->fallocate(caller, file, offset, length, flags);
    };
    return compute_.attempt<Node>(nullptr, call);
}

Task<std::uint64_t> FarCompute::copy_range(Caller caller, FileId from, std::uint64_t from_offset,
                                           FileId to, std::uint64_t to_offset,
                                           std::uint64_t length) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->copy_range(caller, from, from_offset, to, to_offset, length);
    };
    return compute_.attempt<std::uint64_t>(nullptr, call);
}

Task<std::uint64_t> FarCompute::seek(Caller caller, FileId file, std::uint64_t offset, bool data) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->seek(caller, file, offset, data);
    };
    return compute_.attempt<std::uint64_t>(nullptr, call);
}

Task<Done> FarCompute::setxattr(Caller caller, FileId file, std::string name, std::string value,
                                SetXattr how) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->setxattr(caller, file, name, value, how);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<std::string> FarCompute::getxattr(Caller caller, FileId file, std::string name) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->getxattr(caller, file, name);
    };
    return compute_.attempt<std::string>(nullptr, call);
}

Task<std::vector<std::string>> FarCompute::listxattr(Caller caller, FileId file) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->listxattr(caller, file);
    };
    return compute_.attempt<std::vector<std::string>>(nullptr, call);
}

Task<Done> FarCompute::removexattr(Caller caller, FileId file, std::string name) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->removexattr(caller, file, name);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<Done> FarCompute::lock(Caller caller, FileId file, LockRequest request) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->lock(caller, file, request);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<LockRequest> FarCompute::test_lock(Caller caller, FileId file, LockRequest request) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->test_lock(caller, file, request);
    };
    return compute_.attempt<LockRequest>(nullptr, call);
}

Task<Done> FarCompute::cancel_lock(Caller caller, FileId file, LockRequest request) {
    ComputeService* service = under(caller);
    auto call = [=] {
        return service->cancel_lock(caller, file, request);
    };
    return compute_.attempt<Done>(nullptr, call);
}

Task<FilesystemUsage> FarCompute::usage(FilesystemId filesystem) {
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->usage(filesystem);
    };
    return compute_.attempt<FilesystemUsage>(nullptr, call);
}

}  // namespace weft::sim
