#include "engines/index/merge_internal.h"
#include "platform/runtime/join.h"

#include <algorithm>

namespace weft::index {

void Merge::add(PageReader& reader, std::vector<RunPtr> runs, PageUse use) {
    if (runs.empty()) return;
    RunCursor cursor(reader, std::move(runs), range_, use);
    sources_.push_back(std::make_unique<Source>(Source{std::move(cursor), sources_.size()}));
}

// The heap's front is the least key, and of equal keys the newest entry.
bool Merge::later(const Source* a, const Source* b) {
    int order = a->cursor.entry().key.compare(b->cursor.entry().key);
    return order != 0 ? order > 0 : a->age > b->age;
}

void Merge::push(Source* source) {
    if (!source->cursor.valid()) return;
    heap_.push_back(source);
    std::push_heap(heap_.begin(), heap_.end(), later);
}

void Merge::gather() {
    group_.clear();
    fold_.clear();
    while (!heap_.empty()) {
        Source* source = heap_.front();
        EntryView entry = source->cursor.entry();
        if (!group_.empty() && entry.key != key()) break;
        std::pop_heap(heap_.begin(), heap_.end(), later);
        heap_.pop_back();
        group_.push_back(source);
        fold_.take(entry.kind, entry.value);
        bytes_taken_ += entry.key.size() + entry.value.size();
    }
}

Task<Done> Merge::start() {
    for (auto& source : sources_) waiting_.push_back(source.get());
    co_return co_await load();
}

bool Merge::next() {
    CHECK(valid());
    for (Source* source : group_) {
        source->cursor.advance();
        if (source->cursor.step()) {
            push(source);
        } else {
            waiting_.push_back(source);
        }
    }
    group_.clear();
    if (!waiting_.empty()) return false;
    gather();
    return true;
}

Task<Done> Merge::load() {
    std::vector<Task<Done>> loads;
    for (Source* source : waiting_) {
        if (!source->cursor.step()) loads.push_back(source->cursor.load());
    }
    if (!loads.empty()) {
        auto results = co_await join(loads);
        co_await or_return(first_error(results));
    }
    for (Source* source : waiting_) push(source);
    waiting_.clear();
    gather();
    co_return Done{};
}

}  // namespace weft::index
