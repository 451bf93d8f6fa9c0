#include "roles/frontend/write_behind.h"

#include "platform/base/check.h"

#include <algorithm>
#include <utility>

namespace weft::frontend {

WriteBehind::WriteBehind(Reactor& reactor, Gate& gate, ComputeClient& compute, FileTable& files,
                         ChangeLog& changes, WriteBehindSettings settings)
    : reactor_(reactor),
      gate_(gate),
      compute_(compute),
      files_(files),
      changes_(changes),
      settings_(settings),
      sends_(reactor, settings.sends_most),
      freed_(reactor),
      dirtied_(reactor),
      stopped_(reactor) {}

template <class Change>
auto WriteBehind::rebuffer(File& file, Change change) {
    buffered_memory_ -= file.dirty.memory_bytes();
    auto result = change(file.dirty);
    buffered_memory_ += file.dirty.memory_bytes();
    if (file.dirty.empty()) {
        file.unlink();
    } else if (!file.linked()) {
        dirty_files_.push_back(file);
        dirtied_.notify_all();
    }
    return result;
}

Task<Done> WriteBehind::refresh_space() {
    auto usage = co_await compute_.service()->usage(compute_.filesystem());
    refreshing_ = false;
    if (!usage.ok()) co_return usage.error();
    space_.learn(usage.value(), reactor_.now());
    co_return Done{};
}

Task<bool> WriteBehind::admit(std::uint64_t bytes) {
    CHECK(bytes <= settings_.memory_most);
    if (stopping_) co_return false;
    if (space_.wants_refresh(reactor_.now()) && !refreshing_) {
        refreshing_ = true;
        Task<Done> refresh = refresh_space();
        if (space_.known()) {
            gate_.spawn(std::move(refresh));
        } else {
            (void)co_await refresh;
        }
    }
    // Other writers and a slow compute may keep memory short for long.
    while (memory_bytes() + bytes > settings_.memory_most) {
        if (sent_memory_ <= settings_.memory_most / 2) send_oldest_file();
        bool on_its_way = sent_memory_ > 0;  // It may also have gone at once.
        if (on_its_way && memory_bytes() + bytes > settings_.memory_most) co_await freed_.wait();
    }
    co_return space_.covers(bytes, memory_bytes());
}

void WriteBehind::write(const FilePtr& file, std::uint64_t offset, ConstBytes data, Memory& memory,
                        std::size_t at) {
    CHECK(file->lease == LeaseMode::write);
    if (data.empty()) return;
    std::uint64_t end = offset + data.size();
    Nanos now = reactor_.now();
    rebuffer(*file, [&](DirtyMap& dirty) {
        bool adopted = dirty.adopt(offset, memory, at, data.size(), now);
        if (!adopted) dirty.write(offset, data, now);
        return adopted;
    });
    space_.promise(data.size());
    file->size = std::max(file->size, end);
    file->mtime = file->ctime = timestamp_of(reactor_.wall_now());
    // Nobody has seen this time yet: compute's own, when the bytes arrive, is as good.
    file->store_attributes = file->attributes_set();
    ++counters_.writes_deferred;
    counters_.bytes_deferred += data.size();
    send(file, rebuffer(*file, [&](DirtyMap& dirty) { return dirty.take_complete(offset, end); }));
}

void WriteBehind::send(const FilePtr& file, std::vector<Piece> pieces) {
    for (Piece& piece : pieces) {
        std::uint64_t number = ++last_number_;
        file->in_flight.push_back(File::InFlight{number, piece.offset, piece.end()});
        sent_memory_ += piece.memory.size();
        gate_.spawn(send_piece(file, std::move(piece), number, reactor_.now()));
    }
}

bool WriteBehind::clear_before(const File& file, std::uint64_t number, std::uint64_t from,
                               std::uint64_t to) {
    return number == 0 || !sending(file, number - 1, from, to);
}

bool WriteBehind::sending(const File& file, std::uint64_t most, std::uint64_t from,
                          std::uint64_t to) {
    return std::any_of(file.in_flight.begin(), file.in_flight.end(), [&](const auto& other) {
        return other.number <= most && other.from < to && other.to > from;
    });
}

void WriteBehind::ended(const FilePtr& file, std::uint64_t number) {
    auto at = std::find_if(file->in_flight.begin(), file->in_flight.end(),
                           [&](const auto& one) { return one.number == number; });
    CHECK(at != file->in_flight.end());
    file->in_flight.erase(at);
    if (!file->ahead() && file->attributes_valid) file->size = file->attributes.size;
    // A reply that compute made before this may know the old size and times.
    changes_.note(file->inode);
    file->sent.notify_all();
    files_.forget_if_idle(file);
}

// Pieces that wait for one another, or for their turn, lose patience together: else an unmount
// would wait for compute once for each of them.
Task<Done> WriteBehind::send_piece(FilePtr file, Piece piece, std::uint64_t number, Nanos began) {
    while (!clear_before(*file, number, piece.offset, piece.end())) co_await file->sent.wait();
    co_await sends_.acquire();
    Permit permit(sends_, 1);

    ++counters_.sends;
    Caller caller = compute_.own_writer();
    FileId id = compute_.file(file->inode);
    ComputeService* service = compute_.service();
    ConstBytes bytes = piece.bytes();
    std::uint64_t offset = piece.offset;
    auto call = [=] {
        return service->write(caller, id, offset, bytes, false, false);
    };
    auto written = co_await compute_.attempt_since<Node>(began, nullptr, call);

    permit.release();
    if (written.ok()) {
        file->learn(written.value(), LeaseMode::none, file->attributes_namespace);
    } else {
        ++counters_.sends_failed;
        file->errors.note(written.error());
        if (written.code() == Code::out_of_space) space_.note_full();
    }
    sent_memory_ -= piece.memory.size();
    piece.memory = Memory();
    freed_.notify_all();

    // The last one out takes the attributes along, again if a program changes them meanwhile.
    while (file->store_attributes && file->dirty.empty() && file->in_flight.size() == 1) {
        Task<Done> attributes = send_attributes(file, number);
        (void)co_await attributes;
    }
    ended(file, number);
    co_return Done{};
}

Task<Done> WriteBehind::send_attributes(FilePtr file, std::uint64_t number) {
    // Whatever is written from now on goes behind this: its own time is the newer one.
    for (auto& one : file->in_flight) {
        if (one.number != number) continue;
        one.from = 0;
        one.to = UINT64_MAX;
    }
    AttributeChange change;
    change.mtime = file->mtime;
    change.ctime = file->ctime;
    change.atime = file->atime;
    change.mode = file->mode;
    file->store_attributes = false;

    ++counters_.attributes_sent;
    Caller caller = compute_.own_writer();
    FileId id = compute_.file(file->inode);
    ComputeService* service = compute_.service();
    auto call = [=] {
        return service->setattr(caller, id, change);
    };
    auto stored = co_await compute_.attempt<Node>(nullptr, call);
    if (stored.ok()) {
        file->learn(stored.value(), LeaseMode::none, file->attributes_namespace);
    } else {
        file->errors.note(stored.error());
    }
    // Until here they were shown from the file; what was set meanwhile is sent by the next round.
    if (!file->store_attributes) {
        file->atime.reset();
        file->mode.reset();
    }
    co_return Done{};
}

void WriteBehind::start(const FilePtr& file) {
    send(file, rebuffer(*file, [](DirtyMap& dirty) { return dirty.take_all(); }));
}

Task<Done> WriteBehind::flush(FilePtr file, std::uint64_t from, std::uint64_t to) {
    send(file, rebuffer(*file, [&](DirtyMap& dirty) { return dirty.take(from, to); }));
    std::uint64_t most = last_number_;
    while (sending(*file, most, from, to)) co_await file->sent.wait();
    co_return Done{};
}

Task<Done> WriteBehind::flush_all() {
    std::vector<FilePtr> files = files_.all();
    for (const FilePtr& file : files) start(file);
    for (FilePtr file : files) {
        Task<Done> flushed = flush(file);
        (void)co_await flushed;
    }
    co_return Done{};
}

void WriteBehind::discard(const FilePtr& file, Error error) {
    std::vector<Piece> dropped = rebuffer(*file, [](DirtyMap& dirty) { return dirty.take_all(); });
    if (dropped.empty()) return;
    dropped.clear();
    file->errors.note(error);
    ++counters_.sends_failed;
    changes_.note(file->inode);
    freed_.notify_all();
    files_.forget_if_idle(file);
}

void WriteBehind::send_oldest_file() {
    File* oldest = dirty_files_.front();
    if (oldest == nullptr) return;
    FilePtr file = files_.find(oldest->inode);
    CHECK(file != nullptr);
    start(file);
}

void WriteBehind::send_aged() {
    Nanos limit = reactor_.now() - settings_.age_most;
    List<File> young;
    while (File* file = dirty_files_.pop_front()) {
        young.push_back(*file);
        if (file->dirty.oldest() <= limit) start(files_.find(file->inode));
    }
    while (File* file = young.pop_front()) dirty_files_.push_back(*file);
}

Task<Done> WriteBehind::run() {
    while (!stopping_) {
        if (dirty_files_.empty()) {
            co_await dirtied_.wait();
            continue;
        }
        (void)co_await stopped_.wait(reactor_.now() + settings_.age_most / 4);
        send_aged();
    }
    co_return Done{};
}

void WriteBehind::stop() {
    stopping_ = true;
    dirtied_.notify_all();
    stopped_.notify_all();
}

}  // namespace weft::frontend
