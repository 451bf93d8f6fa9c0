#pragma once

#include "engines/index/entry.h"
#include "model/ids/ids.h"
#include "model/layout/batch.h"

#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace weft::index {

// Memory that is given back as a whole.
class Arena {
public:
    // Aligned to 8 bytes.
    char* allocate(std::size_t bytes);
    std::size_t allocated_bytes() const { return allocated_bytes_; }

private:
    std::vector<std::unique_ptr<char[]>> pieces_;
    char* free_ = nullptr;
    std::size_t free_bytes_ = 0;
    std::size_t allocated_bytes_ = 0;
};

// The newest entry of each key in key order: a skip list (Pugh 1990) in an arena. An entry
// that fits replaces the old one in place, so that keys written again and again do not grow
// the table. What find() and a cursor give is valid until the next apply().
class Memtable {
    struct Node;

public:
    Memtable();
    Memtable(const Memtable&) = delete;
    Memtable& operator=(const Memtable&) = delete;

    // Mutations put, erase and add; others are passed over.
    void apply(const Batch& batch);

    std::optional<EntryView> find(std::string_view key) const;

    class Cursor {
    public:
        Cursor() = default;  // Behind the last.
        // At the first entry with a key at or after `from`.
        Cursor(const Memtable& table, std::string_view from) : node_(table.at_or_after(from)) {}
        bool valid() const { return node_ != nullptr; }
        EntryView entry() const { return view(*node_); }
        void next() { node_ = next_of(*node_); }

    private:
        const Node* node_ = nullptr;
    };

    bool empty() const { return entries_ == 0; }
    std::size_t entries() const { return entries_; }
    // Memory held, and the part of it that entries have taken.
    std::size_t allocated_bytes() const { return sizeof(*this) + arena_.allocated_bytes(); }
    std::size_t used_bytes() const { return used_bytes_; }

private:
    static constexpr int kHeightMost = 12;
    using Path = std::array<Node*, kHeightMost>;

    static EntryView view(const Node& node);
    static const Node* next_of(const Node& node);
    const Node* at_or_after(std::string_view key) const;
    // The same, and the last node before it in each level.
    Node* at_or_after(std::string_view key, Path& before);
    int random_height();
    char* allocate(std::size_t bytes);
    Node* make_node(std::string_view key, int height);
    void assign(Node& node, EntryKind kind, std::string_view value);
    void apply(EntryKind kind, std::string_view key, std::string_view value);

    Arena arena_;
    Node* head_;
    int height_ = 1;
    std::uint64_t random_ = 0x9e3779b97f4a7c15ULL;
    std::size_t entries_ = 0;
    std::size_t used_bytes_ = 0;
};

}  // namespace weft::index
