#include "sim/world/cuts.h"

#include <charconv>

namespace weft::sim {
namespace {

bool take(std::string_view word, std::string_view name, std::optional<std::uint32_t>* number) {
    if (!word.starts_with(name)) return false;
    word.remove_prefix(name.size());
    std::uint32_t parsed = 0;
    auto [end, error] = std::from_chars(word.begin(), word.end(), parsed);
    if (error != std::errc() || end != word.end()) return false;
    *number = parsed;
    return true;
}

bool take_word(std::string_view word, Cuts* cuts) {
    std::optional<std::uint32_t> number;
    if (word == "sharers") {
        cuts->sharers = true;
    } else if (word == "mounts") {
        cuts->mounts = true;
    } else if (take(word, "client", &number)) {
        cuts->clients.insert(*number);
    } else if (take(word, "event", &number)) {
        cuts->events.insert(*number);
    } else if (take(word, "kind", &number)) {
        cuts->kinds.insert(*number);
    } else if (take(word, "rounds", &number)) {
        cuts->rounds_most = *number;
    } else {
        return false;
    }
    return true;
}

}  // namespace

std::optional<Cuts> parse_cuts(std::string_view text) {
    Cuts cuts;
    while (!text.empty()) {
        std::size_t end = std::min(text.find(','), text.size());
        if (!take_word(text.substr(0, end), &cuts)) return std::nullopt;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return cuts;
}

}  // namespace weft::sim
