#include "engines/index/filter.h"
#include "engines/index/run_writer_internal.h"
#include "platform/base/bytes.h"
#include "platform/isal/crc32c.h"

#include <algorithm>

namespace weft::index {
namespace {

constexpr std::uint64_t kAppendBytesUsual = kMiB;

std::vector<std::uint32_t> crcs_of(ConstBytes blocks) {
    std::vector<std::uint32_t> crcs;
    for (std::size_t at = 0; at < blocks.size(); at += kBlockBytes) {
        crcs.push_back(crc32c(blocks.subspan(at, kBlockBytes)));
    }
    return crcs;
}

void append_place(std::vector<BlockRun>& places, const BlockRun& run) {
    if (!places.empty()) {
        BlockRun& last = places.back();
        BlockAddress behind = last.first;
        behind.block += last.count;
        if (behind == run.first) {
            last.count += run.count;
            return;
        }
    }
    places.push_back(run);
}

}  // namespace

std::size_t append_bytes_of(const RunStore& store) {
    std::uint64_t most = std::min(store.max_append_bytes(), kAppendBytesUsual);
    CHECK(most >= kBlockBytes);
    return round_down(most, kBlockBytes);
}

RunWriter::RunWriter(RunStore& store, IndexCounters& counters)
    : store_(store), counters_(counters), append_bytes_(append_bytes_of(store)) {}

void RunWriter::add(EntryKind kind, std::string_view key, std::string_view value) {
    if (!page_.fits(key, value.size())) close_page();
    if (page_.empty()) page_prefix_.clear();
    if (record_.entries == 0) record_.first_key = key;
    ++record_.entries;
    if (kind == EntryKind::erase) ++record_.erases;
    page_.add(kind, key, value);
    page_bytes_ += key.size() + value.size();
    page_hashes_.push_back(filter_hash(key));
    std::string_view prefix = key.substr(0, kScanPrefixBytes);
    if (prefix.size() == kScanPrefixBytes && prefix != page_prefix_) {
        page_prefix_ = prefix;
        page_hashes_.push_back(filter_hash(prefix));
    }
}

// Room for so many more blocks of the run, to be filled at once.
Bytes RunWriter::take_blocks(std::uint32_t count) {
    std::size_t needed = pending_bytes_ + count * kBlockBytes;
    if (needed > pending_.size()) {
        Buffer larger(std::max(needed, std::min(2 * pending_.size(), append_bytes_)));
        std::copy_n(pending_.data(), pending_bytes_, larger.data());
        pending_ = std::move(larger);
    }
    Bytes blocks = pending_.bytes().subspan(pending_bytes_, count * kBlockBytes);
    pending_bytes_ = needed;
    body_blocks_ += count;
    return blocks;
}

void RunWriter::close_page() {
    auto count = static_cast<std::uint32_t>(page_.page_bytes() / kBlockBytes);
    std::string key(separator(last_key_, page_.first_key()));
    // The partition is closed before the page is written, so that its pages lie together, and
    // before the page's hashes are taken: a key is in the filter of its own partition.
    if (!fences_.fits(key, (1 + count) * sizeof(std::uint32_t))) close_partition();

    last_key_ = page_.last_key();
    PageBlocks child;
    child.first = body_blocks_;
    Bytes blocks = take_blocks(count);
    page_.write(blocks);
    child.crcs = crcs_of(blocks);
    fences_.add(EntryKind::put, key, encode_child(child));
    hashes_.insert(hashes_.end(), page_hashes_.begin(), page_hashes_.end());
    page_hashes_.clear();
    page_bytes_ = 0;
}

void RunWriter::close_partition() {
    Partition partition;
    partition.key = fences_.first_key();
    partition.filter_first = body_blocks_;
    Bytes filter = take_blocks(filter_block_count(hashes_.size()));
    write_filter(hashes_, filter);
    partition.filter_crcs = crcs_of(filter);
    hashes_.clear();

    CHECK(fences_.page_bytes() == kBlockBytes);
    Bytes fences = take_blocks(1);
    fences_.write(fences);
    partition.fences_crc = crc32c(fences);
    head_.partitions.push_back(std::move(partition));
}

// Appends the first `bytes` of what is pending.
Task<Done> RunWriter::append(std::size_t bytes, std::vector<BlockRun>* places) {
    CHECK(bytes > 0 && bytes <= pending_bytes_);
    ConstBytes blocks = pending_.bytes().first(bytes);
    auto runs = co_await or_return(co_await store_.append(blocks));
    CHECK(count_blocks(runs) * kBlockBytes == bytes);
    counters_.blocks_written += bytes / kBlockBytes;
    for (const BlockRun& run : runs) append_place(*places, run);
    std::copy(pending_.data() + bytes, pending_.data() + pending_bytes_, pending_.data());
    pending_bytes_ -= bytes;
    co_return Done{};
}

Task<Done> RunWriter::flush() {
    while (pending_bytes_ >= append_bytes_) {
        co_await or_return(co_await append(append_bytes_, &head_.places));
    }
    co_return Done{};
}

Task<RunWriter::Written> RunWriter::finish() {
    CHECK(!page_.empty());
    record_.last_key = page_.last_key();
    close_page();
    close_partition();
    co_await or_return(co_await flush());
    if (pending_bytes_ > 0) {
        co_await or_return(co_await append(pending_bytes_, &head_.places));
    }
    record_.body_blocks = body_blocks_;
    record_.body = joined(head_.places);

    std::string head = encode(head_);
    Bytes blocks = take_blocks(static_cast<std::uint32_t>(head.size() / kBlockBytes));
    std::copy_n(bytes_of(head).begin(), head.size(), blocks.begin());
    record_.head.crcs = crcs_of(blocks);
    while (pending_bytes_ > 0) {
        std::size_t bytes = std::min(pending_bytes_, append_bytes_);
        co_await or_return(co_await append(bytes, &record_.head.runs));
    }
    Written written;
    written.record = std::move(record_);
    written.head = std::move(head_);
    co_return std::move(written);
}

std::vector<BlockRun> RunWriter::appended() const {
    std::vector<BlockRun> all = head_.places;
    all.insert(all.end(), record_.head.runs.begin(), record_.head.runs.end());
    return all;
}

std::uint64_t RunWriter::memory_bytes() const {
    return pending_.size() + (hashes_.capacity() + page_hashes_.capacity()) * 8;
}

}  // namespace weft::index
