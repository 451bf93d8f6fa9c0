#include "engines/index/filter.h"
#include "engines/index/page_reader_internal.h"
#include "platform/isal/crc32c.h"

#include <algorithm>
#include <utility>

namespace weft::index {
namespace {

const Error kCorrupt{Code::corrupt, "index.read"};

bool crcs_match(ConstBytes blocks, std::span<const std::uint32_t> crcs) {
    for (std::size_t i = 0; i < crcs.size(); ++i) {
        if (crc32c(blocks.subspan(i * kBlockBytes, kBlockBytes)) != crcs[i]) return false;
    }
    return true;
}

Result<PagePtr> make_page(const Run& run, PageKind kind, std::uint32_t block, Buffer bytes) {
    PagePtr page(new Page);
    page->run = run.id();
    page->block = block;
    page->bytes = std::move(bytes);
    if (kind == PageKind::filter) {
        if (auto sound = decode_filter(page->bytes.bytes()); !sound.ok()) return sound.error();
        return page;
    }
    auto view = decode_page(page->bytes.bytes(), kind);
    if (!view.ok()) return view.error();
    page->view = view.value();
    return page;
}

}  // namespace

// Reads what lies together from `first` on, and says in *done how many blocks that was.
Task<Done> PageReader::read_place(RunPtr run, std::uint32_t first,
                                  std::span<const std::uint32_t> crcs, Bytes into,
                                  std::uint32_t* done) {
    for (;;) {
        std::uint64_t placement = run->placement();
        BlockRun place = run->locate(first, static_cast<std::uint32_t>(crcs.size()));
        std::span<const std::uint32_t> here = crcs.first(place.count);
        Bytes part = into.first(place.count * kBlockBytes);
        auto read = co_await store_.read(place, here, part);
        counters_.blocks_read += place.count;
        if (read.ok() && crcs_match(part, here)) {
            *done = place.count;
            co_return Done{};
        }
        // The blocks have moved while we read where they were.
        if (run->placement() != placement) continue;
        if (run->leaving()) co_return Error{Code::stale, "index.read"};
        // A run in use whose segment is gone, or with wrong bytes: it is lost.
        if (read.ok() || read.code() == Code::stale) co_return kCorrupt;
        co_return read.error();
    }
}

Task<Done> PageReader::read_blocks(RunPtr run, std::uint32_t first, std::vector<std::uint32_t> crcs,
                                   Bytes into) {
    CHECK(into.size() == crcs.size() * kBlockBytes);
    std::uint64_t end = std::uint64_t{first} + crcs.size();
    if (crcs.empty() || end > run->record().body_blocks) co_return kCorrupt;
    std::span<const std::uint32_t> left = crcs;
    while (!left.empty()) {
        std::uint32_t done = 0;
        co_await or_return(co_await read_place(run, first, left, into, &done));
        first += done;
        left = left.subspan(done);
        into = into.subspan(done * kBlockBytes);
    }
    co_return Done{};
}

Task<std::vector<PagePtr>> PageReader::load(RunPtr run, PageKind kind,
                                            std::vector<PageBlocks> pages, PageUse use) {
    CHECK(!pages.empty());
    std::uint32_t first = pages.front().first;
    std::vector<PagePtr> loaded;
    while (Signal* loading = cache_.loading(run->id(), first)) {
        co_await loading->wait();
        if (PagePtr page = cached(*run, first)) {
            loaded.push_back(std::move(page));
            co_return std::move(loaded);
        }
    }
    LoadMark mark(cache_, reactor_, run->id(), first);
    std::vector<std::uint32_t> crcs;
    for (const PageBlocks& page : pages) {
        if (page.first != first + crcs.size()) co_return kCorrupt;
        crcs.insert(crcs.end(), page.crcs.begin(), page.crcs.end());
    }
    Buffer bytes(crcs.size() * kBlockBytes);
    co_await or_return(co_await read_blocks(run, first, std::move(crcs), bytes.bytes()));

    for (const PageBlocks& blocks : pages) {
        Buffer own;
        if (pages.size() == 1) {
            own = std::exchange(bytes, Buffer());
        } else {
            own = Buffer(blocks.count() * kBlockBytes);
            ConstBytes from = bytes.bytes().subspan((blocks.first - first) * kBlockBytes);
            std::copy_n(from.begin(), own.size(), own.bytes().begin());
        }
        auto page = make_page(*run, kind, blocks.first, std::move(own));
        if (!page.ok()) co_return page.error();
        if (use != PageUse::once) cache_.insert(page.value(), use == PageUse::often);
        loaded.push_back(std::move(page.value()));
    }
    co_return std::move(loaded);
}

Task<RunPtr> PageReader::open(RunRecord record) {
    Buffer head(record.head.crcs.size() * kBlockBytes);
    std::span<const std::uint32_t> crcs = record.head.crcs;
    Bytes into = head.bytes();
    for (const BlockRun& place : record.head.runs) {
        std::span<const std::uint32_t> here = crcs.first(place.count);
        Bytes part = into.first(place.count * kBlockBytes);
        co_await or_return(co_await store_.read(place, here, part));
        counters_.blocks_read += place.count;
        if (!crcs_match(part, here)) co_return kCorrupt;
        crcs = crcs.subspan(place.count);
        into = into.subspan(place.count * kBlockBytes);
    }
    auto decoded = co_await or_return(decode_head(head.bytes(), record.body_blocks));
    co_return std::make_shared<Run>(cache_.new_run_id(), std::move(record), std::move(decoded));
}

}  // namespace weft::index
