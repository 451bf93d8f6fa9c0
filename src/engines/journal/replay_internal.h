#pragma once

#include "engines/journal/journal.h"
#include "engines/journal/recovery_internal.h"

#include <cstdint>
#include <string>

namespace weft::journal {

// Puts records together from the entries of commits, and gives them on in lsn order.
class Replay {
public:
    // The recovery has found its chain.
    Replay(const Recovery& recovery, Journal::Visit visit, Journal::Verify verify);

    // False: a record points at what is not there. It and all after it are discarded.
    // Errors: corrupt (the commit does not follow the one before), and the visitor's.
    Task<bool> take(const ReadCommit* commit);
    // Of the first record that was not given on.
    Lsn next_lsn() const { return next_; }
    bool inside_record() const { return inside_ || skipping_; }
    std::uint64_t bytes() const { return bytes_; }
    // Entries of the commit taken last that count; the others were discarded, now or earlier.
    std::size_t entries() const { return entries_; }

private:
    bool begin(const CommitHeader& header);
    bool in_prefix(Lsn lsn, const Entry& entry) const;
    Task<bool> deliver(Lsn lsn, std::string_view record);

    const Recovery& recovery_;
    Journal::Visit visit_;
    Journal::Verify verify_;
    Lsn next_;
    bool inside_ = false;  // Of record next_, whose beginning is in part_.
    bool skipping_;        // Record next_ is trimmed, and its beginning is gone.
    std::string part_;
    std::size_t entries_ = 0;
    std::uint64_t bytes_ = 0;  // Of the records given on.
};

}  // namespace weft::journal
