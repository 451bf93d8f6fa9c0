#include "roles/frontend/exchange.h"

namespace weft::frontend {

Exchange::Reply Exchange::finish(int error_number) {
    if (error_number != 0) {
        fixed_bytes_ = sizeof(fuse_out_header);
        payload_ = {};
    }
    if (!memory_) memory_ = Memory(kBlockBytes);
    fuse_out_header out{};
    out.len = static_cast<std::uint32_t>(fixed_bytes_ + payload_.size());
    out.error = -error_number;
    out.unique = header_.unique;
    std::memcpy(memory_.bytes().data(), &out, sizeof(out));
    return Reply{memory_.bytes().first(fixed_bytes_), payload_};
}

}  // namespace weft::frontend
