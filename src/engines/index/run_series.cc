#include "engines/index/run_series_internal.h"

namespace weft::index {

void RunSeries::add(EntryKind kind, std::string_view key, std::string_view value) {
    if (writer_ == nullptr) writer_ = std::make_unique<RunWriter>(store_, counters_);
    writer_->add(kind, key, value);
}

bool RunSeries::flush_due() const {
    return writer_ != nullptr && (writer_->flush_due() || writer_->bytes() >= run_bytes_most_);
}

Task<Done> RunSeries::flush() {
    co_await or_return(co_await writer_->flush());
    if (writer_->bytes() >= run_bytes_most_) co_await or_return(co_await finish());
    co_return Done{};
}

Task<Done> RunSeries::finish() {
    if (writer_ == nullptr) co_return Done{};
    auto written = co_await or_return(co_await writer_->finish());
    runs_.push_back(std::make_shared<Run>(cache_.new_run_id(), std::move(written.record),
                                          std::move(written.head)));
    writer_.reset();
    co_return Done{};
}

std::vector<BlockRun> RunSeries::appended() const {
    std::vector<BlockRun> all;
    if (writer_ != nullptr) all = writer_->appended();
    for (const RunPtr& run : runs_) {
        std::vector<BlockRun> blocks = run->blocks();
        all.insert(all.end(), blocks.begin(), blocks.end());
    }
    return all;
}

std::uint64_t RunSeries::memory_bytes() const {
    std::uint64_t bytes = writer_ != nullptr ? writer_->memory_bytes() : 0;
    for (const RunPtr& run : runs_) bytes += run->memory_bytes();
    return bytes;
}

}  // namespace weft::index
