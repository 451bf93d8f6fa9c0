#include "platform/simulated/simulated_disk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <utility>

namespace weft {
namespace {

constexpr std::size_t kSectorBytes = 512;
constexpr std::uint64_t kTornOneIn = 8;  // Of the blocks that a loss of power leaves.
constexpr std::size_t kShortBytes = 2 * kBlockBytes;
constexpr std::uint64_t kNearBlocks = 64;  // Behind where it belongs.
constexpr std::uint64_t kFirstBlocks = 512;

// How many bytes of a write are there from its begin on: all, none, or its first sectors.
std::size_t draw_early(std::uint64_t drawn, std::size_t bytes) {
    if (drawn % 4 < 2) return drawn % 2 == 0 ? bytes : 0;
    return drawn / 4 % (bytes / kSectorBytes) * kSectorBytes;
}

}  // namespace

SimulatedDisk::SimulatedDisk(Reactor& reactor, std::uint64_t size_bytes)
    : reactor_(reactor), size_bytes_(size_bytes), awake_(reactor), readable_end_(size_bytes) {
    CHECK(size_bytes % kBlockBytes == 0);
}

const SimulatedDisk::Block* SimulatedDisk::find(std::uint64_t block) const {
    if (auto fresh = unflushed_.find(block); fresh != unflushed_.end())
        return &fresh->second.content;
    if (auto old = durable_.find(block); old != durable_.end()) return &old->second;
    return nullptr;
}

Task<Done> SimulatedDisk::read(std::uint64_t offset, Bytes into) {
    CHECK(offset % kBlockBytes == 0 && into.size() % kBlockBytes == 0);
    (void)co_await take_time();
    if (gone_) co_return Error{Code::unavailable, "disk.read"};
    if (offset + into.size() > readable_end_) co_return Error{Code::io_failed, "disk.read"};
    for (std::uint64_t at = 0; at < into.size(); at += kBlockBytes) {
        if (unreadable_.contains((offset + at) / kBlockBytes)) {
            co_return Error{Code::io_failed, "disk.read"};
        }
        const Block* block = find((offset + at) / kBlockBytes);
        Bytes part = into.subspan(at, kBlockBytes);
        if (block != nullptr) {
            std::copy(block->begin(), block->end(), part.begin());
        } else {
            std::fill(part.begin(), part.end(), std::byte{0});
        }
    }
    co_return Done{};
}

Task<Done> SimulatedDisk::write(std::uint64_t offset, ConstBytes from) {
    CHECK(offset % kBlockBytes == 0 && from.size() % kBlockBytes == 0);
    if (offset + from.size() > size_bytes_) co_return Error{Code::io_failed, "disk.write"};
    std::size_t early = draw_early(reactor_.random(), from.size());
    if (full_ && !gone_ && !has_room(offset, from.size())) {
        (void)co_await take_time();
        co_return Error{Code::out_of_space, "disk.write"};
    }
    Landing landing = draw_landing(offset, from.size());
    if (!gone_) land(landing, from, 0, early);
    (void)co_await take_time();
    if (gone_) co_return Error{Code::unavailable, "disk.write"};
    land(landing, from, early / kBlockBytes * kBlockBytes, from.size());
    co_return Done{};
}

bool SimulatedDisk::has_room(std::uint64_t offset, std::size_t bytes) const {
    for (std::uint64_t at = 0; at < bytes; at += kBlockBytes) {
        if (find((offset + at) / kBlockBytes) == nullptr) return false;
    }
    return true;
}

SimulatedDisk::Landing SimulatedDisk::draw_landing(std::uint64_t offset, std::size_t bytes) {
    Landing landing;
    landing.offset = offset;
    auto one_in = [this](std::uint64_t n) {
        return n > 0 && lying_() % n == 0;
    };
    if (one_in(lies_.misdirected_one_in)) {
        landing.offset = draw_other_place(offset, bytes);
    } else if (one_in(lies_.lost_one_in)) {
        std::uint64_t blocks = bytes / kBlockBytes;
        std::uint64_t first = one_in(2) ? 0 : lying_() % blocks;
        std::uint64_t count = first == 0 ? blocks : 1 + lying_() % (blocks - first);
        landing.lost_begin = first * kBlockBytes;
        landing.lost_end = (first + count) * kBlockBytes;
    }
    return landing;
}

// Nearby, among the first things on the disk, or anywhere.
std::uint64_t SimulatedDisk::draw_other_place(std::uint64_t offset, std::size_t bytes) {
    std::uint64_t blocks = (size_bytes_ - bytes) / kBlockBytes;
    std::uint64_t within = lying_() % 3;
    std::uint64_t at = lying_() % (within == 0 ? kNearBlocks : within == 1 ? kFirstBlocks : blocks);
    if (within == 0) at += offset / kBlockBytes;
    return std::min(at, blocks) * kBlockBytes;
}

void SimulatedDisk::land(const Landing& landing, ConstBytes from, std::size_t begin,
                         std::size_t end) {
    if (begin == end) return;
    ++writes_;
    readable_end_ =
        std::max(readable_end_, landing.offset + divide_up(end, kBlockBytes) * kBlockBytes);
    for (std::size_t at = begin; at < end; at += kBlockBytes) {
        if (at >= landing.lost_begin && at < landing.lost_end) continue;
        ConstBytes sectors = from.subspan(at, std::min(kBlockBytes, end - at));
        store((landing.offset + at) / kBlockBytes, sectors, from.size() <= kShortBytes);
    }
}

// What a flush under way may have to keep is kept when it is written over.
void SimulatedDisk::store(std::uint64_t block, ConstBytes sectors, bool is_short) {
    const Block* old = find(block);
    Block content = old != nullptr ? *old : Block(kBlockBytes);
    std::copy(sectors.begin(), sectors.end(), content.begin());
    if (sectors.size() == kBlockBytes) unreadable_.erase(block);
    if (power_safe_) {
        durable_[block] = std::move(content);
        return;
    }
    Written& written = unflushed_[block];
    bool covered = written.number > 0 && written.number <= covered_;
    if (covered) durable_[block] = std::move(written.content);
    written.content = std::move(content);
    written.number = writes_;
    written.is_short = is_short;
}

void SimulatedDisk::lie(DiskLies lies, std::uint64_t seed) {
    lies_ = lies;
    lying_.seed(seed);
}

void SimulatedDisk::set_hung(bool hung) {
    hung_ = hung;
    if (!hung_) awake_.notify_all();
}

Task<Done> SimulatedDisk::take_time() {
    co_await sleep(reactor_, random_latency());
    while (hung_) (void)co_await awake_.wait();
    co_return Done{};
}

void SimulatedDisk::set_stalls(std::uint64_t one_in, Nanos more) {
    stall_one_in_ = one_in;
    stall_ = more;
}

Nanos SimulatedDisk::random_latency() {
    Nanos more = stall_one_in_ > 0 && reactor_.random() % stall_one_in_ == 0 ? stall_ : 0;
    if (latency_ == 0) return more;
    auto most = static_cast<std::uint64_t>(latency_);
    return more + latency_ + static_cast<Nanos>(reactor_.random() % most);
}

Task<Done> SimulatedDisk::flush() {
    std::uint64_t through = writes_;
    covered_ = through;
    (void)co_await take_time();
    if (gone_) co_return Error{Code::unavailable, "disk.flush"};
    for (auto at = unflushed_.begin(); at != unflushed_.end();) {
        if (at->second.number > through) {
            ++at;
            continue;
        }
        durable_[at->first] = std::move(at->second.content);
        at = unflushed_.erase(at);
    }
    co_return Done{};
}

void SimulatedDisk::lose_power(Kept what) {
    if (what == Kept::short_writes) return lose_long_writes();
    constexpr std::array<std::uint64_t, 5> kKeptOfSixteen = {0, 2, 8, 14, 16};
    std::uint64_t kept = kKeptOfSixteen[reactor_.random() % kKeptOfSixteen.size()];
    for (auto& [block, written] : unflushed_) {
        std::uint64_t drawn = reactor_.random();
        if (drawn % 16 >= kept) continue;
        auto old = durable_.find(block);
        if (drawn / 16 % kTornOneIn == 0) {
            tear(written.content, old != durable_.end() ? &old->second : nullptr);
        }
        durable_[block] = std::move(written.content);
    }
    unflushed_.clear();
}

void SimulatedDisk::lose_long_writes() {
    for (auto& [block, written] : unflushed_) {
        if (written.is_short) durable_[block] = std::move(written.content);
    }
    unflushed_.clear();
}

// Each sector of its own is the fresh one or the old.
void SimulatedDisk::tear(Block& fresh, const Block* old) {
    std::uint64_t coins = reactor_.random();
    for (std::size_t at = 0; at < kBlockBytes; at += kSectorBytes, coins >>= 1) {
        if (coins % 2 == 0) continue;
        std::span<std::byte> sector = std::span(fresh).subspan(at, kSectorBytes);
        if (old == nullptr) {
            std::fill(sector.begin(), sector.end(), std::byte{0});
        } else {
            std::copy_n(old->data() + at, kSectorBytes, sector.begin());
        }
    }
}

void SimulatedDisk::overwrite_with_noise(std::uint64_t from, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    auto spoil = [&random](Block& content) {
        for (std::size_t at = 0; at < content.size(); at += sizeof(std::uint64_t)) {
            std::uint64_t noise = random();
            std::memcpy(content.data() + at, &noise, sizeof(noise));
        }
    };
    std::uint64_t first = divide_up(from, kBlockBytes);
    for (auto at = durable_.lower_bound(first); at != durable_.end(); ++at) spoil(at->second);
    for (auto at = unflushed_.lower_bound(first); at != unflushed_.end(); ++at) {
        spoil(at->second.content);
    }
}

void SimulatedDisk::cut_short(std::uint64_t from) {
    std::uint64_t first = divide_up(from, kBlockBytes);
    durable_.erase(durable_.lower_bound(first), durable_.end());
    unflushed_.erase(unflushed_.lower_bound(first), unflushed_.end());
    readable_end_ = first * kBlockBytes;
}

std::optional<std::uint64_t> SimulatedDisk::stored_at_or_behind(std::uint64_t from) const {
    std::optional<std::uint64_t> first;
    auto durable = durable_.lower_bound(divide_up(from, kBlockBytes));
    if (durable != durable_.end()) first = durable->first;
    auto fresh = unflushed_.lower_bound(divide_up(from, kBlockBytes));
    if (fresh != unflushed_.end()) first = std::min(first.value_or(fresh->first), fresh->first);
    if (first.has_value()) *first *= kBlockBytes;
    return first;
}

void SimulatedDisk::flip_bit(std::uint64_t offset, int bit) {
    const Block* block = find(offset / kBlockBytes);
    Block changed = block != nullptr ? *block : Block(kBlockBytes);
    changed[offset % kBlockBytes] ^= std::byte{1} << bit;
    auto fresh = unflushed_.find(offset / kBlockBytes);
    Block& into =
        fresh != unflushed_.end() ? fresh->second.content : durable_[offset / kBlockBytes];
    into = std::move(changed);
}

}  // namespace weft
