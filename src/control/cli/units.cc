#include "control/cli/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace weft::control {
namespace {

constexpr std::string_view kPowers = "KMGTPE";

// The power of 1024 of a suffix such as "G", "GB" or "GiB"; empty if it is none.
std::optional<int> power_of(std::string_view suffix) {
    if (suffix.empty() || suffix == "B") return 0;
    char first = suffix.front() >= 'a' ? static_cast<char>(suffix.front() - 32) : suffix.front();
    std::size_t at = kPowers.find(first);
    if (at == std::string_view::npos) return std::nullopt;
    std::string_view rest = suffix.substr(1);
    if (!rest.empty() && rest != "B" && rest != "iB" && rest != "b" && rest != "ib") {
        return std::nullopt;
    }
    return static_cast<int>(at) + 1;
}

std::string scaled(double value, double step, const char* const* names, std::size_t count) {
    std::size_t power = 0;
    while (value >= step * 0.9995 && power + 1 < count) {
        value /= step;
        ++power;
    }
    std::array<char, 32> text{};
    int digits = power == 0 || value >= 99.95 ? 0 : 1;
    std::snprintf(text.data(), text.size(), "%.*f%s%s", digits, value, names[power][0] ? " " : "",
                  names[power]);
    return text.data();
}

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || !(value > 0)) return std::nullopt;
    std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
    while (!suffix.empty() && suffix.front() == ' ') suffix.remove_prefix(1);
    auto power = power_of(suffix);
    if (!power.has_value()) return std::nullopt;
    double bytes = value * std::pow(1024.0, *power);
    if (!(bytes >= 1) || bytes > std::pow(2.0, 62)) return std::nullopt;
    return static_cast<std::uint64_t>(bytes);
}

std::string format_bytes(std::uint64_t bytes) {
    static constexpr const char* kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    return scaled(static_cast<double>(bytes), 1024, kNames, std::size(kNames));
}

std::string format_count(double count) {
    static constexpr const char* kNames[] = {"", "k", "M", "G", "T"};
    return scaled(count, 1000, kNames, std::size(kNames));
}

std::string format_duration(Nanos duration) {
    std::int64_t seconds = duration / kSecond;
    auto two = [](std::int64_t major, const char* a, std::int64_t minor, const char* b) {
        std::string text = std::to_string(major) + " " + a;
        if (minor > 0) text += " " + std::to_string(minor) + " " + b;
        return text;
    };
    if (seconds >= 86400) return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
    if (seconds >= 3600) return two(seconds / 3600, "h", seconds % 3600 / 60, "min");
    if (seconds >= 60) return two(seconds / 60, "min", seconds % 60, "s");
    return std::to_string(seconds) + " s";
}

}  // namespace weft::control
