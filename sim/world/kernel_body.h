#pragma once

#include "platform/base/result.h"

#include <string>
#include <string_view>
#include <type_traits>

namespace weft::sim {

// A request's body: structures as they lie in memory, and text as it is.
template <class... Parts>
std::string body_of(const Parts&... parts) {
    std::string body;
    auto append = [&body](const auto& part) {
        using Part = std::decay_t<decltype(part)>;
        if constexpr (std::is_convertible_v<Part, std::string_view>) {
            body.append(std::string_view(part));
        } else {
            body.append(reinterpret_cast<const char*>(&part), sizeof(part));
        }
    };
    (append(parts), ...);
    return body;
}

// A name with its end, as requests have it.
inline std::string terminated(std::string_view name) {
    return std::string(name) + '\0';
}

// What an errno says to the programs of a simulation; ok for 0.
Code code_of(int error_number);

inline Error error_of(int error_number) {
    return Error{code_of(error_number), "sim.system_call"};
}

}  // namespace weft::sim
