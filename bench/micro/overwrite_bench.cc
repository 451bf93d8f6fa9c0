// What random 4 KiB overwrites of a nearly full filesystem cost: one core over drives in memory,
// in simulated time. Prints write amplification for each turn, a turn being one capacity written:
// blocks sent to segments (new data, cleaning, the index) to blocks that users wrote. Parity and
// the copies of the journal are left out; the journal's own bytes are a figure of their own.
//     overwrite_bench [uniform|95/5] [turns] [slots a drive] [slot KiB] [shards] [percent full]

#include "model/cluster/cluster_map.h"
#include "platform/base/bytes.h"
#include "platform/runtime/join.h"
#include "platform/simulated/simulated_reactor.h"
#include "roles/compute/compute_role.h"
#include "testing/memory_drives.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace weft {
namespace {

constexpr FilesystemId kFilesystem{1};
constexpr int kWriters = 16;

struct Shape {
    bool skewed = false;
    int turns = 5;
    std::uint32_t slots = 512;
    std::uint32_t slot_blocks = 64;
    std::uint32_t shards = 4;
    unsigned percent_full = 80;
};

class Holder : public LeaseHolder {
public:
    Task<Done> recall(Recall) override { co_return Done{}; }
};

class Bench {
public:
    explicit Bench(Shape shape)
        : shape_(shape), reactor_(1), drives_(reactor_, 6, shape.slots, shape.slot_blocks) {
        map_.cluster = 1;
        map_.epoch = Epoch{1};
        map_.name = "bench";
        map_.data_width = 4;
        map_.parity_width = 2;
        map_.slot_bytes = static_cast<std::uint32_t>(shape.slot_blocks * kBlockBytes);
        map_.shard_count = shape.shards;
        map_.routing_key = {1, 2};
        for (std::uint32_t i = 0; i < 6; ++i) {
            DriveEntry drive;
            drive.id = DriveId{i};
            drive.domain = FailureDomainId{i};
            drive.size_bytes = std::uint64_t{shape.slots} * map_.slot_bytes;
            map_.drives.push_back(drive);
        }
        FilesystemEntry entry;
        entry.id = kFilesystem;
        entry.name = "fs";
        entry.capacity_bytes = 1024 * kGiB;
        map_.filesystems.push_back(entry);
        role_ = std::make_unique<compute::ComputeRole>(reactor_, drives_);
        check(reactor_.run(role_->open(map_, map_.epoch)), "open");
        check(reactor_.run(role_->create_filesystem(kFilesystem)), "create");
        caller_.session = role_->open_session(&holder_).value();
    }

    int run() {
        capacity_ = report().physical_free_blocks;
        blocks_ = capacity_ * shape_.percent_full / 100;
        std::printf("%s overwrites, %u %% of %.1f MiB full, %u shards, %u segments of %.2f MiB\n",
                    shape_.skewed ? "95/5" : "uniform", shape_.percent_full,
                    static_cast<double>(capacity_) / 256, shape_.shards, shape_.slots,
                    static_cast<double>(shape_.slot_blocks) * 4 / 256);
        make_file();
        fill();
        show("fill", capacity_ * shape_.percent_full / 100);
        for (int turn = 1; turn <= shape_.turns; ++turn) {
            auto done = overwrite(capacity_);
            if (!done.ok()) show("failed", capacity_);
            check(done, "overwrite");
            show(("turn " + std::to_string(turn)).c_str(), capacity_);
        }
        std::printf("refused: %llu of %llu\n", static_cast<unsigned long long>(refused_),
                    static_cast<unsigned long long>(written_));
        return refused_ == 0 ? 0 : 1;
    }

private:
    static void check(const Result<Done>& result, const char* what) {
        if (result.ok()) return;
        std::printf("%s: %s %s\n", what, std::string(name_of(result.code())).c_str(),
                    std::string(result.error().what).c_str());
        std::exit(1);
    }
    ComputeReport report() { return reactor_.run(role_->report()).value(); }
    Caller next() {
        ++caller_.seq;
        return caller_;
    }
    void make_file() {
        NewNode what;
        what.mode = 0100644;
        auto made = reactor_.run(role_->create(next(), {kFilesystem, kRootInode}, "f", what));
        file_ = {kFilesystem, made.value().inode};
    }
    void fill() {
        std::vector<std::byte> bytes(kMiB, std::byte{1});
        for (std::uint64_t block = 0; block < blocks_; block += 256) {
            std::uint64_t count = std::min<std::uint64_t>(256, blocks_ - block);
            auto part = ConstBytes(bytes).first(count * kBlockBytes);
            auto done = role_->write(next(), file_, block * kBlockBytes, part, false, false);
            auto node = reactor_.run(std::move(done));
            if (!node.ok()) check(node.error(), "fill");
        }
    }
    std::uint64_t choose() {
        std::uint64_t hot = std::max<std::uint64_t>(1, blocks_ / 20);
        if (!shape_.skewed) return reactor_.random() % blocks_;
        if (reactor_.random() % 100 < 95) return reactor_.random() % hot;
        return hot + reactor_.random() % (blocks_ - hot);
    }
    Task<Done> writer(std::uint64_t count) {
        std::vector<std::byte> bytes(kBlockBytes, std::byte{2});
        for (std::uint64_t i = 0; i < count; ++i) {
            std::uint64_t block = choose();
            std::memcpy(bytes.data(), &written_, sizeof(written_));
            auto done =
                co_await role_->write(next(), file_, block * kBlockBytes, bytes, false, false);
            ++written_;
            if (done.code() == Code::out_of_space) ++refused_;
            if (!done.ok() && done.code() != Code::out_of_space) co_return done.error();
        }
        co_return Done{};
    }
    Result<Done> overwrite(std::uint64_t count) { return reactor_.run(overwrite_all(count)); }
    Task<Done> overwrite_all(std::uint64_t count) {
        std::vector<Task<Done>> writers;
        for (int i = 0; i < kWriters; ++i) writers.push_back(writer(count / kWriters));
        auto results = co_await join(writers);
        co_return first_error(results);
    }
    void show(const char* what, std::uint64_t user_blocks) {
        ComputeReport now = report();
        auto since = [&](std::string_view name) {
            for (std::size_t i = 0; i < now.counters.size(); ++i) {
                if (now.counters[i].first != name) continue;
                std::uint64_t before = i < last_.size() ? last_[i].second : 0;
                return static_cast<double>(now.counters[i].second - before);
            }
            return 0.0;
        };
        double user = static_cast<double>(user_blocks);
        auto wall = std::chrono::steady_clock::now();
        std::printf(
            "%-8s segments %.2f (hot %.2f cold %.2f cleaner %.2f index %.2f) journal %.2f "
            "| %.0f MiB free, %llu segments, %.1f s simulated, %.1f s\n",
            what, since("segments.blocks_written") / user,
            since("segments.hot_blocks_written") / user,
            since("segments.cold_blocks_written") / user,
            since("segments.cleaner_blocks_written") / user,
            since("segments.index_blocks_written") / user,
            since("journal.record_bytes") / kBlockBytes / user,
            static_cast<double>(now.physical_free_blocks) / 256,
            static_cast<unsigned long long>(now.segments),
            static_cast<double>(reactor_.now() - shown_at_) / kSecond,
            std::chrono::duration<double>(wall - shown_).count());
        std::fflush(stdout);
        shown_ = wall;
        shown_at_ = reactor_.now();
        last_ = now.counters;
    }

    Shape shape_;
    SimulatedReactor reactor_;
    testing::MemoryDrives drives_;
    ClusterMap map_;
    Holder holder_;
    Caller caller_;
    std::unique_ptr<compute::ComputeRole> role_;
    FileId file_;
    std::uint64_t capacity_ = 0;
    std::uint64_t blocks_ = 0;
    std::uint64_t written_ = 0;
    std::uint64_t refused_ = 0;
    std::vector<std::pair<std::string, std::uint64_t>> last_;
    std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
    Nanos shown_at_ = 0;
};

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
    weft::Shape shape;
    auto number = [&](int at, unsigned usual) {
        return argc > at ? static_cast<std::uint32_t>(std::atoi(argv[at])) : usual;
    };
    shape.skewed = argc > 1 && std::string_view(argv[1]) == "95/5";
    shape.turns = static_cast<int>(number(2, 5));
    shape.slots = number(3, shape.slots);
    shape.slot_blocks = number(4, shape.slot_blocks * 4) / 4;
    shape.shards = number(5, shape.shards);
    shape.percent_full = number(6, shape.percent_full);
    weft::Bench bench(shape);
    return bench.run();
}
