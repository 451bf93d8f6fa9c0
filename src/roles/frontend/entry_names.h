#pragma once

#include "model/ids/ids.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace weft::frontend {

// Names that the kernel may have cached, by directory: what must be invalidated one by one
// when all of a directory is recalled and the kernel has no epochs (before Linux 6.16).
// When it is full, entries are not given to the kernel for keeping.
class EntryNames {
public:
    // False if there is no room.
    bool add(InodeId directory, std::string_view name) {
        auto& names = directories_[directory];
        auto [at, added] = names.emplace(name);
        if (!added) return true;
        if (count_ >= kNamesMost) {
            names.erase(at);
            return false;
        }
        ++count_;
        return true;
    }
    void remove(InodeId directory, std::string_view name) {
        auto found = directories_.find(directory);
        if (found == directories_.end()) return;
        count_ -= found->second.erase(std::string(name));
        if (found->second.empty()) directories_.erase(found);
    }
    std::vector<std::string> take(InodeId directory) {
        auto found = directories_.find(directory);
        if (found == directories_.end()) return {};
        std::vector<std::string> names(found->second.begin(), found->second.end());
        count_ -= names.size();
        directories_.erase(found);
        return names;
    }
    std::size_t size() const { return count_; }

private:
    static constexpr std::size_t kNamesMost = 256 * 1024;
    std::unordered_map<InodeId, std::unordered_set<std::string>> directories_;
    std::size_t count_ = 0;
};

}  // namespace weft::frontend
