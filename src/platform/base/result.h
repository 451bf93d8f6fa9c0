#pragma once

#include "platform/base/check.h"

#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>

namespace weft {

// What the caller should do next, not where it went wrong. The frontend has the one table
// from these to errno; a gateway has its own.
enum class Code : std::uint8_t {
    ok = 0,             // Only on the wire; never inside an Error.
    retry_later,        // Busy or timed out: the same call may succeed.
    refresh_map,        // The caller's epoch is old: fetch the cluster map, then retry.
    fenced,             // Somebody with a higher epoch has taken over: stop.
    cancelled,          // The caller or its owner is going away.
    interrupted,        // A waiting request was called off by its caller.
    corrupt,            // Bytes fail their checksum: repair from the other chunks.
    unavailable,        // More is lost than the parity covers, or a drive is gone.
    out_of_space,       // No room, and nothing reclaimable.
    quota_exceeded,     // The filesystem or directory has used up what it was given.
    invalid,            // The request can never succeed as written.
    not_supported,      // Known, and not offered here.
    not_found,          //
    already_exists,     //
    not_a_directory,    //
    is_a_directory,     //
    not_empty,          //
    permission_denied,  // EACCES: mode bits or ACL.
    not_permitted,      // EPERM: ownership or privilege.
    read_only,          //
    cross_filesystem,   // EXDEV
    too_many_links,     // EMLINK
    name_too_long,      //
    file_too_large,     //
    no_attribute,       // ENODATA: no such xattr.
    range_too_small,    // ERANGE: the caller's buffer is too small.
    no_data,            // ENXIO: no data or hole at or after the offset.
    stale,              // The inode is gone, or its generation is another.
    would_block,        // EAGAIN: a lock is held.
    deadlock,           // EDEADLK
    limit_reached,      // A bound of ours: too many sessions, locks, open files.
    io_failed,          // The device said no.
};

std::string_view name_of(Code code);

// No allocation, so the error path costs what the happy path costs.
struct Error {
    Code code;
    std::string_view what;  // A literal naming the failed step, such as "drive.write".
};

// Either a value or an Error. Never ignored: the type is [[nodiscard]].
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, error) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }
    T& value() & {
        CHECK(ok());
        return *std::get_if<0>(&state_);
    }
    const T& value() const& {
        CHECK(ok());
        return *std::get_if<0>(&state_);
    }
    T&& value() && {
        CHECK(ok());
        return std::move(*std::get_if<0>(&state_));
    }
    Error error() const {
        CHECK(!ok());
        return *std::get_if<1>(&state_);
    }
    // Code::ok or the error's code.
    Code code() const { return ok() ? Code::ok : error().code; }

private:
    std::variant<T, Error> state_;
};

struct Done {};  // The value of an operation that only succeeds or fails.

}  // namespace weft
