#include "sim/world/found_or_made.h"

namespace weft::sim {

Task<FoundOrMade> find_or_make(ComputeService* compute, Caller caller, FileId directory,
                               std::string name, std::uint32_t mode) {
    auto found = co_await compute->lookup(caller, directory, name);
    bool fresh = found.code() == Code::not_found;
    if (fresh) {
        NewNode what;
        what.mode = mode;
        found = co_await compute->create(caller, directory, name, what);
    }
    FoundOrMade made;
    made.node = co_await or_return(std::move(found));
    made.fresh = fresh;
    co_return made;
}

}  // namespace weft::sim
