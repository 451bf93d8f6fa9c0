#pragma once

#include "model/ids/ids.h"
#include "model/layout/batch.h"
#include "platform/runtime/task.h"

namespace weft {

// The journal of this core and the shards it owns, as the engines above the index see them.
// The way of every change: decide (may await) under the locks that keep the decision true,
// then commit() (no await), then await committed() before the reply.
class Committer {
public:
    virtual ~Committer() = default;

    // Appends one record with all parts and applies each part to its shard at once: index,
    // live-block accounts, staged bytes. Atomic: after a crash all of it is there or nothing.
    // Every part's shard must be owned by this core.
    virtual Lsn commit(Transaction transaction) = 0;
    // Bounds what is queued; await it before the locks are taken.
    virtual Task<Done> admit() = 0;
    // Ends when the record and all before it survive the loss of any m failure domains.
    virtual Task<Done> committed(Lsn lsn) = 0;
    // Ends when the record, all before it and every stripe written before this call survive
    // loss of power.
    virtual Task<Done> flushed(Lsn lsn) = 0;
};

}  // namespace weft
