#pragma once

#include "platform/base/result.h"
#include "platform/base/types.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace weft::index {

// Bloom filters (Bloom 1970) of the keys of a partition of a run: 10 bits a key, 7 probes,
// about 1 % false positives. One or more blocks, of which a key's hash names one, so that a
// look costs one block. The hash is on drives: docs/formats/index-run.md.
//
// Beside each key, the filter holds the first 12 bytes of it, (filesystem, inode): a scan
// within one inode skips the partitions that have nothing of it.
inline constexpr std::size_t kScanPrefixBytes = 12;
inline constexpr std::size_t kFilterBitsPerKey = 10;

std::uint64_t filter_hash(std::string_view key);

// Which of `block_count` blocks has the bits of this hash.
std::uint32_t filter_block_of(std::uint64_t hash, std::uint32_t block_count);
bool filter_may_hold(ConstBytes block, std::uint64_t hash);
// corrupt: not a block of a filter.
Result<Done> decode_filter(ConstBytes block);

std::uint32_t filter_block_count(std::size_t hash_count);
// Fills filter_block_count(hashes.size()) blocks.
void write_filter(const std::vector<std::uint64_t>& hashes, Bytes blocks);

// Whether all keys in [from, to) begin with the same 12 bytes, those of `from`.
bool within_scan_prefix(std::string_view from, std::string_view to);

}  // namespace weft::index
