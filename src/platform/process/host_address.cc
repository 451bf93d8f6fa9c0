#include "platform/process/host_address.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace weft::process {
namespace {

bool is_port(const std::string& text) {
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    auto parsed = std::from_chars(text.data(), end, port);
    return parsed.ec == std::errc() && parsed.ptr == end;
}

std::optional<std::string> number_of(const std::string& host, int family) {
    addrinfo hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
    std::array<char, NI_MAXHOST> number{};
    int failed = getnameinfo(found->ai_addr, found->ai_addrlen, number.data(), number.size(),
                             nullptr, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    if (failed != 0) return std::nullopt;
    return std::string(number.data());
}

}  // namespace

Result<std::string> numeric_address(const std::string& host_and_port) {
    std::size_t colon = host_and_port.rfind(':');
    constexpr Error kWrong{Code::invalid, "an address is HOST:PORT, such as node1:7000"};
    if (colon == std::string::npos || colon == 0) return kWrong;
    std::string port = host_and_port.substr(colon + 1);
    std::string host = host_and_port.substr(0, colon);
    bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (!is_port(port) || (!bracketed && host.find(':') != std::string::npos)) return kWrong;
    if (!bracketed) {
        if (auto number = number_of(host, AF_INET)) return *number + ":" + port;
    }
    if (auto number = number_of(host, AF_INET6)) return "[" + *number + "]:" + port;
    return Error{Code::not_found, "no host of this name is known"};
}

}  // namespace weft::process
