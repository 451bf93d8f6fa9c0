#pragma once

#include "platform/base/bytes.h"
#include "platform/fuse/fuse_channel.h"
#include "platform/runtime/sync.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/frontend/frontend_role.h"
#include "roles/frontend/fuse_wire.h"
#include "testing/memory_compute.h"

#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// What the frontend's tests stand on: the kernel's end of a FUSE connection, in memory.
namespace weft::frontend {

struct Reply {
    int error = 0;  // A positive errno.
    std::string body;

    template <class T>
    T fixed(std::size_t at = 0) const {
        T value{};
        EXPECT_LE(at + sizeof(T), body.size());
        if (at + sizeof(T) <= body.size()) std::memcpy(&value, body.data() + at, sizeof(T));
        return value;
    }
};

struct Notification {
    int code = 0;
    std::string body;

    std::uint64_t inode() const {
        std::uint64_t value = 0;
        if (body.size() >= sizeof(value)) std::memcpy(&value, body.data(), sizeof(value));
        return value;
    }
    std::int64_t offset() const {
        std::int64_t value = 0;
        if (body.size() >= 16) std::memcpy(&value, body.data() + 8, sizeof(value));
        return value;
    }
    std::int64_t length() const {
        std::int64_t value = 0;
        if (body.size() >= 24) std::memcpy(&value, body.data() + 16, sizeof(value));
        return value;
    }
    std::string name() const {
        return body.size() > 17 ? body.substr(16, body.size() - 17) : std::string();
    }
};

class MemoryChannel : public FuseChannel {
public:
    explicit MemoryChannel(Reactor& reactor) : signal_(reactor) {}

    Task<std::size_t> receive(Bytes into) override {
        while (requests_.empty() && !closed_) co_await signal_.wait();
        if (closed_) co_return Error{Code::cancelled, "memory_channel"};
        std::string request = std::move(requests_.front());
        requests_.pop_front();
        CHECK(into.size() >= kFuseRequestMost && request.size() <= into.size());
        std::memcpy(into.data(), request.data(), request.size());
        co_return request.size();
    }
    Result<Done> send(std::span<const ConstBytes> parts) override {
        std::string message;
        for (ConstBytes part : parts) message.append(text_of(part));
        deliver(message);
        return Done{};
    }
    Task<Done> notify(std::string message) override {
        fuse_out_header header{};
        std::memcpy(&header, message.data(), sizeof(header));
        bool entry = header.error == FUSE_NOTIFY_INVAL_ENTRY;
        const bool& blocked = entry ? entries_blocked_ : pages_blocked_;
        while (blocked && !closed_) co_await signal_.wait();
        deliver(message);
        co_return Done{};
    }
    void initialized() override { initialized_ = true; }
    void close() override {
        closed_ = true;
        signal_.notify_all();
    }

    void push(std::string request) {
        requests_.push_back(std::move(request));
        signal_.notify_all();
    }
    // Notifications wait, as if the kernel held the locks of a directory, or of pages.
    void block_entries(bool blocked) {
        entries_blocked_ = blocked;
        signal_.notify_all();
    }
    void block_pages(bool blocked) {
        pages_blocked_ = blocked;
        signal_.notify_all();
    }
    std::map<std::uint64_t, Reply> replies;
    std::vector<Notification> notifications;
    bool was_initialized() const { return initialized_; }

private:
    void deliver(const std::string& message) {
        fuse_out_header header{};
        CHECK(message.size() >= sizeof(header));
        std::memcpy(&header, message.data(), sizeof(header));
        CHECK(header.len == message.size());
        std::string body = message.substr(sizeof(header));
        if (header.unique == 0) {
            notifications.push_back({header.error, body});
        } else {
            CHECK(replies.emplace(header.unique, Reply{-header.error, body}).second);
        }
    }

    Signal signal_;
    std::deque<std::string> requests_;
    bool closed_ = false;
    bool entries_blocked_ = false;
    bool pages_blocked_ = false;
    bool initialized_ = false;
};

// A mounted filesystem over a compute in memory, driven by requests as the kernel sends them.
class MountFixture {
public:
    explicit MountFixture(FrontendSettings settings = {}, std::uint32_t minor = 45)
        : compute(reactor),
          channel(reactor),
          role(reactor, compute, channel, FilesystemId{1}, SessionId{7}, settings) {
        compute.open_session(SessionId{7}, role);
        running_.emplace(role.run());
        running_->start(std::noop_coroutine());
        init(minor);
    }
    ~MountFixture() {
        compute.unblock_all();
        channel.close();
        while (!running_->ended() && reactor.step()) {
        }
        EXPECT_TRUE(running_->ended());
    }

    bool ended() const { return running_->ended(); }

    // Everything that can happen without time passing.
    void settle() {
        for (int i = 0; i < 200 && reactor.has_ready(); ++i) reactor.step();
    }
    void pass(Nanos duration) { (void)reactor.run(wait(&reactor, duration)); }

    template <class... Parts>
    std::uint64_t send(std::uint32_t opcode, std::uint64_t nodeid, const Parts&... parts) {
        std::string body;
        (append(body, parts), ...);
        fuse_in_header header{};
        header.len = static_cast<std::uint32_t>(sizeof(header) + body.size());
        header.opcode = opcode;
        header.unique = next_unique_ += 2;
        header.nodeid = nodeid;
        header.uid = 1000;
        header.gid = 1000;
        header.pid = 42;
        channel.push(std::string(text_of(image_of(header))) + body);
        settle();
        return header.unique;
    }
    bool answered(std::uint64_t unique) const { return channel.replies.contains(unique); }
    Reply take(std::uint64_t unique) {
        for (int i = 0; i < 100000 && !answered(unique) && reactor.step(); ++i) {
        }
        auto found = channel.replies.find(unique);
        EXPECT_NE(found, channel.replies.end()) << "request is not answered";
        if (found == channel.replies.end()) return {};
        Reply reply = std::move(found->second);
        channel.replies.erase(found);
        return reply;
    }
    template <class... Parts>
    Reply ask(std::uint32_t opcode, std::uint64_t nodeid, const Parts&... parts) {
        return take(send(opcode, nodeid, parts...));
    }

    // A name with its NUL, as requests have it.
    static std::string text(std::string_view value) { return std::string(value) + '\0'; }

    struct Opened {
        std::uint64_t inode = 0;
        std::uint64_t handle = 0;
        std::uint32_t open_flags = 0;
        fuse_entry_out entry{};
    };
    Opened create(std::string_view name, std::uint32_t flags = 2, std::uint64_t directory = 1) {
        fuse_create_in in{};
        in.flags = flags;
        in.mode = 0100644;
        Reply reply = ask(FUSE_CREATE, directory, in, text(name));
        EXPECT_EQ(reply.error, 0);
        auto entry = reply.fixed<fuse_entry_out>();
        auto open = reply.fixed<fuse_open_out>(sizeof(entry));
        return {entry.nodeid, open.fh, open.open_flags, entry};
    }
    Opened open(std::uint64_t inode, std::uint32_t flags) {
        fuse_open_in in{};
        in.flags = flags;
        Reply reply = ask(FUSE_OPEN, inode, in);
        EXPECT_EQ(reply.error, 0);
        auto out = reply.fixed<fuse_open_out>();
        return {inode, out.fh, out.open_flags, {}};
    }
    std::uint64_t send_write(const Opened& file, std::uint64_t offset, std::string_view data,
                             std::uint32_t flags = 1, std::uint32_t write_flags = 0) {
        fuse_write_in in{};
        in.fh = file.handle;
        in.offset = offset;
        in.size = static_cast<std::uint32_t>(data.size());
        in.flags = flags;
        in.write_flags = write_flags;
        return send(FUSE_WRITE, file.inode, in, data);
    }
    int write(const Opened& file, std::uint64_t offset, std::string_view data,
              std::uint32_t flags = 1) {
        Reply reply = take(send_write(file, offset, data, flags));
        if (reply.error == 0) EXPECT_EQ(reply.fixed<fuse_write_out>().size, data.size());
        return reply.error;
    }
    std::uint64_t send_read(const Opened& file, std::uint64_t offset, std::uint32_t size) {
        fuse_read_in in{};
        in.fh = file.handle;
        in.offset = offset;
        in.size = size;
        return send(FUSE_READ, file.inode, in);
    }
    std::string read(const Opened& file, std::uint64_t offset, std::uint32_t size) {
        return take(send_read(file, offset, size)).body;
    }
    int flush(const Opened& file, std::uint64_t lock_owner = 0) {
        fuse_flush_in in{};
        in.fh = file.handle;
        in.lock_owner = lock_owner;
        return ask(FUSE_FLUSH, file.inode, in).error;
    }
    int release(const Opened& file) {
        fuse_release_in in{};
        in.fh = file.handle;
        return ask(FUSE_RELEASE, file.inode, in).error;
    }
    int fsync(const Opened& file) {
        fuse_fsync_in in{};
        in.fh = file.handle;
        return ask(FUSE_FSYNC, file.inode, in).error;
    }
    fuse_attr_out getattr(std::uint64_t inode) {
        return ask(FUSE_GETATTR, inode, fuse_getattr_in{}).template fixed<fuse_attr_out>();
    }
    fuse_entry_out lookup(std::uint64_t directory, std::string_view name) {
        Reply reply = ask(FUSE_LOOKUP, directory, text(name));
        return reply.error == 0 ? reply.fixed<fuse_entry_out>() : fuse_entry_out{};
    }
    // What compute would ask; true once the role has answered.
    bool recall(std::uint64_t inode, LeaseMode keep, std::string name = {}, bool data = true) {
        Recall recall;
        recall.file = FileId{FilesystemId{1}, InodeId{inode}};
        recall.keep = keep;
        recall.name = std::move(name);
        recall.data = data;
        recalls_.push_back(std::make_unique<Task<Done>>(role.recall(recall)));
        recalls_.back()->start(std::noop_coroutine());
        settle();
        return recalls_.back()->ended();
    }
    bool recall_ended() const { return recalls_.back()->ended(); }

    std::string content(std::uint64_t inode) const { return compute.content(InodeId{inode}); }

    SimulatedReactor reactor;
    testing::MemoryCompute compute;
    MemoryChannel channel;
    FrontendRole role;
    fuse_init_out agreed{};

private:
    static Task<Done> wait(Reactor* reactor, Nanos duration) {
        co_await sleep(*reactor, duration);
        co_return Done{};
    }
    template <class T>
    static void append(std::string& body, const T& part) {
        if constexpr (std::is_convertible_v<T, std::string_view>) {
            body.append(std::string_view(part));
        } else {
            body.append(reinterpret_cast<const char*>(&part), sizeof(part));
        }
    }
    void init(std::uint32_t minor) {
        fuse_init_in in{};
        in.major = 7;
        in.minor = minor;
        in.max_readahead = 131072;
        in.flags = UINT32_MAX;
        in.flags2 = UINT32_MAX;
        Reply reply = ask(FUSE_INIT, 0, in);
        EXPECT_EQ(reply.error, 0);
        agreed = reply.fixed<fuse_init_out>();
        // As the kernel does at mount: the root's lease comes with it.
        (void)getattr(1);
        compute.clear_calls();
    }

    std::uint64_t next_unique_ = 0;
    std::optional<Task<Done>> running_;
    std::vector<std::unique_ptr<Task<Done>>> recalls_;
};

}  // namespace weft::frontend
