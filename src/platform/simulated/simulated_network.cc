#include "platform/simulated/simulated_network.h"

#include "platform/runtime/sync.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace weft {
namespace {

constexpr Error kGone{Code::unavailable, "stream.closed"};
constexpr Nanos kHeld = Signal::kNoDeadline;  // Arrives when the way is mended.

using Way = std::pair<std::string, std::string>;  // From, to.

// One direction of a connection.
struct Lane {
    Lane(Reactor& reactor, Way with_way)
        : way(std::move(with_way)), arriving(reactor), room(reactor) {}
    struct Piece {
        Nanos due;
        std::vector<std::byte> bytes;
    };
    bool ended_by(Nanos now) const { return ended && end_due <= now; }

    Way way;
    std::deque<Piece> pieces;
    std::size_t taken = 0;      // Of the first piece.
    std::size_t unread = 0;     // Bytes that fill the window.
    std::size_t unthanked = 0;  // Of these, read by who cannot say so.
    Nanos last_due = 0;
    bool ended = false;  // Behind the last piece.
    Nanos end_due = 0;
    Signal arriving;  // For the reader.
    Signal room;      // For the writer.
};

struct Link {
    Lane& lane(int side) { return side == 0 ? forth : back; }
    Link(Reactor& reactor, const Way& way)
        : forth(reactor, way), back(reactor, {way.second, way.first}) {}
    Lane forth;
    Lane back;
};

}  // namespace

class SimulatedNetwork::Fabric : public std::enable_shared_from_this<Fabric> {
public:
    class Host;
    class End;
    class Door;

    Fabric(Reactor& with_reactor, std::uint64_t seed)
        : reactor(with_reactor), changed(with_reactor), random_(seed) {}

    const SimulatedLink& link_of(const Way& way) const {
        auto own = links.find(std::minmax(way.first, way.second));
        return own != links.end() ? own->second : usual;
    }
    bool is_cut(const Way& way) const { return cuts.contains(way); }
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    Nanos draw_delay(const Way& way) {
        const SimulatedLink& link = link_of(way);
        if (link.jitter == 0) return link.delay;
        return link.delay + static_cast<Nanos>(below(static_cast<std::uint64_t>(link.jitter)));
    }
    std::optional<std::size_t> draw_break(const Way& way, std::span<const ConstBytes> parts);
    // When what is sent now arrives.
    Nanos draw_due(Lane& lane, std::size_t bytes);
    void send(Lane& lane, ConstBytes bytes);
    void thank(Lane& lane, Lane& back, std::size_t bytes);
    void end(Lane& lane);
    void reset(Link& link);
    // All there are, oldest first.
    std::vector<std::shared_ptr<Link>> between(const std::string& a, const std::string& b);
    std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> connect(const Way& way,
                                                                        Reactor* from, Reactor* to);
    Host& host(const std::string& name);

    Reactor& reactor;
    Signal changed;  // A way has been cut or mended.
    SimulatedLink usual;
    std::map<std::pair<std::string, std::string>, SimulatedLink> links;
    std::set<Way> cuts;
    std::map<Way, Nanos> free_at;  // Of ways that are slow.
    std::map<std::string, Door*> doors;
    std::vector<std::weak_ptr<Link>> made;
    std::map<std::string, std::unique_ptr<Host>> hosts;

private:
    std::mt19937_64 random_;
};

using Fabric = SimulatedNetwork::Fabric;

Nanos Fabric::draw_due(Lane& lane, std::size_t bytes) {
    Nanos begin = reactor.now();
    std::uint64_t rate = link_of(lane.way).bytes_a_second;
    if (rate > 0) {
        Nanos& free = free_at[lane.way];
        free = std::max(free, begin) + static_cast<Nanos>(bytes * kSecond / rate);
        begin = free;
    }
    Nanos due = std::max(lane.last_due, begin + draw_delay(lane.way));
    if (is_cut(lane.way)) due = kHeld;
    return lane.last_due = due;
}

// What is sent over a connection that has ended goes nowhere.
void Fabric::send(Lane& lane, ConstBytes bytes) {
    if (lane.ended) return;
    lane.unread += bytes.size();
    Nanos due = draw_due(lane, bytes.size());
    lane.pieces.push_back({due, {bytes.begin(), bytes.end()}});
    lane.arriving.notify_all();
}

void Fabric::thank(Lane& lane, Lane& back, std::size_t bytes) {
    if (is_cut(back.way)) {
        lane.unthanked += bytes;
        return;
    }
    lane.unread -= bytes;
    lane.room.notify_all();
}

void Fabric::end(Lane& lane) {
    if (std::exchange(lane.ended, true)) return;
    lane.end_due = draw_due(lane, 0);
    lane.arriving.notify_all();
    lane.room.notify_all();
}

void Fabric::reset(Link& link) {
    for (Lane* lane : {&link.forth, &link.back}) {
        while (!lane->pieces.empty() && below(2) == 0) lane->pieces.pop_back();
        if (lane->pieces.empty()) lane->taken = 0;
        lane->last_due = lane->pieces.empty() ? 0 : lane->pieces.back().due;
        lane->ended = false;
        end(*lane);
    }
    for (Lane* lane : {&link.forth, &link.back}) lane->room.notify_all();
}

std::vector<std::shared_ptr<Link>> Fabric::between(const std::string& a, const std::string& b) {
    std::erase_if(made, [](const auto& one) { return one.expired(); });
    std::vector<std::shared_ptr<Link>> found;
    for (const auto& one : made) {
        std::shared_ptr<Link> link = one.lock();
        const Way& way = link->forth.way;
        if (way == Way{a, b} || way == Way{b, a}) found.push_back(std::move(link));
    }
    return found;
}

// One side of a connection.
class Fabric::End final : public Stream {
public:
    // `process`: that which has it goes on there; null: on the network's.
    End(std::shared_ptr<Fabric> fabric, std::shared_ptr<Link> link, int side, Reactor* process)
        : fabric_(std::move(fabric)),
          link_(std::move(link)),
          process_(process),
          out_(link_->lane(side)),
          in_(link_->lane(1 - side)) {}
    ~End() override { close(); }

    Task<Done> read(Bytes into) override;
    Task<Done> write(std::span<const ConstBytes> parts) override;
    void close() override;

private:
    Task<Done> fill(Bytes into);
    Task<Done> send(std::span<const ConstBytes> parts);
    std::size_t take(Bytes into);
    // Of the next piece, or of the end.
    Nanos next_due() const;

    std::shared_ptr<Fabric> fabric_;
    std::shared_ptr<Link> link_;
    Reactor* process_;
    Lane& out_;
    Lane& in_;
    bool closed_ = false;
};

Nanos Fabric::End::next_due() const {
    if (!in_.pieces.empty()) return in_.pieces.front().due;
    return in_.ended ? in_.end_due : kHeld;
}

std::size_t Fabric::End::take(Bytes into) {
    Lane::Piece& piece = in_.pieces.front();
    std::size_t count = std::min(into.size(), piece.bytes.size() - in_.taken);
    std::copy_n(piece.bytes.begin() + static_cast<std::ptrdiff_t>(in_.taken), count, into.begin());
    in_.taken += count;
    if (in_.taken == piece.bytes.size()) {
        in_.pieces.pop_front();
        in_.taken = 0;
    }
    fabric_->thank(in_, out_, count);
    return count;
}

// What goes on beneath the process, whether that runs or not; then it has to run.
Task<Done> Fabric::End::read(Bytes into) {
    auto done = co_await fill(into);
    if (process_ != nullptr) co_await yield(*process_);
    co_return done;
}

Task<Done> Fabric::End::write(std::span<const ConstBytes> parts) {
    auto done = co_await send(parts);
    if (process_ != nullptr) co_await yield(*process_);
    co_return done;
}

Task<Done> Fabric::End::fill(Bytes into) {
    while (!into.empty()) {
        if (closed_) co_return kGone;
        Nanos due = next_due();
        if (due > fabric_->reactor.now()) {
            (void)co_await in_.arriving.wait(due);
            continue;
        }
        if (in_.pieces.empty()) co_return kGone;
        into = into.subspan(take(into));
    }
    co_return Done{};
}

// Behind how many bytes of a write the connection ends, if it does.
std::optional<std::size_t> Fabric::draw_break(const Way& way, std::span<const ConstBytes> parts) {
    std::uint64_t one_in = link_of(way).reset_one_in;
    if (one_in == 0 || below(one_in) != 0) return std::nullopt;
    std::size_t bytes = 0;
    for (ConstBytes part : parts) bytes += part.size();
    return below(bytes + 1);
}

Task<Done> Fabric::End::send(std::span<const ConstBytes> parts) {
    std::optional<std::size_t> breaks_behind = fabric_->draw_break(out_.way, parts);
    std::size_t sent = 0;
    for (ConstBytes part : parts) {
        while (!part.empty()) {
            bool gone = closed_ || in_.ended_by(fabric_->reactor.now());
            if (gone) co_return kGone;
            const SimulatedLink& link = fabric_->link_of(out_.way);
            std::size_t room = link.window_bytes - std::min(out_.unread, link.window_bytes);
            if (room == 0) {
                Nanos until = in_.ended ? in_.end_due : kHeld;
                (void)co_await out_.room.wait(until);
                continue;
            }
            std::size_t most = 1 + fabric_->below(link.piece_bytes_most);
            std::size_t count = std::min({part.size(), room, most});
            fabric_->send(out_, part.first(count));
            part = part.subspan(count);
            sent += count;
            if (breaks_behind.has_value() && sent >= *breaks_behind) {
                fabric_->reset(*link_);
                breaks_behind.reset();
            }
        }
    }
    co_return Done{};
}

void Fabric::End::close() {
    if (std::exchange(closed_, true)) return;
    fabric_->end(out_);
    in_.arriving.notify_all();
    out_.room.notify_all();
}

std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> Fabric::connect(const Way& way,
                                                                            Reactor* from,
                                                                            Reactor* to) {
    auto link = std::make_shared<Link>(reactor, way);
    std::erase_if(made, [](const auto& one) { return one.expired(); });
    made.push_back(link);
    return {std::make_unique<End>(shared_from_this(), link, 0, from),
            std::make_unique<End>(shared_from_this(), link, 1, to)};
}

class Fabric::Door final : public Listener {
public:
    Door(std::shared_ptr<Fabric> fabric, std::string address, Reactor* process)
        : fabric_(std::move(fabric)),
          address_(std::move(address)),
          process_(process),
          came_(process != nullptr ? *process : fabric_->reactor) {
        fabric_->doors[address_] = this;
    }
    ~Door() override { close(); }

    Task<std::unique_ptr<Stream>> accept() override {
        while (waiting_.empty() && !closed_) co_await came_.wait();
        if (closed_) co_return Error{Code::unavailable, "net.accept"};
        std::unique_ptr<Stream> stream = std::move(waiting_.front());
        waiting_.pop_front();
        co_return stream;
    }
    void close() override {
        if (std::exchange(closed_, true)) return;
        fabric_->doors.erase(address_);
        waiting_.clear();
        came_.notify_all();
    }
    std::string address() const override { return address_; }
    Reactor* process() const { return process_; }
    void come(std::unique_ptr<Stream> stream) {
        waiting_.push_back(std::move(stream));
        came_.notify_all();
    }

private:
    std::shared_ptr<Fabric> fabric_;
    std::string address_;
    Reactor* process_;
    std::deque<std::unique_ptr<Stream>> waiting_;
    bool closed_ = false;
    Signal came_;
};

class Fabric::Host final : public Network {
public:
    Host(Fabric& fabric, const std::string& name)
        : fabric_(fabric), name_(name.substr(0, name.find('/'))) {}

    Result<std::unique_ptr<Listener>> listen(std::string address) override {
        if (fabric_.doors.contains(address)) return Error{Code::already_exists, "net.listen"};
        return std::unique_ptr<Listener>(
            std::make_unique<Door>(fabric_.shared_from_this(), std::move(address), clock));
    }

    Task<std::unique_ptr<Stream>> connect(std::string address, Nanos deadline) override {
        Reactor* process = clock;
        auto connected = co_await reach(std::move(address), deadline);
        if (process != nullptr) co_await yield(*process);
        co_return connected;
    }

    Reactor* clock = nullptr;

private:
    // The answer has to come back.
    Task<std::unique_ptr<Stream>> reach(std::string address, Nanos deadline) {
        Way way{name_, address.substr(0, address.find(':'))};
        Way back{way.second, way.first};
        Reactor* process = clock;
        if (clock != nullptr) deadline = fabric_.reactor.now() + deadline - clock->now();
        Nanos answer = fabric_.reactor.now() + fabric_.draw_delay(way) + fabric_.draw_delay(back);
        while (fabric_.is_cut(way) || fabric_.is_cut(back) || fabric_.reactor.now() < answer) {
            bool cut = fabric_.is_cut(way) || fabric_.is_cut(back);
            Nanos until = cut ? deadline : std::min(answer, deadline);
            if (fabric_.reactor.now() >= deadline)
                co_return Error{Code::retry_later, "net.connect"};
            (void)co_await fabric_.changed.wait(until);
        }
        auto door = fabric_.doors.find(address);
        if (door == fabric_.doors.end()) co_return Error{Code::unavailable, "net.connect"};
        auto ends = fabric_.connect(way, process, door->second->process());
        door->second->come(std::move(ends.second));
        co_return std::move(ends.first);
    }

    Fabric& fabric_;
    std::string name_;
};

Fabric::Host& Fabric::host(const std::string& name) {
    auto& found = hosts[name];
    if (found == nullptr) found = std::make_unique<Host>(*this, name);
    return *found;
}

SimulatedNetwork::SimulatedNetwork(Reactor& reactor, std::uint64_t seed)
    : fabric_(std::make_shared<Fabric>(reactor, seed)) {}

SimulatedNetwork::~SimulatedNetwork() {
    fabric_->hosts.clear();
}

Network& SimulatedNetwork::at(const std::string& host) {
    return fabric_->host(host);
}

void SimulatedNetwork::set_clock(const std::string& host, Reactor& clock) {
    fabric_->host(host).clock = &clock;
}

void SimulatedNetwork::set_link(SimulatedLink link) {
    fabric_->usual = link;
}

void SimulatedNetwork::set_link(const std::string& a, const std::string& b, SimulatedLink link) {
    fabric_->links[std::minmax(a, b)] = link;
}

// What is on its way is lost as well, and sent again once it can arrive.
void SimulatedNetwork::cut(const std::string& from, const std::string& to) {
    Way way{from, to};
    fabric_->cuts.insert(way);
    Nanos now = fabric_->reactor.now();
    for (const auto& link : fabric_->between(from, to)) {
        Lane& lane = link->forth.way == way ? link->forth : link->back;
        for (Lane::Piece& piece : lane.pieces) {
            if (piece.due > now) piece.due = kHeld;
        }
        if (lane.ended && lane.end_due > now) lane.end_due = kHeld;
        if (lane.last_due > now) lane.last_due = kHeld;
        lane.arriving.notify_all();
        lane.room.notify_all();
    }
    fabric_->changed.notify_all();
}

void SimulatedNetwork::mend(const std::string& from, const std::string& to) {
    Way way{from, to};
    if (fabric_->cuts.erase(way) == 0) return;
    for (const auto& link : fabric_->between(from, to)) {
        bool forth = link->forth.way == way;
        Lane& lane = forth ? link->forth : link->back;
        Lane& back = forth ? link->back : link->forth;
        if (lane.last_due == kHeld) lane.last_due = 0;
        for (Lane::Piece& piece : lane.pieces) {
            if (piece.due == kHeld) piece.due = fabric_->draw_due(lane, piece.bytes.size());
        }
        if (lane.ended && lane.end_due == kHeld) lane.end_due = fabric_->draw_due(lane, 0);
        lane.arriving.notify_all();
        fabric_->thank(back, lane, std::exchange(back.unthanked, 0));
        // Who writes the other way waits for word of the end, too.
        back.room.notify_all();
    }
    fabric_->changed.notify_all();
}

void SimulatedNetwork::reset(const std::string& a, const std::string& b) {
    for (const auto& link : fabric_->between(a, b)) fabric_->reset(*link);
}

}  // namespace weft
