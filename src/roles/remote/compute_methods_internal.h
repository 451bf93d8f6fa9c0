#pragma once

#include <cstdint>

namespace weft::remote {

// Numbers on the wire: docs/formats/services.md. None is ever used again.
enum class Method : std::uint32_t {
    lookup = 100,
    getattr = 101,
    setattr = 102,
    create = 103,
    create_open = 104,
    create_unnamed = 105,
    link = 106,
    unlink = 107,
    rmdir = 108,
    rename = 109,
    readlink = 110,
    readdir = 111,
    open = 112,
    release = 113,
    release_lease = 114,
    fsync = 115,
    sync = 116,
    fallocate = 117,
    copy_range = 118,
    seek = 119,
    setxattr = 120,
    getxattr = 121,
    listxattr = 122,
    removexattr = 123,
    lock = 124,
    test_lock = 125,
    cancel_lock = 126,
    read = 127,
    write = 128,
    usage = 129,
    open_session = 130,
    recall = 131,
    attach = 132,
    ping = 133,
    close_session = 134,
};

constexpr std::uint32_t number_of(Method method) {
    return static_cast<std::uint32_t>(method);
}

}  // namespace weft::remote
