#include "processes/client/client_mount.h"

#include "platform/fuse_device/kernel_mount.h"
#include "platform/process/process.h"
#include "roles/frontend/frontend_role.h"

#include <cstdio>
#include <utility>

namespace weft::client {
namespace {

constexpr Nanos kConnectMost = 2 * kSecond;
constexpr Nanos kCallMost = 30 * kSecond;
constexpr Nanos kPingEvery = 1 * kSecond;
constexpr Nanos kPingMost = 4 * kSecond;

class NoLeases : public LeaseHolder {
public:
    Task<Done> recall(Recall) override { co_return Done{}; }
};

}  // namespace

Connection::Connection(Machine& machine, const ClientSettings& settings)
    : machine_(machine),
      settings_(settings),
      compute_(machine, kCallMost),
      stopped_(machine),
      background_(machine) {
    background_.spawn(ping_always());
}

MountHello Connection::hello(Client client) const {
    MountHello hello;
    hello.client = client;
    hello.filesystem = settings_.filesystem;
    hello.host = process::host_name();
    hello.path = settings_.path;
    hello.pid = static_cast<std::uint32_t>(process::own_id());
    return hello;
}

Task<FilesystemId> Connection::find_filesystem() {
    NoLeases nobody;
    Client once;
    SessionId session = co_await or_return(co_await open_session(&nobody, once));
    FilesystemId found = *filesystem_;
    (void)co_await close_session(session);
    co_return found;
}

Task<SessionId> Connection::open_session(LeaseHolder* holder, Client client) {
    Nanos deadline = machine_.now() + kConnectMost;
    auto stream =
        co_await or_return(co_await machine_.network().connect(settings_.address, deadline));
    compute_.connect(std::move(stream));
    background_.spawn(compute_.run());
    auto welcome = co_await compute_.attach(holder, hello(client));
    if (!welcome.ok()) {
        (void)co_await compute_.close_session(SessionId());
        co_return welcome.error();
    }
    FilesystemId filesystem = welcome.value().filesystem;
    if (filesystem_.has_value() && *filesystem_ != filesystem) {
        (void)co_await compute_.close_session(SessionId());
        co_return Error{Code::not_found, "another filesystem has its name now"};
    }
    filesystem_ = filesystem;
    session_ = welcome.value().session;
    co_return session_;
}

// Earlier sessions have gone with their connections.
Task<Done> Connection::close_session(SessionId session) {
    if (session != session_) co_return Done{};
    co_return co_await compute_.close_session(session);
}

// Whoever does not answer may be gone without the connection having ended: a power loss, a cut
// network. It thinks the same of us.
Task<Done> Connection::ping_always() {
    while (!stopping_) {
        Nanos next = machine_.now() + kPingEvery;
        while (!stopping_ && machine_.now() < next) (void)co_await stopped_.wait(next);
        if (stopping_ || compute_.closed()) continue;
        auto answered = co_await compute_.ping(machine_.now() + kPingMost);
        if (answered.code() == Code::retry_later) compute_.close();
    }
    co_return Done{};
}

Task<Done> Connection::stop() {
    stopping_ = true;
    stopped_.notify_all();
    compute_.close();
    co_return co_await background_.close();
}

namespace {

// A mount from its first call to its last.
class ClientMount {
public:
    ClientMount(Machine& machine, ClientSettings settings)
        : machine_(machine),
          settings_(std::move(settings)),
          connection_(machine, settings_),
          background_(machine) {}

    Task<Done> live() {
        auto begun = co_await begin();
        if (!begun.ok()) {
            tell(false, begun.error());
            (void)co_await connection_.stop();
            co_return begun.error();
        }
        tell(true, Error{Code::ok, {}});
        std::fprintf(stderr, "weft: %s is mounted at %s\n", settings_.filesystem.c_str(),
                     settings_.path.c_str());
        background_.spawn(watch_signals());
        auto ended = co_await frontend_->run();
        (void)co_await connection_.close_session(frontend_->session());
        (void)co_await connection_.stop();
        (void)process::remove_tree(settings_.state_path);
        co_return ended;
    }

private:
    Task<Done> begin() {
        FilesystemId filesystem = co_await or_return(co_await connection_.find_filesystem());
        while (process::is_dead_mount(settings_.path)) {
            co_await or_return(co_await unmount_fuse(&machine_, settings_.path, true));
        }
        co_await or_return(process::make_folders(settings_.path));
        channel_ = co_await or_return(
            co_await mount_fuse(&machine_, "weft:" + settings_.filesystem, settings_.path));
        frontend::FrontendSettings settings;
        settings.is_dying = process::is_dying;
        frontend_.emplace(machine_, connection_.compute(), *channel_, filesystem, SessionId(),
                          std::move(settings));
        std::uint64_t number = machine_.random() | 1;
        auto opened = co_await frontend_->open_session(connection_, number);
        if (!opened.ok()) (void)co_await unmount_fuse(&machine_, settings_.path, true);
        co_return opened;
    }

    void tell(bool mounted, Error error) {
        MountFile file;
        file.pid = process::own_id();
        file.filesystem = settings_.filesystem;
        file.path = settings_.path;
        file.address = settings_.address;
        file.mounted = mounted;
        file.error = std::string(error.what);
        file.code = error.code;
        auto written = write_mount_file(settings_.state_path, file);
        if (!written.ok()) std::fprintf(stderr, "weft: cannot write the state file\n");
    }

    Task<Done> watch_signals() {
        for (;;) {
            ProcessSignal signal = co_await or_return(co_await machine_.wait_signal());
            if (signal == ProcessSignal::hangup) continue;
            auto gone = co_await unmount_fuse(&machine_, settings_.path, false);
            if (gone.ok()) continue;
            (void)co_await unmount_fuse(&machine_, settings_.path, true);
            // What still holds files open gets errors from now on.
            frontend_->stop();
        }
    }

    Machine& machine_;
    ClientSettings settings_;
    std::unique_ptr<FuseChannel> channel_;
    Connection connection_;
    std::optional<frontend::FrontendRole> frontend_;
    Gate background_;
};

}  // namespace

Result<Done> serve_mount(Machine& machine, ClientSettings settings) {
    ClientMount mount(machine, std::move(settings));
    return machine.run(mount.live());
}

}  // namespace weft::client
