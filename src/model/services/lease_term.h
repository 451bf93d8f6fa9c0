#pragma once

#include "model/ids/ids.h"
#include "platform/base/planted.h"

#include <algorithm>

namespace weft {

// How long clients may use what they cache without hearing from compute, and how long compute waits
// for them. Together they keep this: whenever a client uses what it has cached, compute would still
// wait for it before it lets anybody change that. docs/protocols/leases.md has the argument.
struct LeaseTerms {
    // Of a client's caches, by its own clock, from when it sent what was answered last.
    Nanos term = 1200 * kMillisecond;
    // How long compute waits for a recall before it ends the session; what compute itself keeps the
    // session's requests waiting does not count.
    Nanos recall_deadline = 2 * kSecond;

    // For clocks that run at different speeds, and for what it takes a client to drop its caches
    // once its term is over.
    Nanos margin() const {
        return planted(Bug::lease_margin_is_not_kept) ? 0 : recall_deadline / 4;
    }
    // A session with a recall that has waited for longer is not renewed any more.
    Nanos recall_patience() const { return recall_deadline - term - margin(); }
    // When nobody uses caches any more who was last renewed at `renewed`, of compute's clock.
    Nanos over_after(Nanos renewed) const { return renewed + term + margin(); }
    // The longest that a recall is waited for: a client that has been kept waiting for longer than
    // that has given up.
    Nanos recall_most() const { return recall_deadline + 120 * kSecond; }
    bool valid() const { return term > 0 && recall_patience() > 0; }
};

// A client's right to use what it has cached. It begins with the session, each answer to a ping
// renews it, and it is over a term after the last of these was sent, however late the answer came.
class LeaseTerm {
public:
    // Of a session that was asked for at `sent`.
    void begin(Nanos sent, Nanos length) {
        length_ = length;
        until_ = sent + length;
    }
    void renew(Nanos sent) { until_ = std::max(until_, sent + length_); }
    bool covers(Nanos now) const { return now < until_; }
    Nanos until() const { return until_; }

private:
    Nanos length_ = 0;
    Nanos until_ = INT64_MIN;
};

}  // namespace weft
