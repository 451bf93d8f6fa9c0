#include "engines/index/memtable_internal.h"

#include <algorithm>
#include <new>

namespace weft::index {
namespace {

constexpr std::size_t kFirstPieceBytes = 4 * kKiB;
constexpr std::size_t kPieceBytesMost = 128 * kKiB;

}  // namespace

char* Arena::allocate(std::size_t bytes) {
    bytes = round_up(bytes, 8);
    if (bytes > free_bytes_) {
        // Pieces grow with what is held already: an idle table of a small shard stays small.
        std::size_t usual = std::clamp(allocated_bytes_, kFirstPieceBytes, kPieceBytesMost);
        std::size_t piece = std::max(usual, bytes);
        pieces_.push_back(std::make_unique_for_overwrite<char[]>(piece));
        allocated_bytes_ += piece;
        if (piece > usual) return pieces_.back().get();  // What was free stays in use.
        free_ = pieces_.back().get();
        free_bytes_ = piece;
    }
    char* memory = free_;
    free_ += bytes;
    free_bytes_ -= bytes;
    return memory;
}

// The pointers to the next node of each level follow the struct, and then the key.
struct Memtable::Node {
    char* value = nullptr;
    std::uint32_t value_bytes = 0;
    std::uint32_t value_capacity = 0;
    std::uint16_t key_bytes = 0;
    EntryKind kind = EntryKind::put;
    std::uint8_t height = 0;

    Node** links() { return reinterpret_cast<Node**>(this + 1); }
    Node* const* links() const { return reinterpret_cast<Node* const*>(this + 1); }
    char* key_memory() { return reinterpret_cast<char*>(links() + height); }
    std::string_view key() const {
        return {reinterpret_cast<const char*>(links() + height), key_bytes};
    }
};

Memtable::Memtable() : head_(make_node({}, kHeightMost)) {}

EntryView Memtable::view(const Node& node) {
    return EntryView{node.kind, node.key(), {node.value, node.value_bytes}};
}

const Memtable::Node* Memtable::next_of(const Node& node) {
    return node.links()[0];
}

char* Memtable::allocate(std::size_t bytes) {
    used_bytes_ += round_up(bytes, 8);
    return arena_.allocate(bytes);
}

Memtable::Node* Memtable::make_node(std::string_view key, int height) {
    std::size_t links_bytes = static_cast<std::size_t>(height) * sizeof(Node*);
    Node* node = new (allocate(sizeof(Node) + links_bytes + key.size())) Node;
    node->height = static_cast<std::uint8_t>(height);
    node->key_bytes = static_cast<std::uint16_t>(key.size());
    std::fill_n(node->links(), height, nullptr);
    std::copy(key.begin(), key.end(), node->key_memory());
    return node;
}

int Memtable::random_height() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    int height = 1;
    for (std::uint64_t bits = random_; (bits & 3) == 0 && height < kHeightMost; bits >>= 2) {
        ++height;
    }
    return height;
}

Memtable::Node* Memtable::at_or_after(std::string_view key, Path& before) {
    Node* node = head_;
    Node* next = nullptr;
    for (int level = height_ - 1; level >= 0; --level) {
        // A node that was already found too large one level up need not be compared again.
        Node* too_large = next;
        next = node->links()[level];
        while (next != nullptr && next != too_large && next->key() < key) {
            node = next;
            next = node->links()[level];
        }
        before[static_cast<std::size_t>(level)] = node;
    }
    return next;
}

const Memtable::Node* Memtable::at_or_after(std::string_view key) const {
    const Node* node = head_;
    const Node* next = nullptr;
    for (int level = height_ - 1; level >= 0; --level) {
        const Node* too_large = next;
        next = node->links()[level];
        while (next != nullptr && next != too_large && next->key() < key) {
            node = next;
            next = node->links()[level];
        }
    }
    return next;
}

std::optional<EntryView> Memtable::find(std::string_view key) const {
    const Node* node = at_or_after(key);
    if (node == nullptr || node->key() != key) return std::nullopt;
    return view(*node);
}

void Memtable::assign(Node& node, EntryKind kind, std::string_view value) {
    CHECK(value.size() <= kValueBytesMost);
    if (value.size() > node.value_capacity) {
        bool grows = node.value != nullptr;  // Then it is likely to grow again.
        std::size_t capacity = round_up(value.size() + (grows ? value.size() / 4 : 0), 8);
        node.value = allocate(capacity);
        node.value_capacity = static_cast<std::uint32_t>(capacity);
    }
    std::copy(value.begin(), value.end(), node.value);
    node.value_bytes = static_cast<std::uint32_t>(value.size());
    node.kind = kind;
}

void Memtable::apply(EntryKind kind, std::string_view key, std::string_view value) {
    CHECK(!key.empty() && key.size() <= kKeyBytesMost);
    Path before;
    Node* node = at_or_after(key, before);
    if (node != nullptr && node->key() == key) {
        Fold fold;
        fold.take(kind, value);
        fold.take(node->kind, {node->value, node->value_bytes});
        std::optional<EntryKind> merged = fold.finish();
        if (merged.has_value()) {
            assign(*node, *merged, fold.value());
        } else {
            static constexpr char kZero[kCounterBytes] = {};
            assign(*node, EntryKind::add, std::string_view(kZero, kCounterBytes));
        }
        return;
    }
    int height = random_height();
    for (; height_ < height; ++height_) before[static_cast<std::size_t>(height_)] = head_;
    Node* fresh = make_node(key, height);
    assign(*fresh, kind, value);
    for (int level = 0; level < height; ++level) {
        Node* previous = before[static_cast<std::size_t>(level)];
        fresh->links()[level] = previous->links()[level];
        previous->links()[level] = fresh;
    }
    ++entries_;
}

void Memtable::apply(const Batch& batch) {
    for (const Mutation& mutation : batch.mutations()) {
        switch (mutation.kind) {
            case Mutation::Kind::put:
                apply(EntryKind::put, mutation.key, mutation.value);
                break;
            case Mutation::Kind::erase:
                apply(EntryKind::erase, mutation.key, {});
                break;
            case Mutation::Kind::add: {
                char delta[kCounterBytes];
                std::memcpy(delta, &mutation.delta, kCounterBytes);
                apply(EntryKind::add, mutation.key, std::string_view(delta, kCounterBytes));
                break;
            }
            case Mutation::Kind::stage:
            case Mutation::Kind::unstage:
                break;
        }
    }
}

}  // namespace weft::index
