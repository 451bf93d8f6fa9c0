#include "platform/rpc/frame.h"

#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <cstring>

namespace weft::rpc {
namespace {

std::uint32_t checksum(FrameHeader header) {
    header.header_crc = 0;
    return crc32c(image_of(header));
}

}  // namespace

void seal(FrameHeader& header) {
    header.header_crc = checksum(header);
}

Result<FrameHeader> decode_frame_header(ConstBytes bytes) {
    FrameHeader header;
    constexpr Error kBad{Code::corrupt, "rpc.frame"};
    if (bytes.size() < sizeof(header)) return kBad;
    std::memcpy(&header, bytes.data(), sizeof(header));
    bool known = header.magic == kFrameMagic && header.format == kFrameFormat &&
                 (header.kind == FrameKind::request || header.kind == FrameKind::reply) &&
                 header.code <= static_cast<std::uint8_t>(Code::io_failed);
    bool fits = header.meta_bytes <= kMetaBytesMost && header.payload_bytes <= kPayloadBytesMost;
    if (!known || !fits || header.header_crc != checksum(header)) return kBad;
    return header;
}

}  // namespace weft::rpc
