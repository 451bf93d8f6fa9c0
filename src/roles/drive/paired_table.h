#pragma once

#include "platform/disk/disk.h"
#include "platform/memory/buffer.h"
#include "roles/drive/drive_format.h"
#include "roles/drive/shared_rounds.h"

#include <functional>
#include <set>
#include <vector>

namespace weft::drive {

// A table of blocks on a disk, each of which can be lost in the midst of being written: so each
// lies there twice, side by side, and the writes alternate. The copy with the higher sequence
// counts. Writes that wait at the same time become one round with one flush.
class PairedTable {
public:
    // Puts the content of a block, as it is in memory now, into bytes with this head.
    using Encode = std::function<void(const TableBlockHead& head, Bytes block)>;
    // Takes what a block held, and gives its head; an error if the bytes are no such block.
    using Decode = std::function<Result<TableBlockHead>(ConstBytes block)>;

    // Everything given outlives the table.
    PairedTable(Reactor& reactor, Gate& gate, Disk& disk, std::uint64_t offset,
                std::uint32_t block_count, std::uint64_t incarnation, Encode encode);

    // Reads all blocks: `take` gets the valid copy of each, lower index first. Returns the
    // indexes of blocks of which neither copy is valid: they are not written again.
    using Take = std::function<void(std::uint32_t index, ConstBytes block)>;
    Task<std::vector<std::uint32_t>> load(Decode decode, Take take);

    // Ends when the block, as it was at this call or later, survives loss of power.
    Task<Done> write(std::uint32_t index);

    // The first writing of all blocks, for formatting; not flushed.
    static Task<Done> format(Disk* disk, std::uint64_t offset, std::uint32_t block_count,
                             std::function<void(std::uint32_t index, Bytes block)> encode);

private:
    struct Block {
        std::uint64_t sequence = 0;
        bool lost = false;
    };
    Task<Done> write_dirty();
    std::uint64_t place_of(std::uint32_t index, std::uint64_t sequence) const;

    Disk& disk_;
    std::uint64_t offset_;
    std::uint64_t incarnation_;
    Encode encode_;
    std::vector<Block> blocks_;
    std::set<std::uint32_t> dirty_;
    SharedRounds rounds_;
};

}  // namespace weft::drive
