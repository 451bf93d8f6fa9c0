#pragma once

#include "platform/base/check.h"
#include "platform/base/types.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace weft::index {

// What a table or a run says of a key. The numbers are on drives: docs/formats/index-run.md.
enum class EntryKind : std::uint8_t {
    put = 1,    // The value is this, whatever older entries say.
    erase = 2,  // There is no value, whatever older entries say.
    add = 3,    // The counter is the older entries' sum plus this (8 bytes, little-endian).
};

struct EntryView {
    EntryKind kind = EntryKind::put;
    std::string_view key;
    std::string_view value;
};

// Longer keys and values are a mistake of ours. So that a fence always fits into its block.
inline constexpr std::size_t kKeyBytesMost = 1024;
inline constexpr std::size_t kValueBytesMost = kMiB;
inline constexpr std::size_t kCounterBytes = 8;

// What `add` counts on: a value that is no counter is worth nothing.
inline std::uint64_t counter_of(std::string_view value) {
    std::uint64_t number = 0;
    if (value.size() == kCounterBytes) std::memcpy(&number, value.data(), kCounterBytes);
    return number;
}

// Merges all entries of one key, taken from the newest to the oldest, into the one entry that
// says the same. Values are borrowed: they must outlive value(). Sums wrap.
class Fold {
public:
    Fold() = default;
    Fold(const Fold&) = delete;
    Fold& operator=(const Fold&) = delete;

    void clear() {
        settled_ = has_adds_ = false;
        sum_ = 0;
    }
    void take(EntryKind kind, std::string_view value) {
        if (settled_) return;
        if (kind == EntryKind::add) {
            has_adds_ = true;
            sum_ += counter_of(value);
            return;
        }
        settled_ = true;
        base_ = kind;
        value_ = value;
    }
    // Nothing older matters.
    bool settled() const { return settled_; }

    // The kind of the merged entry, with value() beside it; nothing if no entry is needed to
    // say the same. A counter of zero is no value.
    std::optional<EntryKind> finish() {
        if (!has_adds_) return settled_ ? std::optional(base_) : std::nullopt;
        if (settled_ && base_ == EntryKind::put) sum_ += counter_of(value_);
        has_adds_ = false;
        if (sum_ == 0) {
            base_ = EntryKind::erase;
            return settled_ ? std::optional(base_) : std::nullopt;
        }
        std::memcpy(counter_, &sum_, kCounterBytes);
        value_ = std::string_view(counter_, kCounterBytes);
        base_ = settled_ ? EntryKind::put : EntryKind::add;
        settled_ = true;
        return base_;
    }
    std::string_view value() const {
        return base_ == EntryKind::erase ? std::string_view() : value_;
    }

private:
    bool settled_ = false;
    bool has_adds_ = false;
    EntryKind base_ = EntryKind::put;
    std::uint64_t sum_ = 0;
    std::string_view value_;
    char counter_[kCounterBytes] = {};
};

}  // namespace weft::index
