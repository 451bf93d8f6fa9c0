#pragma once

#include "platform/disk/disk.h"
#include "platform/memory/buffer.h"
#include "roles/drive/drive_format.h"
#include "roles/drive/shared_rounds.h"

#include <array>
#include <functional>
#include <optional>
#include <set>
#include <vector>

namespace weft::drive {

// A table of blocks on a disk, each of which can be lost in the midst of being written, or rot: so
// each lies there twice, side by side. Writes alternate, and the copy with the higher sequence
// counts; the other one has what was there before, until the table is settled. Then both have the
// same, and either suffices. Writes that wait at the same time become one round with one flush.
class PairedTable {
public:
    // Puts the content of a block, as it is in memory now, into bytes with this head.
    using Encode = std::function<void(const TableBlockHead& head, Bytes block)>;
    // Takes what a block held, and gives its head; an error if the bytes are no such block.
    using Decode = std::function<Result<TableBlockHead>(ConstBytes block)>;

    // Everything given outlives the table.
    PairedTable(Reactor& reactor, Gate& gate, Disk& disk, std::uint64_t offset,
                std::uint32_t block_count, std::uint64_t incarnation, Encode encode, Decode decode);

    // Reads all blocks: `take` gets the valid copy of each, lower index first. Returns the
    // indexes of blocks of which neither copy is valid: they are not written again.
    using Take = std::function<void(std::uint32_t index, ConstBytes block)>;
    Task<std::vector<std::uint32_t>> load(Take take);

    // Ends when the block, as it was at this call or later, survives loss of power.
    Task<Done> write(std::uint32_t index);

    // Both copies of each block have what is in memory, as far as anybody knows.
    bool settled() const { return dirty_.empty() && unsettled_.empty(); }
    // Writes once more what is on one copy only, on the other. What is written meanwhile may have
    // to be settled again. After an error both copies are at least as good as before.
    Task<Done> settle();
    // Reads all back and settles what is not as it was written. How many copies that were. Those
    // that are written meanwhile are looked at again, unless that goes on and on.
    Task<std::uint64_t> verify();
    // Whether anything of this table is among its first blocks on the disk.
    Task<bool> is_there();

    // The first writing of all blocks, settled, for formatting; not flushed.
    static Task<Done> format(Disk* disk, std::uint64_t offset, std::uint32_t block_count,
                             std::uint64_t incarnation, Encode encode);

private:
    // What a copy has behind its head, by a checksum; nothing while it is not known to be good.
    using Content = std::optional<std::uint32_t>;
    struct Block {
        std::uint64_t sequence = 0;  // Of the copy that counts.
        std::array<Content, 2> copies;
        bool lost = false;
        friend bool operator==(const Block&, const Block&) = default;
    };
    struct Written {
        TableBlockHead head;
        Content content;
    };
    static bool settled(const Block& block);
    bool ours(const Result<TableBlockHead>& head, std::uint32_t index, std::uint64_t copy) const;
    Task<Done> read_pairs(std::uint32_t begin, Bytes pairs);
    void take_pair(std::uint32_t index, ConstBytes pair, const Take& take);
    // `changed` gets those that were written while they were read.
    Task<std::uint64_t> verify_some(std::uint32_t begin, std::uint32_t count,
                                    std::set<std::uint32_t>* changed);
    Task<std::uint64_t> verify_again(std::set<std::uint32_t>* changed);
    std::uint64_t compare(std::uint32_t index, ConstBytes pair);
    Task<Done> write_dirty();
    Written encode_next(std::uint32_t index, Bytes block);
    void note(const Written& written);
    void note_settled(std::uint32_t index);
    std::uint64_t place_of(std::uint32_t index, std::uint64_t sequence) const;

    Disk& disk_;
    std::uint64_t offset_;
    std::uint64_t incarnation_;
    Encode encode_;
    Decode decode_;
    std::vector<Block> blocks_;
    std::set<std::uint32_t> dirty_;      // To be written in the next round.
    std::set<std::uint32_t> unsettled_;  // A copy is not known to have what the other has.
    SharedRounds rounds_;
};

}  // namespace weft::drive
