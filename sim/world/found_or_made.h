#pragma once

#include "model/services/compute_service.h"

#include <string>

namespace weft::sim {

// Runs over crashes begin with what earlier ones left: a name is made only if it is not there.
struct FoundOrMade {
    Node node;
    bool fresh = false;
};
Task<FoundOrMade> find_or_make(ComputeService* compute, Caller caller, FileId directory,
                               std::string name, std::uint32_t mode);

}  // namespace weft::sim
