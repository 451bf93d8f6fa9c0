#include "engines/index/filter.h"

#include "engines/index/page.h"
#include "platform/base/bytes.h"
#include "platform/base/siphash.h"

#include <algorithm>
#include <string>

namespace weft::index {
namespace {

constexpr SipKey kFilterKey{0x77656674'696e6478ULL, 0x626c6f6f'6d000001ULL};
constexpr std::size_t kHeaderBytes = 8;
constexpr std::uint64_t kBlockBits = (kBlockBytes - kHeaderBytes) * 8;
constexpr int kProbes = 7;

// Calls visit(byte, mask) for each probe until it gives false.
template <class Visit>
void probe(std::uint64_t hash, Visit visit) {
    auto at = static_cast<std::uint32_t>(hash);
    // The upper half chose the block, so its low bits are still free; odd, so as not to repeat.
    std::uint32_t step = (static_cast<std::uint32_t>(hash >> 32) * 0x9e3779b1U) | 1U;
    for (int i = 0; i < kProbes; ++i, at += step) {
        std::uint64_t bit = (std::uint64_t{at} * kBlockBits) >> 32;
        if (!visit(kHeaderBytes + bit / 8, std::byte{1} << (bit % 8))) return;
    }
}

}  // namespace

std::uint64_t filter_hash(std::string_view key) {
    return siphash(kFilterKey, bytes_of(key));
}

std::uint32_t filter_block_of(std::uint64_t hash, std::uint32_t block_count) {
    return static_cast<std::uint32_t>(((hash >> 32) * block_count) >> 32);
}

bool filter_may_hold(ConstBytes block, std::uint64_t hash) {
    bool held = true;
    probe(hash, [&](std::size_t byte, std::byte mask) {
        held = (block[byte] & mask) != std::byte{0};
        return held;
    });
    return held;
}

Result<Done> decode_filter(ConstBytes block) {
    ByteReader reader(block);
    auto format = reader.number<std::uint8_t>();
    auto kind = reader.number<std::uint8_t>();
    if (block.size() != kBlockBytes || format != kRunFormat ||
        kind != static_cast<std::uint8_t>(PageKind::filter)) {
        return Error{Code::corrupt, "index.filter"};
    }
    return Done{};
}

std::uint32_t filter_block_count(std::size_t hash_count) {
    std::uint64_t bits = std::max<std::uint64_t>(hash_count * kFilterBitsPerKey, 1);
    return static_cast<std::uint32_t>(divide_up(bits, kBlockBits));
}

void write_filter(const std::vector<std::uint64_t>& hashes, Bytes blocks) {
    std::uint32_t count = filter_block_count(hashes.size());
    CHECK(blocks.size() == count * kBlockBytes);
    std::fill(blocks.begin(), blocks.end(), std::byte{0});
    for (std::uint32_t i = 0; i < count; ++i) {
        blocks[i * kBlockBytes] = std::byte{kRunFormat};
        blocks[i * kBlockBytes + 1] = static_cast<std::byte>(PageKind::filter);
    }
    for (std::uint64_t hash : hashes) {
        Bytes block = blocks.subspan(filter_block_of(hash, count) * kBlockBytes, kBlockBytes);
        probe(hash, [&](std::size_t byte, std::byte mask) {
            block[byte] |= mask;
            return true;
        });
    }
}

bool within_scan_prefix(std::string_view from, std::string_view to) {
    if (from.size() < kScanPrefixBytes) return false;
    std::string prefix(from.substr(0, kScanPrefixBytes));
    if (to.starts_with(prefix)) return true;
    // Else only if `to` is the first key behind all that begin with the prefix.
    while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
    if (prefix.empty()) return false;
    prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
    return to == prefix;
}

}  // namespace weft::index
