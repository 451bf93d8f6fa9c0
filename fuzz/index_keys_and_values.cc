#include "input.h"
#include "model/layout/keys.h"
#include "model/layout/records.h"
#include "platform/base/check.h"

using namespace weft;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view in = fuzz::text(data, size);
    (void)keys::parse_extent(in);
    (void)keys::parse_entry(in);
    (void)keys::parse_xattr(in);
    (void)keys::parse_segment(in);
    (void)keys::parse_live(in);
    (void)keys::parse_summary(in);
    (void)keys::parse_staged(in);
    (void)keys::parse_orphan(in);
    (void)keys::parse_reply(in);
    if (auto record = decode_inode(in)) CHECK(decode_inode(encode(*record)) == record);
    if (auto record = decode_entry(in)) CHECK(decode_entry(encode(*record)) == record);
    if (auto record = decode_reply(in)) CHECK(decode_reply(encode(*record)) == record);
    if (auto record = decode_lease_client(in)) {
        CHECK(decode_lease_client(encode(*record)) == record);
    }
    if (auto record = decode_extent(in)) CHECK(decode_extent(encode(*record)) == record);
    if (auto record = decode_segment(in)) CHECK(decode_segment(encode(*record)) == record);
    return 0;
}
