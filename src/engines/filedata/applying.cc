#include "engines/filedata/state_internal.h"
#include "model/layout/keys.h"

#include <utility>

namespace weft::filedata {
namespace {

// Longer than a destage of everything takes. Where one fails, writers hear of it.
constexpr Nanos kAdmitDeadline = 10 * kSecond;

}  // namespace

void push_stage(Batch& batch, FileId file, std::uint64_t offset, std::string bytes) {
    std::string key = keys::staged(file, offset, bytes.size());
    batch.push({Mutation::Kind::stage, std::move(key), std::move(bytes), 0});
}

void push_unstage(Batch& batch, FileId file, std::uint64_t from, std::uint64_t to, Lsn through) {
    auto lsn = static_cast<std::int64_t>(through.value);
    batch.push({Mutation::Kind::unstage, keys::staged(file, from, to - from), {}, lsn});
}

void FileData::State::apply(const Batch& batch, Lsn lsn) {
    bool any_unstaged = false;
    last_lsn = lsn;
    for (const Mutation& mutation : batch.mutations()) {
        if (mutation.kind == Mutation::Kind::stage || mutation.kind == Mutation::Kind::unstage) {
            auto staged = keys::parse_staged(mutation.key);
            CHECK(staged.has_value() && in_one_region(staged->offset, staged->length));
            RegionId id = region_at(staged->file, staged->offset);
            if (mutation.kind == Mutation::Kind::stage) {
                CHECK(mutation.value.size() == staged->length);
                regions.stage(id, staged->offset, mutation.value, lsn);
            } else {
                Lsn through{static_cast<std::uint64_t>(mutation.delta)};
                regions.unstage(id, staged->offset, staged->offset + staged->length, through);
                any_unstaged = true;
            }
        } else if (auto extent = keys::parse_extent(mutation.key)) {
            RegionId id{extent->file, (extent->end_block - 1) / kRegionBlocks};
            if (Region* region = regions.find(id)) ++region->version;
        }
    }
    if (any_unstaged) unstaged.notify_all();
}

Lsn FileData::State::commit(Batch batch) {
    Transaction transaction;
    transaction.on(shard).append(std::move(batch));
    return committer.commit(std::move(transaction));
}

Task<Done> FileData::State::admit() {
    Nanos deadline = reactor.now() + kAdmitDeadline;
    while (regions.totals().bytes() > settings.staged_bytes_most) {
        bool in_time = co_await unstaged.wait(deadline);
        if (!in_time) co_return Error{Code::retry_later, "filedata.admit"};
    }
    co_return Done{};
}

}  // namespace weft::filedata
