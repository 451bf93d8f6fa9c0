#pragma once

#include "model/services/compute_service.h"

#include <map>
#include <vector>

namespace weft::frontend {

// The advisory locks that programs hold through this mount, to be asked for again when the
// session that held them is lost. Compute says who may have what; this only remembers it.
class HeldLocks {
public:
    // Compute has done `request`: what its owner held on that range is as it says.
    void apply(InodeId inode, const LockRequest& request);
    // All that compute would have to be asked for, each not to be waited for.
    std::vector<LockRequest> of(InodeId inode) const;
    std::vector<InodeId> inodes() const;
    std::size_t count() const;
    void forget(InodeId inode) { locks_.erase(inode); }
    bool empty() const { return locks_.empty(); }

private:
    std::map<InodeId, std::vector<LockRequest>> locks_;
};

}  // namespace weft::frontend
