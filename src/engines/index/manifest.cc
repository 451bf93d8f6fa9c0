#include "engines/index/manifest.h"

#include "engines/index/entry.h"
#include "engines/index/page.h"
#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <algorithm>

namespace weft::index {
namespace {

constexpr std::uint32_t kManifestMagic = 0x4d585757;  // "WWXM"
constexpr std::uint16_t kManifestFormat = 1;
constexpr std::size_t kBlockRunBytes = 18;
constexpr std::uint32_t kBodyBlocksMost = 1U << 30;
constexpr std::uint32_t kHeadBlocksMost = 1U << 16;

void write(ByteWriter& writer, const BlockRun& run) {
    writer.number(run.first.segment.value);
    writer.number(run.first.block);
    writer.number(run.first.chunk);
    writer.number(run.count);
}

BlockRun read_block_run(ByteReader& reader) {
    BlockRun run;
    run.first.segment.value = reader.number<std::uint64_t>();
    run.first.block = reader.number<std::uint32_t>();
    run.first.chunk = reader.number<std::uint16_t>();
    run.count = reader.number<std::uint32_t>();
    return run;
}

void write(ByteWriter& writer, const std::vector<BlockRun>& runs) {
    writer.number(static_cast<std::uint32_t>(runs.size()));
    for (const BlockRun& run : runs) write(writer, run);
}

// False unless they are sound and hold `blocks` blocks.
bool read(ByteReader& reader, std::uint64_t blocks, std::vector<BlockRun>& runs) {
    auto count = reader.number<std::uint32_t>();
    if (count > reader.remaining() / kBlockRunBytes) return false;
    for (std::uint32_t i = 0; i < count; ++i) {
        BlockRun run = read_block_run(reader);
        if (run.count == 0 || run.first.block > UINT32_MAX - run.count) return false;
        runs.push_back(run);
    }
    return count_blocks(runs) == blocks;
}

void write(ByteWriter& writer, const std::vector<std::uint32_t>& crcs) {
    for (std::uint32_t crc : crcs) writer.number(crc);
}

bool read(ByteReader& reader, std::uint32_t count, std::vector<std::uint32_t>& crcs) {
    if (count > reader.remaining() / sizeof(std::uint32_t)) return false;
    crcs.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) crcs.push_back(reader.number<std::uint32_t>());
    return true;
}

void write(ByteWriter& writer, const RunRecord& run) {
    writer.number(run.level);
    writer.number(run.body_blocks);
    writer.number(run.entries);
    writer.number(run.erases);
    writer.text(run.first_key);
    writer.text(run.last_key);
    writer.number(static_cast<std::uint32_t>(run.head.crcs.size()));
    write(writer, run.head.runs);
    write(writer, run.head.crcs);
    write(writer, run.body);
}

bool is_key(std::string_view key) {
    return !key.empty() && key.size() <= kKeyBytesMost;
}

bool read(ByteReader& reader, RunRecord& run) {
    run.level = reader.number<std::uint8_t>();
    run.body_blocks = reader.number<std::uint32_t>();
    run.entries = reader.number<std::uint64_t>();
    run.erases = reader.number<std::uint64_t>();
    run.first_key = reader.text();
    run.last_key = reader.text();
    auto head_blocks = reader.number<std::uint32_t>();
    if (run.level >= kLevelCount || run.entries == 0 || run.erases > run.entries) return false;
    if (run.body_blocks == 0 || run.body_blocks > kBodyBlocksMost) return false;
    if (head_blocks == 0 || head_blocks > kHeadBlocksMost) return false;
    if (!is_key(run.first_key) || !is_key(run.last_key) || run.last_key < run.first_key) {
        return false;
    }
    return read(reader, head_blocks, run.head.runs) && read(reader, head_blocks, run.head.crcs) &&
           read(reader, run.body_blocks, run.body);
}

bool in_order(const RunRecord& before, const RunRecord& run) {
    if (run.level != before.level) return before.level < run.level;
    return run.level == 0 || before.last_key < run.first_key;
}

void write(ByteWriter& writer, const Partition& partition) {
    writer.text(partition.key);
    writer.number(partition.filter_first);
    writer.number(static_cast<std::uint16_t>(partition.filter_count()));
    write(writer, partition.filter_crcs);
    writer.number(partition.fences_crc);
}

bool read(ByteReader& reader, std::uint32_t body_blocks, Partition& partition) {
    partition.key = reader.text();
    partition.filter_first = reader.number<std::uint32_t>();
    auto filter_count = reader.number<std::uint16_t>();
    if (!is_key(partition.key) || filter_count == 0) return false;
    if (!read(reader, filter_count, partition.filter_crcs)) return false;
    partition.fences_crc = reader.number<std::uint32_t>();
    return reader.ok() && partition.filter_first < body_blocks &&
           body_blocks - partition.filter_first > filter_count;
}

}  // namespace

std::uint64_t count_blocks(const std::vector<BlockRun>& runs) {
    std::uint64_t blocks = 0;
    for (const BlockRun& run : runs) blocks += run.count;
    return blocks;
}

std::vector<BlockRun> joined(std::vector<BlockRun> runs) {
    auto by_slot = [](const BlockRun& a, const BlockRun& b) {
        if (a.first.segment != b.first.segment) return a.first.segment < b.first.segment;
        if (a.first.chunk != b.first.chunk) return a.first.chunk < b.first.chunk;
        return a.first.block < b.first.block;
    };
    std::sort(runs.begin(), runs.end(), by_slot);
    std::vector<BlockRun> out;
    for (const BlockRun& run : runs) {
        if (!out.empty()) {
            BlockRun& last = out.back();
            bool same_slot =
                last.first.segment == run.first.segment && last.first.chunk == run.first.chunk;
            if (same_slot && last.first.block + last.count == run.first.block) {
                last.count += run.count;
                continue;
            }
        }
        out.push_back(run);
    }
    return out;
}

std::string encode(const Manifest& manifest) {
    std::string out;
    ByteWriter writer(out);
    writer.number(kManifestMagic);
    writer.number(kManifestFormat);
    writer.number(manifest.covers.value);
    writer.number(static_cast<std::uint32_t>(manifest.runs.size()));
    for (const RunRecord& run : manifest.runs) write(writer, run);
    writer.number(crc32c(bytes_of(out)));
    return out;
}

Result<Manifest> decode_manifest(std::string_view bytes) {
    const Error corrupt{Code::corrupt, "index.manifest"};
    if (bytes.size() < sizeof(std::uint32_t)) return corrupt;
    std::string_view body = bytes.substr(0, bytes.size() - sizeof(std::uint32_t));
    ByteReader tail(bytes.substr(body.size()));
    if (tail.number<std::uint32_t>() != crc32c(bytes_of(body))) return corrupt;

    ByteReader reader(body);
    auto magic = reader.number<std::uint32_t>();
    auto format = reader.number<std::uint16_t>();
    if (magic != kManifestMagic || format != kManifestFormat) return corrupt;
    Manifest manifest;
    manifest.covers.value = reader.number<std::uint64_t>();
    auto count = reader.number<std::uint32_t>();
    for (std::uint32_t i = 0; i < count; ++i) {
        RunRecord run;
        if (!reader.ok() || !read(reader, run)) return corrupt;
        if (i > 0 && !in_order(manifest.runs.back(), run)) return corrupt;
        manifest.runs.push_back(std::move(run));
    }
    if (!reader.done()) return corrupt;
    return manifest;
}

std::string encode(const RunHead& head) {
    std::string out;
    ByteWriter writer(out);
    writer.number(kRunFormat);
    writer.number(static_cast<std::uint8_t>(PageKind::head));
    writer.number(std::uint16_t{0});
    write(writer, head.places);
    writer.number(static_cast<std::uint32_t>(head.partitions.size()));
    for (const Partition& partition : head.partitions) write(writer, partition);
    out.resize(round_up(out.size(), kBlockBytes), '\0');
    return out;
}

Result<RunHead> decode_head(ConstBytes bytes, std::uint32_t body_blocks) {
    const Error corrupt{Code::corrupt, "index.head"};
    ByteReader reader(bytes);
    auto format = reader.number<std::uint8_t>();
    auto kind = reader.number<std::uint8_t>();
    auto reserved = reader.number<std::uint16_t>();
    if (format != kRunFormat || kind != static_cast<std::uint8_t>(PageKind::head)) return corrupt;
    RunHead head;
    if (reserved != 0 || !read(reader, body_blocks, head.places)) return corrupt;
    auto count = reader.number<std::uint32_t>();
    if (!reader.ok() || count == 0) return corrupt;
    for (std::uint32_t i = 0; i < count; ++i) {
        Partition partition;
        if (!read(reader, body_blocks, partition)) return corrupt;
        if (i > 0) {
            const Partition& before = head.partitions.back();
            if (partition.key <= before.key) return corrupt;
            if (partition.filter_first <= before.fences_block()) return corrupt;
        }
        head.partitions.push_back(std::move(partition));
    }
    return head;
}

}  // namespace weft::index
