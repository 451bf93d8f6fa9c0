#pragma once

#include "sim/model/model_filesystem.h"

#include <optional>
#include <string>
#include <vector>

namespace weft::sim {

// What went away since the last look.
enum class Lost { nothing, process, power };

// What one client has done, and therefore what may be found after a crash: the oracle.
//
// A client does one operation after another. What was answered is there after a crash of
// processes; after loss of power only what a sync or an fsync covered must be, but what is
// there is the state after some operation, never a mixture. The operation under way may have
// been done. A copy, a hole, or a reservation is done a region at a time: of these the first
// steps alone may be there.
class History {
public:
    // Call before the operation is sent, and once its answer is there.
    void begin(const Operation& operation);
    void end(Code code);
    // The answer that POSIX asks for to the operation that was begun.
    Code expected() const { return after_.code; }
    // What was held went with the session.
    void forget_held();
    const ModelFilesystem& now() const { return states_.back(); }
    void set_links_most(std::uint32_t most) { states_.back().set_links_most(most); }

    // Takes the state that the product's tree is in as the present one. False, and a text that
    // says what differs, if it is none that may be.
    bool accept(const std::string& described, Lost lost, std::string* difference);

private:
    struct After {
        ModelFilesystem state;
        Code code = Code::ok;
    };
    void settle(ModelFilesystem state);
    void settle_through(std::uint64_t change);

    // After the last sync, after each answered operation since, and in the midst of those.
    std::vector<ModelFilesystem> states_ = {ModelFilesystem()};
    std::optional<Operation> pending_;
    After after_;
    std::vector<ModelFilesystem> steps_;  // Of the operation under way, but for the last.
};

}  // namespace weft::sim
