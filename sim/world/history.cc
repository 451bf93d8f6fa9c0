#include "sim/world/history.h"

#include "model/layout/routing.h"
#include "platform/base/bytes.h"

#include <algorithm>
#include <iterator>
#include <sstream>

namespace weft::sim {
namespace {

using Kind = Operation::Kind;

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

// The first line in which two descriptions differ.
std::string first_difference(const std::string& expected, const std::string& found) {
    auto a = lines_of(expected);
    auto b = lines_of(found);
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        std::string left = i < a.size() ? a[i] : "(nothing)";
        std::string right = i < b.size() ? b[i] : "(nothing)";
        if (left != right) return "expected: " + left + "\n   found: " + right;
    }
    return "no difference";
}

bool changes(Kind kind) {
    return kind != Kind::read && kind != Kind::read_held && kind != Kind::list &&
           kind != Kind::get_xattr && kind != Kind::seek_data && kind != Kind::seek_hole;
}

}  // namespace

void History::begin(const Operation& operation) {
    pending_ = operation;
    after_.state = states_.back();
    after_.code = after_.state.apply(operation);
    steps_.clear();
    bool stepwise = operation.kind == Kind::copy_range || operation.kind == Kind::punch ||
                    operation.kind == Kind::zero;
    if (!stepwise || after_.code != Code::ok) return;
    Operation part = operation;
    std::uint64_t end = operation.offset + operation.length;
    // What a hole does to setuid and setgid comes last.
    bool copies = operation.kind == Kind::copy_range;
    if (!copies) part.unprivileged = false;
    bool ends_apart = !copies && operation.unprivileged;
    std::uint64_t at = round_up(operation.offset + 1, kRegionBytes);
    for (; at < end || ends_apart; at += kRegionBytes) {
        ends_apart = ends_apart && at < end;
        part.length = std::min(at, end) - operation.offset;
        ModelFilesystem& state = steps_.emplace_back(states_.back());
        (void)state.apply(part);
    }
}

void History::end(Code code) {
    if (code == Code::ok && pending_->kind == Kind::sync) {
        settle(std::move(after_.state));
    } else if (code == Code::ok && pending_->kind == Kind::fsync) {
        settle_through(states_.back().last_change_of(pending_->path));
    } else if (code == Code::ok && after_.code == Code::ok && changes(pending_->kind)) {
        std::ranges::move(steps_, std::back_inserter(states_));
        states_.push_back(std::move(after_.state));
    }
    steps_.clear();
    pending_.reset();
}

void History::settle(ModelFilesystem state) {
    states_.clear();
    states_.push_back(std::move(state));
}

void History::forget_held() {
    for (ModelFilesystem& state : states_) state.forget_held();
    for (ModelFilesystem& state : steps_) state.forget_held();
    after_.state.forget_held();
}

// Records survive in their order: with one, all before it.
void History::settle_through(std::uint64_t change) {
    auto first = states_.begin();
    while (std::next(first) != states_.end() && std::next(first)->changes() <= change) ++first;
    states_.erase(states_.begin(), first);
}

bool History::accept(const std::string& described, Lost lost, std::string* difference) {
    std::vector<ModelFilesystem> candidates;
    if (pending_.has_value() && after_.code == Code::ok) {
        candidates = steps_;
        candidates.push_back(after_.state);
    }
    std::size_t oldest = lost == Lost::power ? 0 : states_.size() - 1;
    for (std::size_t i = states_.size(); i > oldest; --i) candidates.push_back(states_[i - 1]);
    for (ModelFilesystem& candidate : candidates) {
        if (candidate.describe() != described) continue;
        if (lost != Lost::nothing) {
            // A start flushes what it has read.
            settle(std::move(candidate));
            states_.back().forget_held();
        } else if (pending_.has_value()) {
            states_.push_back(std::move(candidate));  // Seen, but no more durable for it.
        }
        pending_.reset();
        return true;
    }
    *difference = first_difference(states_.back().describe(), described);
    return false;
}

}  // namespace weft::sim
