#pragma once

#include "model/layout/records.h"
#include "model/services/compute_service.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace weft::posix {

// Where readdir goes on: "." has cookie 1, ".." 2, an entry the hash of its name. A cookie
// means "behind everything up to and with this": names of equal hash share one, and therefore
// a page never ends between them.
inline constexpr std::uint64_t kCookieDot = 1;
inline constexpr std::uint64_t kCookieDotDot = 2;

// However much is asked for: a page has to fit a reply between processes, of 1 MiB, in which an
// item without attributes may take five times what it is counted for here.
inline constexpr std::uint64_t kPageBytesMost = 128 * kKiB;

// Gathers one page of about `most_bytes`; at least one item, so that a scan always goes on.
class DirectoryPageBuilder {
public:
    DirectoryPageBuilder(std::uint32_t most_bytes, bool with_attributes)
        : most_bytes_(std::min<std::uint64_t>(most_bytes, kPageBytesMost)),
          with_attributes_(with_attributes) {}

    // False if the page is full and the item belongs to the next.
    bool add(std::string_view name, std::uint64_t cookie, InodeId inode, std::uint32_t type);
    DirectoryPage take(bool end) {
        page_.end = end;
        return std::move(page_);
    }

private:
    std::uint64_t most_bytes_;
    bool with_attributes_;
    std::uint64_t bytes_ = 0;
    DirectoryPage page_;
};

}  // namespace weft::posix
