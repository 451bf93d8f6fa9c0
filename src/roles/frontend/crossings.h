#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace weft::frontend {

// Which of a file's reads and writes are under way at once, over some of the same bytes. The
// kernel lets that be where a page that is being written out was dropped meanwhile.
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
        // By one of the other kind, so far.
        bool crossed() const { return crossed_; }

    private:
        Crossings& all_;
        Kind kind_;
        std::uint64_t from_;
        std::uint64_t to_;
        bool crossed_ = false;
    };

private:
    std::vector<Crossing*> under_way_;
};

}  // namespace weft::frontend
