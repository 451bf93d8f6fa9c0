#include "engines/segments/placement.h"

#include "platform/base/check.h"

#include <algorithm>
#include <map>
#include <utility>

namespace weft::segments {
namespace {

struct Domain {
    std::uint64_t free_slots = 0;
    std::uint64_t lot = 0;  // Decides among domains with as many free slots.
    std::vector<Candidate> drives;
};

std::map<FailureDomainId, Domain> by_domain(std::span<const Candidate> candidates) {
    std::map<FailureDomainId, Domain> domains;
    for (const Candidate& candidate : candidates) {
        if (candidate.free_slots == 0) continue;
        Domain& domain = domains[candidate.domain];
        domain.free_slots += candidate.free_slots;
        domain.drives.push_back(candidate);
    }
    return domains;
}

// A drive by chance, as likely as it has free slots.
const Candidate& draw(const Domain& domain, Reactor& reactor) {
    std::uint64_t at = reactor.random() % domain.free_slots;
    for (const Candidate& candidate : domain.drives) {
        if (at < candidate.free_slots) return candidate;
        at -= candidate.free_slots;
    }
    CHECK(false);
}

}  // namespace

std::uint64_t segments_that_fit(std::span<const Candidate> candidates, unsigned width) {
    CHECK(width > 0);
    auto domains = by_domain(candidates);
    std::uint64_t total = 0;
    for (const auto& [id, domain] : domains) total += domain.free_slots;

    // n segments fit exactly if the domains, each good for at most n slots, have n * width: a
    // domain cannot be twice in one segment. Whether n fits falls with n, so halve.
    auto fits = [&domains, width](std::uint64_t n) {
        std::uint64_t usable = 0;
        for (const auto& [id, domain] : domains) usable += std::min(domain.free_slots, n);
        return usable >= n * width;
    };
    std::uint64_t least = 0;
    std::uint64_t most = total / width;
    while (least < most) {
        std::uint64_t middle = least + (most - least + 1) / 2;
        if (fits(middle)) {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    return least;
}

std::optional<std::vector<DriveId>> choose_drives(std::span<const Candidate> candidates,
                                                  unsigned width,
                                                  const std::set<FailureDomainId>& taken,
                                                  Reactor& reactor) {
    auto domains = by_domain(candidates);
    for (FailureDomainId domain : taken) domains.erase(domain);
    if (domains.size() < width) return {};

    std::vector<const Domain*> order;
    for (auto& [id, domain] : domains) {
        domain.lot = reactor.random();
        order.push_back(&domain);
    }
    std::sort(order.begin(), order.end(), [](const Domain* a, const Domain* b) {
        return std::pair(a->free_slots, a->lot) > std::pair(b->free_slots, b->lot);
    });

    std::vector<DriveId> chosen;
    for (unsigned i = 0; i < width; ++i) {
        const Candidate& one = draw(*order[i], reactor);
        const Candidate& other = draw(*order[i], reactor);
        chosen.push_back(one.free_slots >= other.free_slots ? one.drive : other.drive);
    }
    return chosen;
}

}  // namespace weft::segments
