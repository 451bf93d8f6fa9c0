#include "engines/filedata/state_internal.h"
#include "platform/base/bytes.h"
#include "platform/base/planted.h"
#include "platform/isal/crc32c.h"
#include "platform/runtime/join.h"

#include <algorithm>
#include <iterator>

namespace weft::filedata {

Task<WrittenBlocks> FileData::State::append(StreamKind stream, ConstBytes data,
                                            segments::Purpose purpose) {
    CHECK(!data.empty() && data.size() % kBlockBytes == 0);
    std::uint64_t most = segments.max_append_bytes();
    std::vector<segments::Claims> claims(divide_up(data.size(), most));
    std::vector<Task<std::vector<BlockRun>>> appends;
    for (std::uint64_t done = 0; done < data.size(); done += most) {
        ConstBytes piece = data.subspan(done, std::min(most, data.size() - done));
        segments::Claims* own = &claims[appends.size()];
        appends.push_back(segments.append(stream, piece, purpose, own));
    }
    WrittenBlocks written;
    for (std::uint64_t done = 0; done < data.size(); done += kBlockBytes) {
        written.crcs.push_back(crc32c(data.subspan(done, kBlockBytes)));
    }
    auto results = co_await join(appends);
    co_await or_return(first_error(results));
    for (auto& result : results) {
        auto places = places_of(result.value());
        std::move(places.begin(), places.end(), std::back_inserter(written.places));
    }
    for (segments::Claims& claim : claims) written.claims.add(std::move(claim));
    CHECK(written.places.size() == written.crcs.size());
    co_return written;
}

bool FileData::State::goes_direct(std::uint64_t offset, std::uint64_t length) const {
    return length >= settings.direct_write_bytes_least && offset % kBlockBytes == 0 &&
           length % kBlockBytes == 0;
}

Task<PreparedChange> FileData::State::prepare_write(FileId file, std::uint64_t offset,
                                                    ConstBytes from) {
    PreparedChange change;
    if (from.empty()) co_return change;
    CHECK(in_one_region(offset, from.size()));
    std::uint64_t end = offset + from.size();
    BlockSpan span = touched_blocks(offset, end);
    bool direct = goes_direct(offset, from.size());
    WrittenBlocks written;
    if (direct) {
        // Not recorded, the blocks are nobody's, so the region need not be locked for this.
        written =
            co_await or_return(co_await append(StreamKind::cold, from, segments::Purpose::user));
    }

    RegionTable::Pin pin = regions.pin(region_at(file, offset));
    auto lock = co_await or_return(co_await pin->mutex.lock());
    BlockSet present = pin->staged.blocks(span);
    ExtentSet before;
    // Only extents tell what the file has gained, but where all blocks are staged: nothing.
    if (direct || present != block_set(span)) {
        before = co_await or_return(co_await scan(file, span));
        present |= before.blocks();
    }
    change.blocks_delta = count_of(block_set(span) & ~present);
    if (direct) {
        ExtentSet after = before;
        after.lay(span.first, written.places, written.crcs);
        record_difference(file, before, after, change.batch);
        change.claims = std::move(written.claims);
        bool over_staged = pin->staged.any(offset, end);
        if (planted(Bug::direct_write_keeps_staged)) over_staged = false;
        if (over_staged) push_unstage(change.batch, file, offset, end, kEveryRecord);
    } else {
        push_stage(change.batch, file, offset, std::string(text_of(from)));
    }
    change.locks.push_back(std::move(lock));
    co_return change;
}

Task<PreparedChange> FileData::State::prepare_reserve(FileId file, std::uint64_t offset,
                                                      std::uint64_t length) {
    PreparedChange change;
    if (length == 0) co_return change;
    CHECK(in_one_region(offset, length));
    BlockSpan span = touched_blocks(offset, offset + length);
    RegionTable::Pin pin = regions.pin(region_at(file, offset));
    auto lock = co_await or_return(co_await pin->mutex.lock());
    ExtentSet before = co_await or_return(co_await scan(file, span));
    BlockSet present = before.blocks() | pin->staged.blocks(span);
    change.blocks_delta = count_of(block_set(span) & ~present);
    ExtentSet after = before;
    after.reserve(span);
    record_difference(file, before, after, change.batch);
    change.locks.push_back(std::move(lock));
    co_return change;
}

}  // namespace weft::filedata
