#include "roles/frontend/errno_table.h"

#include <cerrno>

namespace weft::frontend {

int errno_of(Code code) {
    switch (code) {
        case Code::ok:
            return 0;
        // Waited out: a program must not take it for "nothing to read yet" (EAGAIN).
        case Code::retry_later:
            return ETIMEDOUT;
        case Code::refresh_map:
        case Code::fenced:
        case Code::corrupt:
        case Code::unavailable:
        case Code::io_failed:
            return EIO;
        case Code::cancelled:
            return ENOTCONN;
        case Code::interrupted:
            return EINTR;
        case Code::out_of_space:
            return ENOSPC;
        case Code::quota_exceeded:
            return EDQUOT;
        case Code::invalid:
            return EINVAL;
        case Code::not_supported:
            return EOPNOTSUPP;
        case Code::not_found:
            return ENOENT;
        case Code::already_exists:
            return EEXIST;
        case Code::not_a_directory:
            return ENOTDIR;
        case Code::is_a_directory:
            return EISDIR;
        case Code::not_empty:
            return ENOTEMPTY;
        case Code::permission_denied:
            return EACCES;
        case Code::not_permitted:
            return EPERM;
        case Code::read_only:
            return EROFS;
        case Code::cross_filesystem:
            return EXDEV;
        case Code::too_many_links:
            return EMLINK;
        case Code::name_too_long:
            return ENAMETOOLONG;
        case Code::file_too_large:
            return EFBIG;
        case Code::no_attribute:
            return ENODATA;
        case Code::range_too_small:
            return ERANGE;
        case Code::no_data:
            return ENXIO;
        case Code::stale:
            return ESTALE;
        case Code::would_block:
            return EAGAIN;
        case Code::deadlock:
            return EDEADLK;
        case Code::limit_reached:
            return ENOLCK;
    }
    return EIO;
}

}  // namespace weft::frontend
