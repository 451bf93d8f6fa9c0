#include "platform/uring/address_internal.h"

#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace weft {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kTcp = "tcp:";

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return port;
}

std::optional<SocketAddress> parse_unix(std::string_view path) {
    SocketAddress address;
    auto* to = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (path.empty() || path.size() >= sizeof(to->sun_path)) return std::nullopt;
    if (path.find('\0') != std::string_view::npos) return std::nullopt;
    to->sun_family = AF_UNIX;
    std::memcpy(to->sun_path, path.data(), path.size());
    address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return address;
}

std::optional<SocketAddress> parse_tcp(std::string_view text) {
    std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
    if (!port.has_value()) return std::nullopt;
    std::string host(text.substr(0, colon));
    SocketAddress address;
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        auto* to = reinterpret_cast<sockaddr_in6*>(&address.storage);
        to->sin6_family = AF_INET6;
        to->sin6_port = htons(*port);
        address.length = sizeof(*to);
        host = host.substr(1, host.size() - 2);
        if (::inet_pton(AF_INET6, host.c_str(), &to->sin6_addr) != 1) return std::nullopt;
    } else {
        auto* to = reinterpret_cast<sockaddr_in*>(&address.storage);
        to->sin_family = AF_INET;
        to->sin_port = htons(*port);
        address.length = sizeof(*to);
        if (::inet_pton(AF_INET, host.c_str(), &to->sin_addr) != 1) return std::nullopt;
    }
    return address;
}

}  // namespace

Result<SocketAddress> SocketAddress::parse(const std::string& text) {
    std::string_view rest = text;
    std::optional<SocketAddress> address;
    if (rest.starts_with(kUnix)) {
        address = parse_unix(rest.substr(kUnix.size()));
    } else if (rest.starts_with(kTcp)) {
        address = parse_tcp(rest.substr(kTcp.size()));
    }
    if (!address.has_value()) return Error{Code::invalid, "net.address"};
    return *address;
}

SocketAddress SocketAddress::of_local(int fd) {
    SocketAddress address;
    address.length = sizeof(address.storage);
    auto* raw = reinterpret_cast<sockaddr*>(&address.storage);
    if (::getsockname(fd, raw, &address.length) < 0) address = SocketAddress{};
    return address;
}

std::string SocketAddress::path() const {
    if (family() != AF_UNIX) return {};
    return reinterpret_cast<const sockaddr_un*>(&storage)->sun_path;
}

std::string SocketAddress::text() const {
    char host[INET6_ADDRSTRLEN] = {};
    if (family() == AF_UNIX) return std::string(kUnix) + path();
    if (family() == AF_INET) {
        const auto* from = reinterpret_cast<const sockaddr_in*>(&storage);
        ::inet_ntop(AF_INET, &from->sin_addr, host, sizeof(host));
        return std::string(kTcp) + host + ":" + std::to_string(ntohs(from->sin_port));
    }
    if (family() == AF_INET6) {
        const auto* from = reinterpret_cast<const sockaddr_in6*>(&storage);
        ::inet_ntop(AF_INET6, &from->sin6_addr, host, sizeof(host));
        return std::string(kTcp) + "[" + host + "]:" + std::to_string(ntohs(from->sin6_port));
    }
    return {};
}

}  // namespace weft
