#pragma once

#include "platform/fuse/fuse_channel.h"
#include "platform/runtime/sync.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace weft::sim {

// The kernel's end of a FUSE connection, in memory: requests go out and their replies are acted on
// in the moment they are written, as if the program that waits were running already.
class KernelChannel final : public FuseChannel {
public:
    struct Answer {
        int error = 0;  // A positive errno.
        std::string body;

        // The value that lies there; all zeros if the body is too short.
        template <class T>
        T fixed(std::size_t at = 0) const {
            T value{};
            if (error == 0 && at + sizeof(T) <= body.size()) {
                std::copy_n(body.data() + at, sizeof(T), reinterpret_cast<char*>(&value));
            }
            return value;
        }
    };
    // Runs when the answer comes, before anything else; also if the connection ends.
    using Apply = std::function<void(const Answer&)>;
    struct Request {
        std::uint32_t opcode = 0;
        std::uint64_t nodeid = 0;
        std::string body;
        std::shared_ptr<std::uint64_t> unique;  // Is told the request's number.
    };
    // What obeys notifications.
    class Obeyer {
    public:
        virtual ~Obeyer() = default;
        // One for which no lock is taken.
        virtual Result<Done> obey_now(int code, const std::string& body) = 0;
        virtual Task<Done> obey(int code, std::string body) = 0;
    };

    KernelChannel(Reactor& reactor, Obeyer& obeyer) : obeyer_(obeyer), changed_(reactor) {}

    // Ends with the answer; ECONNABORTED once the connection has ended.
    Task<Answer> ask(Request request, Apply apply);
    // Nobody waits for the answer, if there is one.
    void tell(Request request);
    // Of a request that has left: its server is told. Of another: it ends with EINTR.
    void interrupt(std::uint64_t unique);
    bool closed() const { return closed_; }

    Task<std::size_t> receive(Bytes into) override;
    Result<Done> send(std::span<const ConstBytes> parts) override;
    Task<Done> notify(std::string message) override;
    void close() override;

private:
    struct Call {
        Apply apply;
        Answer answer;
        bool ended = false;
    };
    std::uint64_t put(const Request& request, bool first);
    void end(std::uint64_t unique, Answer answer);

    Obeyer& obeyer_;
    Signal changed_;
    std::deque<std::pair<std::uint64_t, std::string>> requests_;  // By number.
    std::map<std::uint64_t, std::shared_ptr<Call>> calls_;        // Not yet answered.
    std::uint64_t last_unique_ = 0;
    bool closed_ = false;
};

}  // namespace weft::sim
