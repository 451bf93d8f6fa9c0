#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::sim {

// What several clients did with one register: writes of values that are all different, and
// reads. check() says whether all of it could have happened one after the other, each thing at
// some moment between its begin and its end: linearizability.
//
// By Gibbons and Korach, "Testing shared memories" (1997), for values that are written once: a
// value's zone is from the first end to the last begin among its write and its reads. Where
// that is backwards, all of them overlap in one moment. The history is linearizable if no read
// ends before its write begins, no two forward zones overlap, and no backward zone lies within
// a forward one.
class RegisterHistory {
public:
    using Moment = std::uint64_t;  // Of a counter that all registers share; begins at 1.
    static constexpr Moment kNever = UINT64_MAX;
    using Client = std::uint32_t;

    explicit RegisterHistory(std::uint64_t first) { reset(first); }
    // From now on the register has this value, and nothing has happened.
    void reset(std::uint64_t first);
    // Gives the number to end the write by. One that is never ended may have happened or not.
    std::size_t begin_write(std::uint64_t value, Moment begin, Client by = 0);
    void end_write(std::size_t number, Moment end) {
        writes_[number].end = end;
        writes_[number].sent = end;
    }
    // The same of one that its writer keeps for itself: only a sync that begins after it was sent
    // (kNever: it was not yet) makes it durable.
    void end_buffered_write(std::size_t number, Moment end) { writes_[number].end = end; }
    void send_buffered_write(std::size_t number, Moment sent) { writes_[number].sent = sent; }
    void read(std::uint64_t value, Moment begin, Moment end, Client by = 0);
    // Power is lost: what ended, or was sent, later than `synced` may not have happened.
    void lose(Moment synced);
    // The same of what one client did.
    void lose_of(Client by, Moment synced);

    // Empty if linearizable.
    std::string check() const;

private:
    struct Write {
        std::uint64_t value = 0;
        Moment begin = 0;
        Moment end = kNever;
        Moment sent = kNever;
        Client by = 0;
    };
    struct Read {
        std::uint64_t value = 0;
        Moment begin = 0;
        Moment end = 0;
        Client by = 0;
    };
    std::vector<Write> writes_;
    std::vector<Read> reads_;
};

}  // namespace weft::sim
