#pragma once

#include "platform/base/types.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace weft::frontend {

// Which of a file's reads and writes through the page cache are under way at once, over some of the
// same bytes. The kernel lets that be where a page that is being written out was dropped meanwhile.
class Crossings {
public:
    // A read or a write of bytes [from, to), as long as this lives; outlived by the file's.
    class Crossing {
    public:
        enum class Kind { read, write };
        Crossing(Crossings& all, Kind kind, std::uint64_t from, std::uint64_t to)
            : all_(all), kind_(kind), from_(from), to_(to) {
            for (Crossing* other : all_.under_way_) {
                bool apart = other->to_ <= from_ || to_ <= other->from_;
                if (apart || other->kind_ == kind_) continue;
                crossed_ = other->crossed_ = true;
            }
            all_.under_way_.push_back(this);
        }
        ~Crossing() { std::erase(all_.under_way_, this); }
        Crossing(const Crossing&) = delete;
        Crossing& operator=(const Crossing&) = delete;
        // By one of the other kind, or left out of what the kernel has been told to drop, so far.
        bool crossed() const { return crossed_; }

    private:
        friend class Crossings;
        Crossings& all_;
        Kind kind_;
        std::uint64_t from_;
        std::uint64_t to_;
        bool crossed_ = false;
    };

    // Begin and end of the whole pages of each that is under way, the first first: who has the
    // kernel drop a file's pages leaves these out, and whoever reads or writes them sees to them.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> leave_out() {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
        for (Crossing* each : under_way_) {
            each->crossed_ = true;
            ranges.emplace_back(round_down(each->from_, kBlockBytes),
                                round_up(each->to_, kBlockBytes));
        }
        std::ranges::sort(ranges);
        return ranges;
    }

private:
    std::vector<Crossing*> under_way_;
};

}  // namespace weft::frontend
