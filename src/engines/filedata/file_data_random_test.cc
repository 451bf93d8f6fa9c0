#include "engines/filedata/file_data.h"
#include "engines/filedata/file_model_internal.h"
#include "engines/filedata/shard_double_internal.h"
#include "model/layout/routing.h"
#include "platform/base/bytes.h"
#include "platform/memory/buffer.h"
#include "platform/runtime/gate.h"
#include "platform/simulated/simulated_reactor.h"
#include "testing/memory_drives.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <list>

#include <gtest/gtest.h>

namespace weft::filedata {
namespace {

constexpr std::uint64_t kBlock = kBlockBytes;
constexpr int kFiles = 3;
constexpr int kWorkers = 6;

FileId file_of(std::uint64_t number) {
    return {FilesystemId{1}, InodeId{10 + number}};
}

struct Range {
    FileId file;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t end() const { return offset + length; }
};

// A read that is going on, and all it may rightly see.
struct Watch {
    Range range;
    std::vector<std::string> seen;
};

// One shard under random load: workers that write, read, punch, reserve, share and truncate,
// beside destage, cleaning, checkpoints and crashes; each change is also done to the model at
// the moment it is committed.
class RandomRun {
public:
    explicit RandomRun(std::uint64_t seed) : reactor_(seed), drives_(reactor_, 7, 64, 64) {
        settings_.direct_write_bytes_least = pick(2) == 0 ? 8 * kKiB : 32 * kKiB;
        settings_.staged_bytes_most = pick(2) == 0 ? 64 * kKiB : kMiB;
        for (int i = 0; i < kFiles; ++i) inodes_.emplace_back(reactor_);
    }

    void run(int rounds, bool crashes) {
        start();
        for (int round = 0; round < rounds && !::testing::Test::HasFailure(); ++round) {
            bool crash = crashes && pick(3) != 0;
            load(crash);
            if (crash) crash_and_restart();
            check_all();
        }
        ASSERT_TRUE(reactor_.run(shard_->close()).ok());
    }

private:
    std::uint64_t pick(std::uint64_t count) { return reactor_.random() % count; }

    void start() {
        shard_ = std::make_unique<ShardDouble>(reactor_, drives_, map_of(7), disk_, settings_);
        ASSERT_TRUE(reactor_.run(shard_->open()).ok());
    }

    void load(bool crash) {
        gate_ = std::make_unique<Gate>(reactor_);
        workers_ = kWorkers;
        for (int i = 0; i < kWorkers; ++i) gate_->spawn(work(this, 25));
        gate_->spawn(destage_often(this));
        gate_->spawn(clean_often(this));
        gate_->spawn(checkpoint_often(this));
        std::uint64_t steps = crash ? pick(3000) : UINT64_MAX;
        while (gate_->running() > 0 && steps-- > 0) ASSERT_TRUE(reactor_.step());
        gate_.reset();
        watches_.clear();
    }

    // What was acked stays; of the rest, any prefix.
    void crash_and_restart() {
        shard_.reset();
        std::uint64_t kept = disk_.acked.value + pick(disk_.appended.value - disk_.acked.value + 1);
        disk_.appended = Lsn{kept};
        disk_.records.erase(disk_.records.upper_bound(disk_.appended), disk_.records.end());
        while (!log_.empty() && log_.back().first > disk_.appended) log_.pop_back();
        model_ = {};
        counted_.clear();
        for (const auto& [lsn, change] : log_) change(*this);
        start();
    }

    void check_all() {
        for (std::uint64_t i = 0; i < kFiles; ++i) {
            FileId file = file_of(i);
            EXPECT_EQ(counted_[file], model_.blocks(file));
            for (std::uint64_t region = 0; region < 2; ++region) {
                Buffer buffer(kRegionBytes);
                std::uint64_t offset = region * kRegionBytes;
                auto done = reactor_.run(shard_->data().read(file, offset, buffer.bytes()));
                ASSERT_TRUE(done.ok()) << name_of(done.code());
                ASSERT_EQ(text_of(buffer.bytes()), model_.read(file, offset, kRegionBytes));
            }
        }
        std::string fault = reactor_.run(find_fault(shard_.get())).value();
        ASSERT_EQ(fault, "");
        EXPECT_EQ(shard_->data().staged_bytes() == 0, shard_->data().oldest_staged() == Lsn{});
    }

    // Somewhere in the first blocks of a region, or at its end.
    Range some_range(std::uint64_t most, std::uint64_t unit) {
        std::uint64_t region = pick(2);
        std::uint64_t window = 48 * kBlock;
        std::uint64_t base = region * kRegionBytes;
        if (pick(4) == 0) {
            window = 8 * kBlock;
            base += kRegionBytes - window;
        }
        std::uint64_t from = round_down(pick(window), unit);
        std::uint64_t length = std::min(round_up(1 + pick(most), unit), window - from);
        return {file_of(pick(kFiles)), base + from, length};
    }

    Range some_write() {
        switch (pick(4)) {
            case 0:
                return some_range(100, 1);
            case 1:
                return some_range(3 * kBlock, 1);
            case 2:
                return some_range(kBlock, kBlock);
            default:
                return some_range(40 * kBlock, kBlock);
        }
    }

    std::string some_bytes(std::uint64_t length) {
        std::string bytes(length, '\0');
        std::uint64_t state = reactor_.random() | 1;
        for (char& byte : bytes) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            byte = static_cast<char>(state >> 56);
        }
        return bytes;
    }

    // The change is committed now: the model does it too.
    Lsn record(PreparedChange& prepared, FileId file, std::function<void(FileModel&)> change) {
        std::int64_t delta = prepared.blocks_delta;
        Lsn lsn = shard_->commit(prepared);
        auto logged = [file, delta, change = std::move(change)](RandomRun& run) {
            change(run.model_);
            run.counted_[file] += delta;
        };
        logged(*this);
        log_.emplace_back(lsn, std::move(logged));
        EXPECT_EQ(counted_[file], model_.blocks(file));
        for (Watch& watch : watches_) {
            const Range& range = watch.range;
            if (range.file == file) {
                watch.seen.push_back(model_.read(file, range.offset, range.length));
            }
        }
        return lsn;
    }

    static Task<Done> work(RandomRun* run, int operations) {
        for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
            co_await sleep(run->reactor_, static_cast<Nanos>(run->pick(400)) * kMicrosecond);
            auto done = co_await operate(run);
            bool fine = done.ok() || done.code() == Code::out_of_space;
            EXPECT_TRUE(fine) << name_of(done.code()) << " " << done.error().what;
        }
        --run->workers_;
        co_return Done{};
    }

    static Task<Done> operate(RandomRun* run) {
        switch (run->pick(12)) {
            case 0:
                return punch(run, run->some_range(20 * kBlock, 1));
            case 1:
                return punch(run, run->some_range(20 * kBlock, kBlock));
            case 2:
                return reserve(run, run->some_range(10 * kBlock, 1));
            case 3:
                return share(run);
            case 4:
                return purge(run);
            case 5:
            case 6:
                return read(run, run->some_range(40 * kBlock, 1));
            case 7:
                return read(run, run->some_range(48 * kBlock, kBlock));
            default:
                return write(run, run->some_write());
        }
    }

    SharedMutex& inode(FileId file) {
        return *std::next(inodes_.begin(), static_cast<std::ptrdiff_t>(file.inode.value - 10));
    }

    // Between decide and commit may lie anything, the range is locked.
    static Task<Done> dawdle(RandomRun* run) {
        if (run->pick(2) == 0) co_return Done{};
        co_await sleep(run->reactor_, static_cast<Nanos>(run->pick(300)) * kMicrosecond);
        co_return Done{};
    }

    static Task<Done> await_ack(RandomRun* run, Lsn lsn) {
        if (run->pick(2) == 0) co_return Done{};
        co_return co_await run->shard_->committed(lsn);
    }

    static Task<Done> write(RandomRun* run, Range range) {
        auto inode = co_await or_return(co_await run->inode(range.file).lock_shared());
        FileData& data = run->shard_->data();
        co_await or_return(co_await data.admit());
        std::string bytes = run->some_bytes(range.length);
        Lsn lsn;
        {
            auto change = co_await or_return(
                co_await data.prepare_write(range.file, range.offset, bytes_of(bytes)));
            co_await or_return(co_await dawdle(run));
            lsn = run->record(change, range.file, [range, bytes](FileModel& model) {
                model.write(range.file, range.offset, bytes);
            });
        }
        co_return co_await await_ack(run, lsn);
    }

    static Task<Done> punch(RandomRun* run, Range range) {
        auto inode = co_await or_return(co_await run->inode(range.file).lock_shared());
        bool keep = run->pick(2) == 0;
        auto change = co_await or_return(co_await run->shard_->data().prepare_punch(
            range.file, range.offset, range.length, keep));
        co_await or_return(co_await dawdle(run));
        run->record(change, range.file, [range, keep](FileModel& model) {
            model.punch(range.file, range.offset, range.length, keep);
        });
        co_return Done{};
    }

    static Task<Done> reserve(RandomRun* run, Range range) {
        auto inode = co_await or_return(co_await run->inode(range.file).lock_shared());
        auto change = co_await or_return(
            co_await run->shard_->data().prepare_reserve(range.file, range.offset, range.length));
        co_await or_return(co_await dawdle(run));
        run->record(change, range.file, [range](FileModel& model) {
            model.reserve(range.file, range.offset, range.length);
        });
        co_return Done{};
    }

    static Task<Done> share(RandomRun* run) {
        Range from = run->some_range(20 * kBlock, kBlock);
        Range to = run->some_range(20 * kBlock, kBlock);
        std::uint64_t length = std::min(from.length, to.length);
        from.length = to.length = length;
        FileId first = std::min(from.file, to.file);
        FileId second = std::max(from.file, to.file);
        auto inode = co_await or_return(co_await run->inode(first).lock_shared());
        SharedMutex::Lock other;
        if (second != first) other = co_await or_return(co_await run->inode(second).lock_shared());
        auto prepared = co_await run->shard_->data().prepare_share(from.file, from.offset, to.file,
                                                                   to.offset, length);
        if (prepared.code() == Code::invalid) co_return Done{};
        auto change = co_await or_return(std::move(prepared));
        co_await or_return(co_await dawdle(run));
        run->record(change, to.file, [from, to](FileModel& model) {
            model.share(from.file, from.offset, to.file, to.offset, from.length);
        });
        co_return Done{};
    }

    static Task<Done> purge(RandomRun* run) {
        FileId file = file_of(run->pick(kFiles));
        auto inode = co_await or_return(co_await run->inode(file).lock());
        std::uint64_t from_block = run->pick(2) * kRegionBlocks + run->pick(48);
        std::size_t most = 1 + run->pick(10);
        for (bool more = true; more;) {
            auto purge = co_await or_return(
                co_await run->shard_->data().prepare_purge(file, from_block, most));
            more = purge.more;
            if (more) {
                // Which blocks went is not for the model to know: all or nothing of the rest.
                most = 100000;
                continue;
            }
            co_await or_return(co_await dawdle(run));
            run->record(purge.change, file,
                        [file, from_block](FileModel& model) { model.purge(file, from_block); });
        }
        co_return Done{};
    }

    static Task<Done> read(RandomRun* run, Range range) {
        auto inode = co_await or_return(co_await run->inode(range.file).lock_shared());
        std::string now = run->model_.read(range.file, range.offset, range.length);
        std::vector<std::string> seen;
        seen.push_back(std::move(now));
        Watch watch;
        watch.range = range;
        watch.seen = std::move(seen);
        auto own = run->watches_.insert(run->watches_.end(), std::move(watch));
        Buffer buffer(round_up(range.length, kBlock) + kBlock);
        std::uint64_t skew = run->pick(2) * (range.offset % kBlock);
        Bytes into = buffer.bytes().subspan(skew, range.length);
        auto done = co_await run->shard_->data().read(range.file, range.offset, into);
        bool right = false;
        for (const std::string& text : own->seen) right = right || text == text_of(into);
        EXPECT_TRUE(right || !done.ok()) << "a read saw what never was";
        run->watches_.erase(own);
        co_await or_return(done);
        co_return co_await seek(run, range);
    }

    // Only where nothing changed meanwhile can the model say what is right.
    static Task<Done> seek(RandomRun* run, Range range) {
        bool data = run->pick(2) == 0;
        std::size_t changes = run->log_.size();
        auto found = co_await run->shard_->data().seek(range.file, range.offset, range.end(), data);
        if (run->log_.size() != changes) co_return Done{};
        std::uint64_t right = run->model_.seek(range.file, range.offset, range.end(), data);
        if (found.code() == Code::no_data) {
            EXPECT_EQ(right, UINT64_MAX);
        } else {
            EXPECT_EQ(co_await or_return(found), right);
        }
        co_return Done{};
    }

    static Task<Done> destage_often(RandomRun* run) {
        while (run->workers_ > 0) {
            co_await sleep(run->reactor_, static_cast<Nanos>(run->pick(1000)) * kMicrosecond);
            Lsn last = run->shard_->last_lsn();
            Lsn through{last.value - run->pick(std::min<std::uint64_t>(last.value + 1, 20))};
            auto done = co_await run->shard_->data().destage(through);
            EXPECT_TRUE(done.ok()) << name_of(done.code());
            Lsn oldest = run->shard_->data().oldest_staged();
            EXPECT_TRUE(oldest == Lsn{} || oldest > through);
        }
        co_return Done{};
    }

    static Task<Done> clean_often(RandomRun* run) {
        while (run->workers_ > 0) {
            co_await sleep(run->reactor_, static_cast<Nanos>(run->pick(2000)) * kMicrosecond);
            auto listed = run->shard_->segments().list();
            if (listed.empty()) continue;
            if (run->pick(40) == 0) run->drives_.fail_write_after(run->pick(20));
            SegmentId segment = listed[run->pick(listed.size())].id;
            if (run->pick(4) == 0) {
                auto lost = co_await run->shard_->data().verify(segment);
                EXPECT_TRUE(lost.ok() && lost.value() == 0);
                continue;
            }
            auto cleaned = co_await run->shard_->data().clean(segment);
            EXPECT_TRUE(cleaned.ok()) << name_of(cleaned.code());
        }
        co_return Done{};
    }

    static Task<Done> checkpoint_often(RandomRun* run) {
        while (run->workers_ > 0) {
            co_await sleep(run->reactor_, static_cast<Nanos>(run->pick(8000)) * kMicrosecond);
            auto done = co_await run->shard_->checkpoint();
            EXPECT_TRUE(done.ok()) << name_of(done.code());
            // Freed segments settle for seconds.
            if (run->pick(3) == 0) co_await sleep(run->reactor_, 8 * kSecond);
        }
        co_return Done{};
    }

    SimulatedReactor reactor_;
    testing::MemoryDrives drives_;
    ShardDisk disk_;
    FileDataSettings settings_;
    FileModel model_;
    std::map<FileId, std::int64_t> counted_;
    std::vector<std::pair<Lsn, std::function<void(RandomRun&)>>> log_;
    std::list<Watch> watches_;
    std::list<SharedMutex> inodes_;
    int workers_ = 0;
    std::unique_ptr<ShardDouble> shard_;
    std::unique_ptr<Gate> gate_;
};

void run_seed(std::uint64_t seed, bool crashes) {
    SCOPED_TRACE(seed);
    RandomRun run(seed);
    run.run(4, crashes);
}

// Goal: files hold what was written to them, whatever else goes on. Method: random load on a
// shard against plain bytes; every read sees a state that was true while it ran.
TEST(FileDataRandom, MatchesPlainBytes) {
    for (std::uint64_t seed = 1; seed <= 10 && !::testing::Test::HasFailure(); ++seed) {
        run_seed(seed, false);
    }
}

// Goal: after a crash a shard is in the state of a prefix of its records that has all acked
// ones. Method: the same load, cut off anywhere.
TEST(FileDataRandom, MatchesPlainBytesAfterCrashes) {
    for (std::uint64_t seed = 101; seed <= 115 && !::testing::Test::HasFailure(); ++seed) {
        run_seed(seed, true);
    }
}

}  // namespace
}  // namespace weft::filedata
