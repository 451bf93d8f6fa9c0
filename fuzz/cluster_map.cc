#include "model/cluster/cluster_map.h"

#include "input.h"
#include "platform/base/check.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto map = weft::decode_cluster_map(weft::fuzz::text(data, size));
    if (map.has_value()) CHECK(weft::encode(*map) == weft::fuzz::text(data, size));
    return 0;
}
