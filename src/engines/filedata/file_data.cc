#include "engines/filedata/file_data.h"

#include "engines/filedata/state_internal.h"

namespace weft::filedata {

FileData::FileData(Reactor& reactor, ShardId shard, index::Index& index,
                   segments::SegmentStore& segments, Committer& committer,
                   FileDataSettings settings)
    : state_(std::make_unique<State>(reactor, shard, index, segments, committer, settings)) {}

FileData::~FileData() = default;

void FileData::apply(const Batch& batch, Lsn lsn) {
    state_->apply(batch, lsn);
}

Task<Done> FileData::read(FileId file, std::uint64_t offset, Bytes into) {
    return state_->read(file, offset, into);
}

Task<PreparedChange> FileData::prepare_write(FileId file, std::uint64_t offset, ConstBytes from) {
    return state_->prepare_write(file, offset, from);
}

Task<PreparedChange> FileData::prepare_punch(FileId file, std::uint64_t offset,
                                             std::uint64_t length, bool keep_reserved) {
    return state_->prepare_punch(file, offset, length, keep_reserved);
}

Task<PreparedChange> FileData::prepare_reserve(FileId file, std::uint64_t offset,
                                               std::uint64_t length) {
    return state_->prepare_reserve(file, offset, length);
}

Task<PreparedChange> FileData::prepare_share(FileId from, std::uint64_t from_offset, FileId to,
                                             std::uint64_t to_offset, std::uint64_t length) {
    return state_->prepare_share(from, from_offset, to, to_offset, length);
}

Task<FileData::Purge> FileData::prepare_purge(FileId file, std::uint64_t from_block,
                                              std::size_t most) {
    return state_->prepare_purge(file, from_block, most);
}

Task<std::uint64_t> FileData::seek(FileId file, std::uint64_t offset, std::uint64_t end,
                                   bool data) {
    return state_->seek(file, offset, end, data);
}

Task<std::uint64_t> FileData::next_region(FileId file, std::uint64_t from_region) {
    auto found =
        co_await or_return(co_await state_->next_region(file, from_region * kRegionBlocks));
    if (found.empty()) co_return Error{Code::no_data, "filedata.next_region"};
    co_return found.front().region;
}

Task<Done> FileData::admit() {
    return state_->admit();
}

std::uint64_t FileData::staged_bytes() const {
    return state_->regions.totals().bytes();
}

bool FileData::destage_is_due() const {
    return staged_bytes() > state_->settings.staged_bytes_usual + state_->carried;
}

Lsn FileData::oldest_staged() const {
    return state_->regions.totals().oldest();
}

Task<Done> FileData::destage(Lsn through) {
    return state_->destage(through);
}

Task<bool> FileData::clean(SegmentId segment) {
    return state_->clean(segment);
}

Task<std::uint64_t> FileData::verify(SegmentId segment) {
    return state_->verify(segment);
}

}  // namespace weft::filedata
