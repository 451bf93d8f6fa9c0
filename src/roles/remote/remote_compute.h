#pragma once

#include "model/services/compute_service.h"
#include "platform/rpc/peer.h"

#include <memory>
#include <set>

namespace weft::remote {

enum class Method : std::uint32_t;

// A compute role in another process. The session is the connection's: it begins with
// open_session() or attach() and ends when the connection does, on both sides. After that calls
// end with fenced, until the next connection is there.
class RemoteCompute : public ComputeService, public SessionHost {
public:
    // Calls end by caller.deadline, or by `deadline_after` from now where that is 0; waiting
    // for a lock has no deadline but the connection's end.
    RemoteCompute(Reactor& reactor, Nanos deadline_after);
    ~RemoteCompute() override;

    // From now on calls go over `stream`; an earlier connection is closed.
    void connect(std::unique_ptr<Stream> stream);
    // Serves the connection until it ends, then tells the holder; run it in a gate that is
    // closed before this goes. A connection that was replaced tells nobody.
    Task<Done> run();
    void close();
    bool closed() const;
    // When bytes last came in, or were last taken; see rpc::Peer.
    Nanos last_heard() const;
    Nanos last_taken() const;

    // At most one session a connection. Recalls go to `holder`.
    Task<SessionId> open_session(LeaseHolder* holder, Client client) override;
    Task<MountWelcome> attach(LeaseHolder* holder, MountHello hello);
    // Tells the other side, if it can be reached: it need not fear that we cache anything.
    Task<Done> close_session(SessionId session) override;
    // Whether the other side still answers; true: a lease term begins with when this was called.
    // `*taken`, if not null, becomes the time when it has been sent.
    Task<bool> ping(Nanos deadline, Nanos* taken = nullptr);

    Task<Node> lookup(Caller caller, FileId directory, std::string name) override;
    Task<Node> getattr(Caller caller, FileId file) override;
    Task<Node> setattr(Caller caller, FileId file, AttributeChange change) override;
    Task<Node> create(Caller caller, FileId directory, std::string name, NewNode what) override;
    Task<Opened> create_open(Caller caller, FileId directory, std::string name, NewNode what,
                             bool exclusive) override;
    Task<Opened> create_unnamed(Caller caller, FileId directory, NewNode what) override;
    Task<Node> link(Caller caller, FileId file, FileId directory, std::string name) override;
    Task<Done> unlink(Caller caller, FileId directory, std::string name) override;
    Task<Done> rmdir(Caller caller, FileId directory, std::string name) override;
    Task<Done> rename(Caller caller, FileId from, std::string from_name, FileId to,
                      std::string to_name, RenameFlags flags) override;
    Task<std::string> readlink(Caller caller, FileId file) override;
    Task<DirectoryPage> readdir(Caller caller, FileId directory, std::uint64_t cookie,
                                std::uint32_t most_bytes, bool with_attributes) override;
    Task<Opened> open(Caller caller, FileId file, LeaseMode want) override;
    Task<Done> release(Caller caller, FileId file, std::uint64_t handle) override;
    Task<Done> release_lease(Caller caller, FileId file, LeaseMode keep) override;
    Task<ReadReply> read(Caller caller, FileId file, std::uint64_t offset, Bytes into) override;
    Task<Node> write(Caller caller, FileId file, std::uint64_t offset, ConstBytes from, bool append,
                     bool clear_setid) override;
    Task<Done> fsync(Caller caller, FileId file) override;
    Task<Done> sync(Caller caller, FilesystemId filesystem) override;
    Task<Node> fallocate(Caller caller, FileId file, std::uint64_t offset, std::uint64_t length,
                         FallocateFlags flags) override;
    Task<std::uint64_t> copy_range(Caller caller, FileId from, std::uint64_t from_offset, FileId to,
                                   std::uint64_t to_offset, std::uint64_t length) override;
    Task<std::uint64_t> seek(Caller caller, FileId file, std::uint64_t offset, bool data) override;
    Task<Done> setxattr(Caller caller, FileId file, std::string name, std::string value,
                        SetXattr how) override;
    Task<std::string> getxattr(Caller caller, FileId file, std::string name) override;
    Task<std::vector<std::string>> listxattr(Caller caller, FileId file) override;
    Task<Done> removexattr(Caller caller, FileId file, std::string name) override;
    Task<Done> lock(Caller caller, FileId file, LockRequest request) override;
    Task<LockRequest> test_lock(Caller caller, FileId file, LockRequest request) override;
    Task<Done> cancel_lock(Caller caller, FileId file, LockRequest request) override;
    Task<FilesystemUsage> usage(FilesystemId filesystem) override;

private:
    struct Connection;
    static Task<Done> serve(std::shared_ptr<Connection> connection);
    template <class R>
    static Task<R> ask(std::shared_ptr<Connection> to, Method method, std::string arguments,
                       Nanos deadline, Nanos* taken = nullptr);
    Nanos deadline_of(const Caller& caller) const;

    Reactor& reactor_;
    Nanos deadline_after_;
    std::shared_ptr<Connection> connection_;  // Calls under way keep theirs.
};

// The other end: a compute role's door for one connection.
class ComputeServer : public rpc::Handler, public LeaseHolder {
public:
    // `mounts` may be null: then there is no attach(). `terms` are the compute role's.
    ComputeServer(Reactor& reactor, std::unique_ptr<Stream> stream, ComputeService& compute,
                  SessionHost& sessions, MountHost* mounts = nullptr, LeaseTerms terms = {});

    // Serves until the connection ends, then ends its session: once the client has noticed that it
    // may not use its caches any more, for it may live on. Nothing that came over the connection
    // is under way any more then.
    Task<Done> run();
    void close() { peer_.close(); }
    Nanos last_heard() const { return peer_.last_heard(); }

    Task<rpc::Reply> handle(rpc::Request request) override;
    bool is_quick(std::uint32_t method) const override;
    bool may_wait_for_ever(std::uint32_t method) const override;
    Task<Done> connection_ended() override;
    Task<Done> recall(Recall recall) override;
    // Ends the connection, for the other side has to begin anew. It caches nothing any more, or
    // nobody waits for that.
    void session_ended() override;

private:
    Task<rpc::Reply> serve_open_session(std::string meta);
    Task<rpc::Reply> serve_attach(std::string meta);
    Task<rpc::Reply> serve_close_session();
    Task<rpc::Reply> serve_ping();
    Task<Done> end_session();
    Task<Done> until_caches_are_over();
    Caller caller_of(const rpc::Request& request) const;
    Task<rpc::Reply> serve_read(rpc::Request request);
    Task<rpc::Reply> serve_write(rpc::Request request);

    Reactor& reactor_;
    ComputeService& compute_;
    SessionHost& sessions_;
    MountHost* mounts_;
    SessionId session_;
    std::uint64_t client_ = 0;
    bool opening_ = false;
    bool attached_ = false;  // The session is of `mounts_`.
    LeaseTerms terms_;
    std::multiset<Nanos> recalls_;  // When those began that are not answered.
    Nanos caches_end_ = INT64_MIN;  // Until then the client may use what it has cached,
    bool caches_nothing_ = false;   // unless it said or showed that it does not.
    Signal let_go_;
    rpc::Peer peer_;
};

}  // namespace weft::remote
