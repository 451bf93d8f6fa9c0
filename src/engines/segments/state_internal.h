#pragma once

#include "engines/erasure/codec.h"
#include "engines/segments/drive_table.h"
#include "engines/segments/segment_store.h"
#include "platform/memory/buffer.h"

#include <array>
#include <bit>
#include <map>
#include <set>

namespace weft::segments {

struct Segment {
    SegmentId id;
    SegmentRecord record;
    std::int64_t live = 0;
    std::uint64_t opened_after = 0;  // Blocks of users that this store had written by then.
    std::uint32_t reserved = 0;      // While open: blocks of each slot that appends have taken.

    Lsn killed_at;  // Of the record that took the last live block away.
    // It came without live blocks from restore(): which record killed it is not known.
    bool killed_before_restore = false;

    // Some row may not have been written to all slots (a failed append, a crash), so parity
    // says nothing there. The stored record stays open, so that this is known after a restart.
    bool uneven = false;
    // It was open when its owner ended: of rows that a loss of power tore, some chunks may not be
    // there though others are, and are live. Until a scrub has made them whole.
    bool torn = false;
    // Bit i: the drive does not know slot i any more; it waits for rebuild.
    std::uint32_t lost = 0;
    // Bit i: chunk i was made from others that do not agree, or that were too few to tell.
    std::uint32_t doubtful = 0;
    std::uint64_t made = 0;     // So often readers had to make blocks.
    bool unrepaired = false;    // A reader had to make blocks and could not write them back.
    std::uint32_t scrubs = 0;   // Under way: what is verified has to be read where it lies.
    std::uint32_t holders = 0;  // Somebody works on it: it is not freed meanwhile.
    std::uint32_t appends = 0;  // Some of the holders are writing rows.
    std::uint32_t claims = 0;   // Some have blocks that are about to become live.
    // Of the widest segment that was possible when this one was opened: when more becomes
    // possible, a narrow one is closed.
    unsigned possible_width = 0;

    unsigned data_width() const { return record.data_width; }
    unsigned width() const { return static_cast<unsigned>(record.slots.size()); }
};

// Chunks of one range of blocks of a segment, as far as they could be read.
struct Row {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::vector<Buffer> chunks;  // By number; empty if not there.
    std::vector<bool> tried;
    // Bit i: the drive of chunk i serves, but not all of these blocks. Fewer of them may do.
    std::uint32_t unreadable = 0;

    Row(unsigned width, std::uint32_t first_block, std::uint32_t block_count)
        : first(first_block), count(block_count), chunks(width), tried(width) {}
    std::size_t bytes() const { return count * kBlockBytes; }
    std::uint32_t there() const;  // Bit i: chunk i.
    bool splits() const { return unreadable != 0 && count > 1; }
};

struct SegmentStore::State {
    // `own` is the table, where it is shared with nobody.
    State(Reactor& with_reactor, DriveService& with_drives, SegmentLog& with_log,
          OwnerId with_owner, DriveTable& with_table, std::unique_ptr<DriveTable> own)
        : reactor(with_reactor),
          drives(with_drives),
          log(with_log),
          owner(with_owner),
          own_table(std::move(own)),
          table(with_table),
          rebuilding(with_reactor),
          gate(with_reactor) {
        for (auto& lock : opening) lock = std::make_unique<SharedMutex>(reactor);
    }

    ~State() { closing = true; }  // Tasks that end with the gate start nothing new.

    // Keeps a segment from being freed; when the last one goes, it is looked at again.
    class Hold {
    public:
        enum class Why { reads, appends, claims, scrubs };
        Hold(State& state, Segment& segment, Why why = Why::reads)
            : state_(&state), segment_(&segment), why_(why) {
            ++segment.holders;
            if (why == Why::appends) ++segment.appends;
            if (why == Why::claims) ++segment.claims;
            if (why == Why::scrubs) ++segment.scrubs;
        }
        Hold(Hold&& other) noexcept
            : state_(std::exchange(other.state_, nullptr)),
              segment_(other.segment_),
              why_(other.why_) {}
        Hold& operator=(Hold&&) = delete;
        ~Hold() {
            if (state_ == nullptr) return;
            --segment_->holders;
            if (why_ == Why::appends) --segment_->appends;
            if (why_ == Why::claims) --segment_->claims;
            if (why_ == Why::scrubs) --segment_->scrubs;
            state_->wake_reaper(*segment_);
        }
        Segment& segment() const { return *segment_; }

    private:
        State* state_;
        Segment* segment_;
        Why why_;
    };

    // segment_store.cc
    Segment* find(SegmentId id);
    Fence fence() const { return {owner, fence_epoch}; }
    Lsn log_record(const Segment& segment);
    void close_segment(Segment& segment);
    bool slot_missing(const Segment& segment, unsigned chunk) const;
    unsigned missing_slots(const Segment& segment) const;
    unsigned missing_or_doubtful(const Segment& segment) const;
    erasure::Codec& codec(unsigned data_width, unsigned parity_width);
    Task<Done> open();
    Task<Done> close();
    Task<Done> fence_drives();
    Task<Done> sweep();
    Task<Done> sweep_drive(DriveId drive);
    bool slot_known(DriveId drive, const SlotInfo& info) const;

    // placing.cc
    struct Width {
        unsigned data = 0;  // 0: too few domains for any segment.
        unsigned parity = 0;
        bool with_suspects = false;
        unsigned total() const { return data + parity; }
    };
    Width width_now();
    Width find_width() const;
    // Segments that appends of this purpose leave to others.
    std::uint64_t kept_from(Purpose purpose, unsigned width) const;
    std::uint64_t kept_in_all(unsigned width) const;
    Result<std::vector<DriveId>> place(Purpose purpose, Width& width);
    Task<std::vector<SegmentSlot>> allocate_slots(std::vector<DriveId> on,
                                                  std::vector<unsigned> chunks, SegmentId id);
    Task<Done> free_slots(std::vector<SegmentSlot> slots);
    Task<Done> open_segment(StreamKind stream, Purpose purpose);
    SegmentSpace space();
    void refresh_soon();
    Task<Done> refresh_in_background();

    // appending.cc
    struct Place {
        Hold hold;
        std::uint32_t first = 0;
        std::uint32_t rows = 0;
    };
    Segment* usable_open_segment(StreamKind stream);
    Place take_rows(Segment& segment, std::uint64_t blocks);
    Task<Place> reserve(StreamKind stream, Purpose purpose, std::uint64_t blocks);
    Task<Done> write_stripe(Segment* segment, std::uint32_t first, std::uint32_t rows,
                            ConstBytes data);
    Task<std::uint64_t> append_part(StreamKind stream, Purpose purpose, ConstBytes data,
                                    std::vector<BlockRun>* runs, Claims* claims);
    Task<std::vector<BlockRun>> append(StreamKind stream, ConstBytes data, Purpose purpose,
                                       Claims* claims);
    std::uint64_t user_blocks_written() const;
    void note_lifetime(const Segment& segment);

    // slots.cc
    Task<Done> read_slot(Segment* segment, unsigned chunk, std::uint32_t block, Bytes into);
    Task<Done> write_slot(Segment* segment, unsigned chunk, std::uint32_t block, ConstBytes from);
    void note_failure(Segment& segment, unsigned chunk, SegmentSlot slot, Code code);
    // Reads chunks of the row until `wanted` are there or none is left to try.
    Task<Done> gather(Segment* segment, Row* row, unsigned wanted);
    // Makes chunk `number` of blocks [from, from + into size) of the row from the k chunks of
    // `survivors` (bits), which must be there.
    void decode(const Segment& segment, const Row& row, std::uint32_t survivors, unsigned number,
                std::uint32_t from, Bytes into);

    // reading.cc
    struct Reading {
        Segment* segment = nullptr;
        BlockRun run;
        std::span<const std::uint32_t> crcs;
        Bytes into;
        std::vector<bool> bad;  // Blocks of the run that are still to be made.
        bool served = false;    // The drive answered, if not with the right bytes.
        bool right(std::uint32_t block) const;
        bool check();  // Sets `bad` from what was read; true if all is right.
    };
    Task<Done> read(BlockRun run, std::span<const std::uint32_t> crcs, Bytes into);
    Task<Done> read_direct(Reading* reading);
    Task<Done> read_each_block(Reading* reading);
    Task<Done> read_degraded(Reading* reading);
    Task<bool> make_range(Reading* reading, std::uint32_t begin, std::uint32_t end);
    Task<Done> search_survivors(Reading* reading, Row* row, std::uint32_t tried);
    Task<Done> write_back(Reading* reading, std::vector<bool> made);

    // freeing.cc
    void note_live(SegmentId id, std::int64_t delta, Lsn at);
    // Nothing in it is in use, or about to be.
    bool can_free(const Segment& segment) const;
    void wake_reaper(const Segment& segment);
    std::vector<SegmentId> next_to_free();
    Task<Done> reap();
    Task<Done> reap_some(std::vector<SegmentId> ids);

    // rebuilding.cc
    struct Move;
    bool should_move(const Segment& segment, unsigned chunk) const;
    bool needs_move(const Segment& segment) const;
    bool needs_rebuild(const Segment& segment) const;
    void close_empty();
    std::vector<SegmentId> rebuild_order(const std::set<SegmentId>& tried) const;
    Task<std::uint64_t> rebuild();
    Task<Done> rebuild_segment(SegmentId id);
    Task<Done> wait_for_appends(Segment* segment);
    Task<Done> choose_targets(Move* move);
    Task<Done> move_rows(Move* move);
    Task<Done> move_row(Move* move, std::uint32_t first, std::uint32_t count);
    Task<Done> fill_row(Move* move, Row* row);
    Task<Done> make_chunks(Move* move, Row* row);
    bool lost_for_good(const Segment& segment, const Row& row) const;
    bool survivors_agree(const Segment& segment, const Row& row, std::uint32_t there);
    Task<Done> adopt_targets(Move* move);
    Task<Done> resolve_doubt(Segment* segment);
    Task<bool> resolve_left(std::set<SegmentId>* tried);

    // scrubbing.cc
    using Verify = std::function<Task<Done>(SegmentId)>;
    struct Scrub;
    // Ends with true if all of the segment is there, and every row agrees.
    Task<bool> scrub_one(Segment* segment, Verify* verify);
    Task<Done> scrub(std::function<Task<Done>(SegmentId)> verify);
    Task<Done> scrub_segment(Scrub* scrub);
    Task<Done> scrub_row(Scrub* scrub, std::uint32_t first, std::uint32_t count);
    Task<bool> verify_segment(Scrub* scrub);
    Task<Done> verify_anew(Scrub* scrub);
    Task<Done> see_data(Scrub* scrub, std::uint32_t first, std::uint32_t count);
    Task<bool> fill_unreadable(Scrub* scrub, Row* row);
    Task<Done> mend(Scrub* scrub, Row* row);
    Task<Done> mend_block(Scrub* scrub, Row* row, std::uint32_t block);

    Reactor& reactor;
    DriveService& drives;
    SegmentLog& log;
    OwnerId owner;
    std::unique_ptr<DriveTable> own_table;
    DriveTable& table;

    unsigned data_width = 0;
    unsigned parity_width = 0;
    std::uint32_t slot_blocks = 0;
    std::uint32_t shard_count = 0;
    Epoch map_epoch;
    // The epoch of the map when the owner opened. Not that of the present map: writes of one
    // owner may overtake each other, and must not fence each other.
    Epoch fence_epoch;
    bool opened = false;
    bool closing = false;

    std::map<SegmentId, Segment> segments;
    std::uint64_t last_id = 0;
    std::array<SegmentId, kStreamCount> open_segments{};  // 0: none.
    std::array<std::unique_ptr<SharedMutex>, kStreamCount> opening;
    std::set<SegmentId> allocating;  // Taking slots that no record names yet.
    std::map<std::pair<unsigned, unsigned>, erasure::Codec> codecs;
    SegmentCounters counters;
    // How many blocks of users were written between the opening of a hot segment and its end,
    // averaged over the last ones; in the beginning everything counts as short-lived.
    std::uint64_t hot_lifetime = UINT64_MAX;

    std::set<SegmentId> dying;  // Closed and without live blocks, or so they were when added.
    bool reaping = false;
    bool refreshing = false;
    std::uint64_t map_changes = 0;
    Width present_width;  // As of this change of the table.
    std::uint64_t present_width_change = 0;
    SharedMutex rebuilding;
    Gate gate;  // Last: its tasks go first.
};

// Ranges [first, second) of those bits that are set.
std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges_of(const std::vector<bool>& bits);

}  // namespace weft::segments
