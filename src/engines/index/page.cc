#include "engines/index/page.h"

#include "platform/base/bytes.h"

#include <algorithm>

namespace weft::index {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::size_t kOffsetBytes = 2;

std::size_t varint_bytes(std::size_t value) {
    std::size_t bytes = 1;
    for (; value >= 0x80; value >>= 7) ++bytes;
    return bytes;
}

void write_varint(std::string& out, std::size_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
}

// From checked bytes.
std::uint32_t read_varint(const char*& at) {
    std::uint32_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        auto byte = static_cast<unsigned char>(*at++);
        value |= static_cast<std::uint32_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
}

// False past the end or if longer than any length of ours.
bool read_varint(ByteReader& reader, std::size_t& value) {
    value = 0;
    for (unsigned shift = 0; shift <= 21; shift += 7) {
        auto byte = reader.number<std::uint8_t>();
        value |= static_cast<std::size_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return reader.ok();
    }
    return false;
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
    auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    return static_cast<std::size_t>(in_a - a.begin());
}

template <class T>
T load(std::string_view bytes, std::size_t at) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    return value;
}

bool value_is_sound(PageKind page, EntryKind kind, std::string_view value) {
    if (page == PageKind::fences) {
        return kind == EntryKind::put && value.size() >= 8 && value.size() % 4 == 0;
    }
    switch (kind) {
        case EntryKind::put:
            return value.size() <= kValueBytesMost;
        case EntryKind::erase:
            return value.empty();
        case EntryKind::add:
            return value.size() == kCounterBytes;
    }
    return false;
}

// One item at the start of `in`; false if it is not sound.
bool check_item(ByteReader& in, PageKind page, std::string_view& suffix) {
    auto kind = static_cast<EntryKind>(in.number<std::uint8_t>());
    std::size_t suffix_bytes = 0;
    std::size_t value_bytes = 0;
    if (!read_varint(in, suffix_bytes) || !read_varint(in, value_bytes)) return false;
    suffix = in.take(suffix_bytes);
    std::string_view value = in.take(value_bytes);
    return in.ok() && value_is_sound(page, kind, value);
}

}  // namespace

Result<PageView> decode_page(ConstBytes page, PageKind kind) {
    const Error corrupt{Code::corrupt, "index.page"};
    ByteReader reader(page);
    auto format = reader.number<std::uint8_t>();
    auto page_kind = reader.number<std::uint8_t>();
    auto count = reader.number<std::uint16_t>();
    auto prefix_bytes = reader.number<std::uint16_t>();
    auto reserved = reader.number<std::uint16_t>();
    auto used = reader.number<std::uint32_t>();
    if (!reader.ok() || format != kRunFormat || page_kind != static_cast<std::uint8_t>(kind)) {
        return corrupt;
    }
    if (reserved != 0 || count == 0 || used < kHeaderBytes || used > page.size()) return corrupt;

    ByteReader body(text_of(page).substr(kHeaderBytes, used - kHeaderBytes));
    std::string_view offsets = body.take(count * kOffsetBytes);
    PageView view;
    view.bytes_ = text_of(page);
    view.count_ = count;
    view.prefix_ = body.take(prefix_bytes);
    if (!body.ok()) return corrupt;
    std::string_view previous;
    for (std::uint32_t i = 0; i < count; ++i) {
        auto offset = load<std::uint16_t>(offsets, i * kOffsetBytes);
        if (offset != used - body.remaining()) return corrupt;  // Items lie one behind another.
        std::string_view suffix;
        if (!check_item(body, kind, suffix)) return corrupt;
        if (i > 0 && suffix <= previous) return corrupt;
        if (prefix_bytes + suffix.size() > kKeyBytesMost) return corrupt;
        previous = suffix;
    }
    if (!body.done()) return corrupt;
    return view;
}

PageItem PageView::item(std::uint32_t index) const {
    std::size_t offset_at = kHeaderBytes + std::size_t{index} * kOffsetBytes;
    const char* at = bytes_.data() + load<std::uint16_t>(bytes_, offset_at);
    PageItem item;
    item.kind = static_cast<EntryKind>(*at++);
    std::uint32_t suffix_bytes = read_varint(at);
    std::uint32_t value_bytes = read_varint(at);
    item.suffix = {at, suffix_bytes};
    item.value = {at + suffix_bytes, value_bytes};
    return item;
}

// The first item for which `before(suffix)` is false.
template <class Before>
std::uint32_t PageView::partition_point(Before before) const {
    std::uint32_t low = 0;
    std::uint32_t high = count_;
    while (low < high) {
        std::uint32_t middle = low + (high - low) / 2;
        if (before(item(middle).suffix)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

std::uint32_t PageView::bound(std::string_view key, bool after) const {
    int order = key.substr(0, prefix_.size()).compare(prefix_);
    if (order < 0) return 0;  // A key that ends within the prefix comes first, too.
    if (order > 0) return count_;
    std::string_view suffix = key.substr(prefix_.size());
    if (after) return partition_point([suffix](std::string_view at) { return at <= suffix; });
    return partition_point([suffix](std::string_view at) { return at < suffix; });
}

std::uint32_t PageView::lower_bound(std::string_view key) const {
    return bound(key, false);
}

std::uint32_t PageView::upper_bound(std::string_view key) const {
    return bound(key, true);
}

std::optional<PageItem> PageView::find(std::string_view key) const {
    if (!key.starts_with(prefix_)) return std::nullopt;
    std::uint32_t index = lower_bound(key);
    if (index == count_) return std::nullopt;
    PageItem found = item(index);
    if (found.suffix != key.substr(prefix_.size())) return std::nullopt;
    return found;
}

std::uint32_t PageView::child_of(std::string_view key) const {
    std::uint32_t behind = upper_bound(key);
    return behind == 0 ? 0 : behind - 1;
}

std::string encode_child(const PageBlocks& child) {
    std::string value;
    ByteWriter writer(value);
    writer.number(child.first);
    for (std::uint32_t crc : child.crcs) writer.number(crc);
    return value;
}

PageBlocks decode_child(std::string_view value) {
    PageBlocks child;
    child.first = child_first(value);
    for (std::uint32_t i = 1; i <= child_count(value); ++i) {
        child.crcs.push_back(load<std::uint32_t>(value, std::size_t{i} * 4));
    }
    return child;
}

std::uint32_t child_first(std::string_view value) {
    return load<std::uint32_t>(value, 0);
}

std::uint32_t child_count(std::string_view value) {
    return static_cast<std::uint32_t>(value.size() / 4 - 1);
}

std::string_view separator(std::string_view before, std::string_view key) {
    CHECK(before < key);
    return key.substr(0, common_prefix(before, key) + 1);
}

std::size_t PageBuilder::size_with(std::size_t count, std::size_t prefix_bytes,
                                   std::size_t sum) const {
    return kHeaderBytes + count * kOffsetBytes + prefix_bytes + sum - count * prefix_bytes;
}

namespace {

std::size_t item_size(std::size_t key_bytes, std::size_t value_bytes) {
    return 1 + varint_bytes(key_bytes) + varint_bytes(value_bytes) + key_bytes + value_bytes;
}

}  // namespace

bool PageBuilder::fits(std::string_view key, std::size_t value_bytes) const {
    if (empty()) return true;
    std::size_t sum = item_bytes_ + item_size(key.size(), value_bytes);
    return size_with(items_.size() + 1, common_prefix(first_key(), key), sum) <= kBlockBytes;
}

void PageBuilder::add(EntryKind kind, std::string_view key, std::string_view value) {
    CHECK(empty() || last_key() < key);
    items_.push_back(Item{kind, static_cast<std::uint32_t>(memory_.size()),
                          static_cast<std::uint32_t>(key.size()),
                          static_cast<std::uint32_t>(value.size())});
    memory_.append(key);
    memory_.append(value);
    item_bytes_ += item_size(key.size(), value.size());
}

std::size_t PageBuilder::page_bytes() const {
    CHECK(!empty());
    std::size_t prefix_bytes = common_prefix(first_key(), last_key());
    return round_up(size_with(items_.size(), prefix_bytes, item_bytes_), kBlockBytes);
}

void PageBuilder::write(Bytes page) {
    CHECK(page.size() == page_bytes());
    std::string_view prefix = first_key().substr(0, common_prefix(first_key(), last_key()));
    std::string items;
    items.reserve(item_bytes_);
    std::string offsets;
    ByteWriter offset_writer(offsets);
    std::size_t items_at = kHeaderBytes + items_.size() * kOffsetBytes + prefix.size();
    for (const Item& item : items_) {
        offset_writer.number(static_cast<std::uint16_t>(items_at + items.size()));
        items.push_back(static_cast<char>(item.kind));
        std::string_view suffix = key_of(item).substr(prefix.size());
        write_varint(items, suffix.size());
        write_varint(items, item.value_bytes);
        items.append(suffix);
        items.append(memory_, item.at + item.key_bytes, item.value_bytes);
    }

    std::string head;
    ByteWriter writer(head);
    writer.number(kRunFormat);
    writer.number(static_cast<std::uint8_t>(kind_));
    writer.number(static_cast<std::uint16_t>(items_.size()));
    writer.number(static_cast<std::uint16_t>(prefix.size()));
    writer.number(std::uint16_t{0});
    writer.number(static_cast<std::uint32_t>(items_at + items.size()));
    writer.raw(offsets);
    writer.raw(prefix);
    CHECK(head.size() == items_at && items_at + items.size() <= page.size());
    char* out = reinterpret_cast<char*>(page.data());
    out = std::copy(head.begin(), head.end(), out);
    out = std::copy(items.begin(), items.end(), out);
    std::fill(out, reinterpret_cast<char*>(page.data() + page.size()), '\0');

    items_.clear();
    memory_.clear();
    item_bytes_ = 0;
}

}  // namespace weft::index
