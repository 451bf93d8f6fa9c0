#include "input.h"
#include "platform/base/bytes.h"
#include "platform/base/check.h"
#include "platform/fuse/fuse_channel.h"
#include "roles/frontend/request.h"

#include <string>
#include <variant>

namespace {

using namespace weft;
using namespace weft::frontend;

// Whatever is decoded keeps the promises of request.h, which the handlers rely on.
void check(const Operation& operation, ConstBytes message) {
    if (const auto* write = std::get_if<Write>(&operation)) {
        CHECK(write->data.size() <= message.size());
        CHECK(write->offset <= INT64_MAX - write->data.size());
    } else if (const auto* read = std::get_if<Read>(&operation)) {
        CHECK(read->size <= kFusePayloadMost);
    } else if (const auto* directory = std::get_if<ReadDirectory>(&operation)) {
        CHECK(directory->size <= kFusePayloadMost);
    } else if (const auto* lookup = std::get_if<Lookup>(&operation)) {
        CHECK(!lookup->name.empty() && lookup->name.size() <= 255);
        CHECK(lookup->name.find('\0') == lookup->name.npos);
    } else if (const auto* rename = std::get_if<Rename>(&operation)) {
        CHECK(!rename->from_name.empty() && !rename->to_name.empty());
        CHECK(rename->to_name.find('/') == rename->to_name.npos);
    } else if (const auto* store = std::get_if<StoreXattr>(&operation)) {
        CHECK(store->value.size() <= message.size());
    }
}

}  // namespace

// The first byte chooses the opcode and the dialect, so that noise reaches every decoder; the
// length is set right, which noise would hardly do.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)decode_header(fuzz::input(data, size));
    if (size < 3) return 0;
    fuse_in_header header{};
    header.opcode = data[0] % 64;
    header.total_extlen = static_cast<std::uint16_t>(data[1] % 4 == 0 ? data[2] : 0);
    std::string message(text_of(image_of(header)));
    message.append(fuzz::text(data + 3, size - 3));
    header.len = static_cast<std::uint32_t>(message.size());
    auto decoded = decode_operation(header, bytes_of(message), data[1] % 2 == 0);
    if (decoded.ok()) check(decoded.value(), bytes_of(message));
    return 0;
}
