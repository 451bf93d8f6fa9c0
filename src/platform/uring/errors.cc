#include "platform/uring/errors_internal.h"

#include <cerrno>

namespace weft {

Code code_of(int error_number) {
    switch (error_number) {
        case EAGAIN:
        case EBUSY:
        case ETXTBSY:
            return Code::would_block;
        case ENOENT:
            return Code::not_found;
        case EEXIST:
        case EADDRINUSE:
            return Code::already_exists;
        case EACCES:
            return Code::permission_denied;
        case EPERM:
            return Code::not_permitted;
        case EROFS:
            return Code::read_only;
        case EISDIR:
            return Code::is_a_directory;
        case ENOTDIR:
            return Code::not_a_directory;
        case ENOSPC:
        case EDQUOT:
            return Code::out_of_space;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
            return Code::limit_reached;
        case EINVAL:
        case EADDRNOTAVAIL:
            return Code::invalid;
        case ENAMETOOLONG:
            return Code::name_too_long;
        case EFBIG:
            return Code::file_too_large;
        case EOPNOTSUPP:
        case EAFNOSUPPORT:
        case ENOSYS:
            return Code::not_supported;
        case ENOMEM:
            return Code::retry_later;
        case EINTR:
            return Code::interrupted;
        case ECANCELED:
            return Code::cancelled;
        case ENODEV:
        case ENXIO:
        case EBADF:
        case EPIPE:
        case ESHUTDOWN:
        case ENOTCONN:
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENETDOWN:
        case ENETUNREACH:
        case ENETRESET:
        case ETIMEDOUT:
            return Code::unavailable;
        default:
            return Code::io_failed;
    }
}

Code disk_code_of(int error_number) {
    switch (error_number) {
        case ENODEV:
        case ENXIO:
        case EBADF:
        case ESHUTDOWN:
            return Code::unavailable;
        case ENOSPC:
        case EDQUOT:
            return Code::out_of_space;
        default:
            return Code::io_failed;
    }
}

Code stream_code_of(int error_number) {
    Code code = code_of(error_number);
    bool ours = code == Code::would_block || code == Code::limit_reached ||
                code == Code::retry_later || code == Code::interrupted;
    return ours ? code : Code::unavailable;
}

}  // namespace weft
