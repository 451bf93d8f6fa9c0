#pragma once

#include "platform/base/result.h"
#include "platform/base/types.h"

#include <type_traits>

namespace weft::rpc {

// The head of every message on a connection. Behind it come `meta_bytes` of encoded arguments
// or results, then `payload_bytes` of file data.
// Format: docs/formats/rpc.md. Changing a field means a new kFrameFormat.
inline constexpr std::uint32_t kFrameMagic = 0x74667765;  // "ewft" little-endian
inline constexpr std::uint16_t kFrameFormat = 1;
inline constexpr std::uint32_t kMetaBytesMost = 1 * kMiB;
inline constexpr std::uint32_t kPayloadBytesMost = 4 * kMiB;

enum class FrameKind : std::uint8_t { request = 1, reply = 2 };

struct FrameHeader {
    std::uint32_t magic = kFrameMagic;
    std::uint32_t header_crc = 0;  // crc32c of the header with this field zero.
    std::uint32_t body_crc = 0;    // crc32c of meta and payload.
    std::uint16_t format = kFrameFormat;
    FrameKind kind = FrameKind::request;
    std::uint8_t code = 0;   // Of a reply: a Code; 0 is ok.
    std::uint64_t call = 0;  // Chosen by the caller; a reply carries its request's.
    std::uint32_t method = 0;
    std::uint32_t patience_ms = 0;  // Of a request: after so long nobody waits for the reply.
    std::uint32_t meta_bytes = 0;
    std::uint32_t payload_bytes = 0;
};
static_assert(sizeof(FrameHeader) == 40);
static_assert(std::has_unique_object_representations_v<FrameHeader>);

// Fills in the header's own checksum.
void seal(FrameHeader& header);
// corrupt: not a frame of this format, too long, or its checksum is wrong.
Result<FrameHeader> decode_frame_header(ConstBytes bytes);

}  // namespace weft::rpc
