#include "platform/isal/crc32c.h"

#include "platform/base/check.h"

#include <limits>

#include <isa-l/crc.h>

namespace weft {

std::uint32_t crc32c(ConstBytes bytes, std::uint32_t previous) {
    CHECK(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
    // ISA-L takes the raw register, before the final inversion, and a pointer to non-const.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~previous);
}

}  // namespace weft
