#pragma once

#include "engines/index/entry.h"
#include "platform/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::index {

// Pages of a run: sorted entries that share one key prefix, with a table of offsets so that a
// search needs no decoding. One block each, except that an entry which does not fit into one
// has a page of several to itself. Format: docs/formats/index-run.md.
enum class PageKind : std::uint8_t { entries = 1, fences = 2, filter = 3, head = 4 };
inline constexpr std::uint8_t kRunFormat = 1;

// The key of an item is the page's prefix, then `suffix`.
struct PageItem {
    EntryKind kind = EntryKind::put;
    std::string_view suffix;
    std::string_view value;
};

// The blocks of a page within its run.
struct PageBlocks {
    std::uint32_t first = 0;
    std::vector<std::uint32_t> crcs;  // One crc32c a block.
    std::uint32_t count() const { return static_cast<std::uint32_t>(crcs.size()); }
    std::uint32_t end() const { return first + count(); }
};

// A page whose form was checked. Borrows its bytes.
class PageView {
public:
    PageView() = default;
    std::uint32_t count() const { return count_; }
    std::string_view prefix() const { return prefix_; }
    PageItem item(std::uint32_t index) const;
    // The first item with a key at or after (after) `key`; count() if there is none.
    std::uint32_t lower_bound(std::string_view key) const;
    std::uint32_t upper_bound(std::string_view key) const;
    std::optional<PageItem> find(std::string_view key) const;
    // Of a page of fences: the child that `key` lies in if it lies anywhere in this page.
    std::uint32_t child_of(std::string_view key) const;

private:
    friend Result<PageView> decode_page(ConstBytes page, PageKind kind);
    template <class Before>
    std::uint32_t partition_point(Before before) const;
    std::uint32_t bound(std::string_view key, bool after) const;

    std::string_view bytes_;
    std::uint32_t count_ = 0;
    std::string_view prefix_;
};

// corrupt: not a page of this kind. After it, items can be taken without further checks.
Result<PageView> decode_page(ConstBytes page, PageKind kind);

// The value of a fence, and back. The value must come from a checked page.
std::string encode_child(const PageBlocks& child);
PageBlocks decode_child(std::string_view value);
// The same, without the checksums.
std::uint32_t child_first(std::string_view value);
std::uint32_t child_count(std::string_view value);

// The shortest key s with before < s <= key.
std::string_view separator(std::string_view before, std::string_view key);

// Gathers entries in key order into one page.
class PageBuilder {
public:
    explicit PageBuilder(PageKind kind) : kind_(kind) {}

    bool empty() const { return items_.empty(); }
    // One more entry would still leave the page at one block.
    bool fits(std::string_view key, std::size_t value_bytes) const;
    void add(EntryKind kind, std::string_view key, std::string_view value);
    std::string_view first_key() const { return key_of(items_.front()); }
    std::string_view last_key() const { return key_of(items_.back()); }

    // What write() fills: one block or more.
    std::size_t page_bytes() const;
    // Writes the page; the builder is empty again.
    void write(Bytes page);

private:
    struct Item {
        EntryKind kind;
        std::uint32_t at;
        std::uint32_t key_bytes;
        std::uint32_t value_bytes;
    };
    std::string_view key_of(const Item& item) const {
        return std::string_view(memory_).substr(item.at, item.key_bytes);
    }
    std::size_t size_with(std::size_t count, std::size_t prefix_bytes, std::size_t sum) const;

    PageKind kind_;
    std::vector<Item> items_;
    std::string memory_;
    std::size_t item_bytes_ = 0;  // All items, as if without a prefix.
};

}  // namespace weft::index
