#pragma once

#include "model/layout/batch.h"
#include "model/layout/records.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace weft::compute {

// Says from what a shard opens. Written once its runs survive loss of power.
struct ManifestRecord {
    ShardId shard;
    Lsn covers;  // Every mutation of the index up to it is in the manifest's runs.
    std::string manifest;
    // Where the runs lie, and the segments that were open: what is needed to read before the
    // index is there. A segment that is neither was closed and flushed before.
    std::vector<std::pair<SegmentId, SegmentRecord>> segments;
    Batch accounts;  // Live blocks of the runs that came and went.
};

using JournalRecord = std::variant<Transaction, ManifestRecord>;

// One byte of kind, then the body. Format: docs/formats/journal-records.md.
std::string encode_record(const Transaction& transaction);
std::string encode_record(const ManifestRecord& manifest);
// Empty on anything malformed.
std::optional<JournalRecord> decode_record(std::string_view in);

}  // namespace weft::compute
