#include "platform/base/check.h"
#include "platform/base/planted.h"
#include "roles/drive/drive_internal.h"

#include <algorithm>
#include <utility>

// Of all that a drive keeps beside its slots there are two copies: here they are made the same, and
// held to what is in memory.

namespace weft::drive {
namespace {

constexpr Nanos kSettleAfter = kSecond;
constexpr Nanos kSettleAfterMost = 60 * kSecond;  // Where it fails.

}  // namespace

// False if the area has none of ours. What an area has of a disk that cannot be read counts as
// none.
Task<bool> Drive::find_map(std::uint64_t copy, StoredMap* stored) {
    Buffer area(kMapAreaBytes);
    std::uint64_t offset = superblock_.map_offset + copy * kMapAreaBytes;
    auto read = co_await disk_->read(offset, area.bytes());
    if (read.code() == Code::unavailable) co_return read.error();
    if (!read.ok()) co_return false;
    auto found = decode_map_area(area.bytes());
    bool ours = found.ok() && found.value().incarnation == superblock_.incarnation &&
                found.value().sequence % 2 == copy;
    if (ours) *stored = std::move(found).value();
    co_return ours;
}

Task<Done> Drive::load_map_areas() {
    std::array<StoredMap, 2> found;
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
        auto ours = co_await find_map(copy, &found[copy]);
        bool newer = ours.ok() && ours.value() && found[copy].sequence > map_sequence_;
        if (!newer) continue;  // The other may do.
        map_sequence_ = found[copy].sequence;
        map_ = found[copy].map;
    }
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
        std::uint64_t behind = map_sequence_ - found[copy].sequence;
        map_copies_[copy] = found[copy].sequence > 0 && behind < 2 && found[copy].map == map_;
    }
    co_return Done{};
}

// As blocks of tables are: never over the one copy that is good.
Task<Done> Drive::write_map(std::string map) {
    StoredMap stored;
    stored.incarnation = superblock_.incarnation;
    std::uint64_t counts = map_sequence_ % 2;
    bool only_other = !map_copies_[counts] && map_copies_[1 - counts];
    stored.sequence = only_other ? map_sequence_ : map_sequence_ + 1;
    stored.map = std::move(map);
    std::uint64_t copy = stored.sequence % 2;
    map_copies_[copy] = false;
    Buffer area(encoded_bytes(stored));
    encode(stored, area.bytes());
    std::uint64_t offset = superblock_.map_offset + copy * kMapAreaBytes;
    co_await or_return(co_await disk_->write(offset, area.bytes()));
    // The next goes over the other copy: this one must be safe before.
    if (!disk_->power_safe()) co_await or_return(co_await disk_->flush());
    bool same = stored.map == map_;
    map_copies_[1 - copy] = map_copies_[1 - copy] && same;
    map_copies_[copy] = true;
    map_sequence_ = stored.sequence;
    map_ = std::move(stored.map);
    co_return Done{};
}

Task<Done> Drive::store_map(std::string map) {
    if (map.size() > kMapBytesMost) co_return Error{Code::invalid, "drive.store_map"};
    auto lock = co_await or_return(co_await storing_map_.lock());
    auto written = co_await write_map(std::move(map));
    settle_later();
    co_return noted(written);
}

Task<std::string> Drive::load_map() {
    if (map_sequence_ == 0) co_return Error{Code::not_found, "drive.load_map"};
    co_return map_;
}

bool Drive::settled() const {
    bool map_settled = map_sequence_ == 0 || (map_copies_[0] && map_copies_[1]);
    return map_settled && fence_table_.settled() && slot_table_.settled();
}

Task<Done> Drive::settle_map() {
    if (planted(Bug::table_is_not_settled)) co_return Done{};
    auto lock = co_await or_return(co_await storing_map_.lock());
    for (int i = 0; i < 2 && map_sequence_ > 0; ++i) {
        if (map_copies_[0] && map_copies_[1]) break;
        co_await or_return(co_await write_map(map_));
    }
    co_return Done{};
}

Task<Done> Drive::settle() {
    auto fences = co_await fence_table_.settle();
    auto slots = co_await slot_table_.settle();
    auto map = co_await settle_map();
    if (!fences.ok()) co_return noted(fences);
    if (!slots.ok()) co_return noted(slots);
    if (!map.ok()) co_return noted(map);
    co_return Done{};
}

void Drive::settle_later() {
    if (settling_ || closing_ || settled()) return;
    settling_ = true;
    gate_.spawn(settle_in_time());
}

Task<Done> Drive::settle_in_time() {
    Nanos pause = kSettleAfter;
    while (!settled()) {
        Nanos until = reactor_.now() + pause;
        while (!closing_ && reactor_.now() < until) (void)co_await closes_.wait(until);
        if (closing_) break;
        auto done = co_await settle();
        pause = done.ok() ? kSettleAfter : std::min(2 * pause, kSettleAfterMost);
    }
    settling_ = false;
    co_return Done{};
}

// Where neither copy is good, something of ours has to be there still: nothing goes over what is
// somebody else's by now.
Task<std::uint64_t> Drive::verify_superblock() {
    std::vector<std::uint64_t> wrong;
    for (std::uint64_t offset : kSuperblockOffsets) {
        auto found = co_await read_superblock(disk_.get(), offset);
        if (found.code() == Code::unavailable) co_return found.error();
        if (!found.ok()) wrong.push_back(offset);
        if (found.ok() && found.value() != superblock_) {
            co_return Error{Code::unavailable, "drive.verify: another drive is in its place"};
        }
    }
    if (wrong.size() == std::size(kSuperblockOffsets)) {
        bool there = co_await or_return(co_await fence_table_.is_there());
        if (!there) co_return Error{Code::corrupt, "drive.verify: nothing of it is there"};
    }
    Buffer block(kBlockBytes);
    encode(superblock_, block.bytes());
    for (std::uint64_t offset : wrong) {
        co_await or_return(co_await disk_->write(offset, block.bytes()));
        co_await or_return(co_await disk_->flush());
    }
    co_return wrong.size();
}

Task<std::uint64_t> Drive::verify_map() {
    auto lock = co_await or_return(co_await storing_map_.lock());
    if (map_sequence_ == 0) co_return 0U;
    std::uint64_t wrong = 0;
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
        if (!map_copies_[copy]) continue;  // To be written anyway.
        StoredMap stored;
        bool ours = co_await or_return(co_await find_map(copy, &stored));
        bool counts = map_sequence_ % 2 == copy;
        std::uint64_t sequence = counts ? map_sequence_ : map_sequence_ - 1;
        map_copies_[copy] = ours && stored.sequence == sequence && stored.map == map_;
        if (!map_copies_[copy]) ++wrong;
    }
    co_return wrong;
}

Task<std::uint64_t> Drive::verify_all() {
    std::uint64_t wrong = co_await or_return(co_await verify_superblock());
    auto maps = co_await or_return(co_await verify_map());
    co_await or_return(co_await settle_map());
    auto fences = co_await or_return(co_await fence_table_.verify());
    auto slots = co_await or_return(co_await slot_table_.verify());
    co_return wrong + maps + fences + slots;
}

Task<std::uint64_t> Drive::verify() {
    auto repaired = co_await verify_all();
    settle_later();
    Result<Done> outcome = Done{};
    if (!repaired.ok()) outcome = repaired.error();
    if (!outcome.ok()) co_return noted(outcome).error();
    co_return repaired;
}

// Not on a disk that fails: whoever ends with it should not wait for it.
Task<Done> Drive::close() {
    closing_ = true;
    closes_.notify_all();
    if (!last_failed_) (void)co_await settle();
    co_return co_await gate_.close();
}

}  // namespace weft::drive
