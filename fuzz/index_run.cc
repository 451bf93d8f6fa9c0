#include "engines/index/filter.h"
#include "engines/index/manifest.h"
#include "engines/index/page.h"
#include "input.h"
#include "platform/base/bytes.h"
#include "platform/base/check.h"
#include "platform/isal/crc32c.h"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using weft::ConstBytes;
using weft::index::PageKind;

// Whatever a page that was accepted is asked, the answer lies within it.
void use_page(const weft::index::PageView& page, PageKind kind, std::string_view key) {
    CHECK(page.lower_bound(key) <= page.upper_bound(key));
    CHECK(page.upper_bound(key) <= page.count());
    (void)page.find(key);
    for (std::uint32_t i = 0; i < page.count(); ++i) {
        auto item = page.item(i);
        std::string whole = std::string(page.prefix()) + std::string(item.suffix);
        CHECK(page.lower_bound(whole) <= i);
        if (kind != PageKind::fences) continue;
        auto child = weft::index::decode_child(item.value);
        CHECK(weft::index::encode_child(child) == item.value);
    }
    if (kind == PageKind::fences && page.count() > 0) CHECK(page.child_of(key) < page.count());
}

// With its right checksum: no mutation would come upon that, and all behind it would go untried.
std::string seal(std::string_view body) {
    std::string sealed(body);
    weft::ByteWriter writer(sealed);
    writer.number(weft::crc32c(weft::bytes_of(body)));
    return sealed;
}

}  // namespace

// The first byte chooses the decoder, the second is the length of a key to search.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    auto text = weft::fuzz::text(data, size).substr(2);
    auto key = text.substr(0, data[1]);
    switch (data[0] % 5) {
        case 0: {
            auto sealed = seal(text);
            auto manifest = weft::index::decode_manifest(sealed);
            if (manifest.ok()) CHECK(weft::index::encode(manifest.value()) == sealed);
            (void)weft::index::decode_manifest(text);
            break;
        }
        case 1: {
            std::vector<std::byte> block(weft::kBlockBytes);
            auto bytes = std::as_bytes(std::span(text)).first(std::min(text.size(), block.size()));
            std::copy(bytes.begin(), bytes.end(), block.begin());
            if (!weft::index::decode_filter(block).ok()) break;
            (void)weft::index::filter_may_hold(block, weft::index::filter_hash(key));
            break;
        }
        case 2: {
            auto head = weft::index::decode_head(std::as_bytes(std::span(text)), data[1]);
            if (head.ok()) CHECK(weft::index::count_blocks(head.value().places) == data[1]);
            break;
        }
        default: {
            auto kind = data[0] % 5 == 3 ? PageKind::entries : PageKind::fences;
            auto page = weft::index::decode_page(std::as_bytes(std::span(text)), kind);
            if (page.ok()) use_page(page.value(), kind, key);
        }
    }
    return 0;
}
