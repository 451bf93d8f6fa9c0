#include "platform/uring/errors_internal.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(Errors, OfADriveSayWhetherItIsGoneOrFullOrBad) {
    for (int gone : {ENODEV, ENXIO, EBADF, ESHUTDOWN}) {
        EXPECT_EQ(disk_code_of(gone), Code::unavailable) << gone;
    }
    EXPECT_EQ(disk_code_of(ENOSPC), Code::out_of_space);
    // A drive reports a lost sector as EIO, ENODATA or EILSEQ, a fabric that is slow or torn
    // as the others: none may look like a code with a meaning of its own.
    for (int bad : {EIO, ENODATA, EILSEQ, EREMOTEIO, ETIMEDOUT, EINVAL, ENOENT, EAGAIN, 9999}) {
        EXPECT_EQ(disk_code_of(bad), Code::io_failed) << bad;
    }
}

TEST(Errors, OfAStreamSayThatThePeerIsGoneUnlessTheLimitIsOurs) {
    for (int gone : {EPIPE, ECONNRESET, ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENOENT, 9999}) {
        EXPECT_EQ(stream_code_of(gone), Code::unavailable) << gone;
    }
    EXPECT_EQ(stream_code_of(EAGAIN), Code::would_block);
    EXPECT_EQ(stream_code_of(ENOMEM), Code::retry_later);
    EXPECT_EQ(stream_code_of(EMFILE), Code::limit_reached);
}

TEST(Errors, OfOtherCallsKeepTheirMeaning) {
    EXPECT_EQ(code_of(ENOENT), Code::not_found);
    EXPECT_EQ(code_of(EEXIST), Code::already_exists);
    EXPECT_EQ(code_of(EADDRINUSE), Code::already_exists);
    EXPECT_EQ(code_of(EBUSY), Code::would_block);
    EXPECT_EQ(code_of(EACCES), Code::permission_denied);
    EXPECT_EQ(code_of(EPERM), Code::not_permitted);
    EXPECT_EQ(code_of(9999), Code::io_failed);
}

}  // namespace
}  // namespace weft
