#pragma once

#include "model/ids/ids.h"
#include "model/layout/records.h"
#include "platform/runtime/wait_list.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace weft::compute {

// An inode in memory. While it is here, `record` is what the last commit made of it.
struct Inode : ListNode {
    explicit Inode(FileId file) : id(file) {}

    FileId id;
    bool loaded = false;
    bool exists = false;  // Known once loaded. Numbers are never reused, so false is for good.
    InodeRecord record;
    Lsn changed;                 // Of the last record that changed it since it was loaded; 0: none.
    Lsn loaded_after;            // What had been appended by then: it may not be flushed yet.
    bool atime_unsaved = false;  // The record's atime is ahead of the index.
    // From create_unnamed(): without a name, but may get one.
    bool unnamed = false;
    // A truncation freed nothing behind this block yet: must be done before the file grows.
    std::optional<std::uint64_t> purge_from;
    // Of a directory, once asked for: its default ACL, empty if it has none.
    std::optional<std::string> default_acl;

    std::map<SessionId, std::uint32_t> opens;  // Handles by session.
    // Operations in flight that are about to change it; grants to others wait for their end.
    std::uint32_t changing = 0;
    SessionId changing_by;
    bool changing_by_many = false;

    std::uint32_t pins = 0;

    // Gone, or going as soon as the purge has come to it.
    bool gone() const { return !exists || (record.nlink == 0 && opens.empty() && !unnamed); }
};

class InodePin;

// Inodes in use, and a bounded number of others, least recently used first out. Dirty or
// uncommitted ones stay, whatever the bound.
class InodeTable {
public:
    // `settled` says whether a record can be forgotten as far as the journal is concerned.
    InodeTable(std::size_t most, std::function<bool(Lsn)> settled)
        : most_(most), settled_(std::move(settled)) {}
    ~InodeTable();

    InodePin pin(FileId file);
    std::size_t size() const { return inodes_.size(); }
    // From now on nothing is evicted.
    void keep_all() { most_ = SIZE_MAX; }
    template <class Visit>
    void for_each(Visit visit) {
        for (auto& [id, inode] : inodes_) visit(*inode);
    }

private:
    friend class InodePin;
    void unpin(Inode& inode);
    bool evictable(const Inode& inode) const;
    void evict();

    std::size_t most_;
    std::function<bool(Lsn)> settled_;
    std::unordered_map<FileId, std::unique_ptr<Inode>> inodes_;
    List<Inode> idle_;  // Without pins, least recently used first.
};

// Keeps an inode in memory.
class InodePin {
public:
    InodePin() = default;
    InodePin(InodeTable& table, Inode& inode) : table_(&table), inode_(&inode) {
        inode.unlink();
        ++inode.pins;
    }
    InodePin(const InodePin& other) : table_(other.table_), inode_(other.inode_) {
        if (inode_ != nullptr) ++inode_->pins;
    }
    InodePin(InodePin&& other) noexcept
        : table_(other.table_), inode_(std::exchange(other.inode_, nullptr)) {}
    InodePin& operator=(InodePin other) noexcept {
        std::swap(table_, other.table_);
        std::swap(inode_, other.inode_);
        return *this;
    }
    ~InodePin() {
        if (inode_ != nullptr) table_->unpin(*inode_);
    }
    Inode* operator->() const { return inode_; }
    Inode& operator*() const { return *inode_; }
    explicit operator bool() const { return inode_ != nullptr; }

private:
    InodeTable* table_ = nullptr;
    Inode* inode_ = nullptr;
};

// While it lives, nobody else is given a lease on the inode: from before the recalls that a
// change needs until it is committed.
class Changing {
public:
    Changing() = default;
    Changing(InodePin inode, SessionId by);
    Changing(Changing&&) noexcept = default;
    Changing& operator=(Changing other) noexcept {
        std::swap(inode_, other.inode_);
        return *this;
    }
    ~Changing();

private:
    InodePin inode_;
};

}  // namespace weft::compute
