#pragma once

#include "platform/base/bytes.h"
#include "platform/runtime/sync.h"
#include "roles/frontend/compute_client.h"
#include "roles/frontend/lease_table.h"
#include "roles/frontend/request.h"
#include "roles/frontend/request_memory.h"

#include <cstring>
#include <optional>
#include <utility>

namespace weft::frontend {

// One request, from its bytes to its reply. It stays in the mount's list of exchanges under
// way until it ends.
//
// The reply's fixed part is put together in the memory before the request, so what a handler
// has decoded stays valid meanwhile. A payload may overwrite the request.
class Exchange {
public:
    Exchange(Reactor& reactor, Memory memory, const fuse_in_header& header, Operation operation,
             Moments before)
        : memory_(std::move(memory)),
          header_(header),
          operation_(std::move(operation)),
          before_(before),
          interruption_(reactor, header.pid) {}

    const fuse_in_header& header() const { return header_; }
    Operation& operation() { return operation_; }
    InodeId inode() const { return InodeId{header_.nodeid}; }
    // When it arrived: nothing that compute told it is older.
    const Moments& before() const { return before_; }
    Interruption* interruption() { return &interruption_; }

    // Appends to the reply's fixed part.
    template <class T>
    void put(const T& fixed) {
        CHECK(fixed_bytes_ + sizeof(T) <= Memory::kReplyHeadBytes);
        if (!memory_) memory_ = Memory(kBlockBytes);
        std::memcpy(memory_.bytes().data() + fixed_bytes_, &fixed, sizeof(T));
        fixed_bytes_ += sizeof(T);
    }
    // What follows the fixed part; must stay where it is until the exchange ends.
    void put_payload(ConstBytes payload) { payload_ = payload; }
    // Copies `payload` to the payload space.
    void put_payload_copy(std::string_view payload) {
        CHECK(payload.size() <= kFusePayloadMost);
        Bytes space = payload_space();
        std::memcpy(space.data(), payload.data(), payload.size());
        payload_ = space.first(payload.size());
    }
    // 1 MiB, aligned to 4 KiB, where a WRITE's data lie and a READ's shall.
    Bytes payload_space() { return memory_.bytes().subspan(Memory::kHeadBytes); }
    // Of a request with data: where they lie in it.
    std::size_t offset_in_memory(ConstBytes data) const {
        return static_cast<std::size_t>(data.data() - memory_.bytes().data());
    }
    // May be taken, if the payload is not needed any more. A reply without payload can still
    // be put.
    Memory& memory() { return memory_; }

    // What a wait that is called off must tell compute.
    void wait_for_lock(LockRequest request) {
        waiting_lock_ = request;
        interruption_.by_any_signal = true;
    }
    const std::optional<LockRequest>& waiting_lock() const { return waiting_lock_; }

    // Counts against the requests served at once; given up by requests that wait for long.
    void hold(Permit permit) { permit_ = std::move(permit); }
    // A request that has no payload and only waits needs no large memory.
    void park(Permit permit) {
        memory_ = Memory(kBlockBytes);
        permit_ = std::move(permit);
    }

    // For the few outcomes that no Code stands for.
    void set_errno(int error_number) { error_number_ = error_number; }
    int error_number() const { return error_number_; }

    struct Reply {
        ConstBytes head;  // With fuse_out_header.
        ConstBytes payload;
    };
    // As it goes to the kernel; an error carries nothing else.
    Reply finish(int error_number);

private:
    Memory memory_;
    fuse_in_header header_;
    Operation operation_;
    Moments before_;
    Interruption interruption_;
    std::optional<LockRequest> waiting_lock_;
    Permit permit_;
    std::size_t fixed_bytes_ = sizeof(fuse_out_header);
    ConstBytes payload_;
    int error_number_ = 0;
};

}  // namespace weft::frontend
