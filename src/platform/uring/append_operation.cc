#include "platform/uring/append_operation_internal.h"

#include <algorithm>

#include <fcntl.h>

namespace weft {

AppendOperation::AppendOperation(int target, ConstBytes bytes)
    : owned_fd_(::fcntl(target, F_DUPFD_CLOEXEC, 0)) {
    if (!owned_fd_) {
        result = -errno;
        return;
    }
    owned_bytes_ = std::make_unique_for_overwrite<std::byte[]>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), owned_bytes_.get());
    kind = Kind::append;
    fd = owned_fd_.get();
    data = owned_bytes_.get();
    length = bytes.size();
}

void AppendOperation::ended() {
    ended_ = true;
    if (abandoned_) {
        delete this;
    } else {
        machine->ready(waiter_);
    }
}

void AppendOperation::abandon(std::unique_ptr<AppendOperation> self) {
    self->abandoned_ = true;
    (void)self.release();
}

AppendWait::~AppendWait() {
    // Linked: it waits for its turn, and leaves the queue as it goes.
    bool under_way = started_ && !operation_->has_ended() && !operation_->linked();
    if (under_way) AppendOperation::abandon(std::move(operation_));
}

}  // namespace weft
