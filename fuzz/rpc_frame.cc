#include "input.h"
#include "platform/base/bytes.h"
#include "platform/rpc/frame.h"

#include <cstring>

using namespace weft;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)rpc::decode_frame_header(fuzz::input(data, size));
    // Sealed as it is, so that what lies behind the checksum is reached, too.
    rpc::FrameHeader header;
    if (size < sizeof(header)) return 0;
    std::memcpy(static_cast<void*>(&header), data, sizeof(header));
    header.magic = rpc::kFrameMagic;
    header.format = rpc::kFrameFormat;
    rpc::seal(header);
    auto decoded = rpc::decode_frame_header(image_of(header));
    if (decoded.ok()) CHECK(decoded.value().payload_bytes <= rpc::kPayloadBytesMost);
    return 0;
}
