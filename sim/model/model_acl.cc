#include "sim/model/model_acl.h"

namespace weft::sim {
namespace {

constexpr std::uint32_t kNobody = 0xffffffff;
constexpr std::uint32_t kFirstUser = 1000;

void put(std::string& out, std::uint64_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(number >> (8 * i)));
}

void put_entry(std::string& out, unsigned tag, unsigned permissions, std::uint32_t id) {
    put(out, tag, 2);
    put(out, permissions, 2);
    put(out, id, 4);
}

}  // namespace

void ModelAcl::take_mode(unsigned mode) {
    owner = (mode >> 6) & 7;
    (mask.has_value() ? *mask : group) = (mode >> 3) & 7;
    other = mode & 7;
}

std::string ModelAcl::bytes() const {
    std::string out;
    put(out, 2, 4);
    put_entry(out, 0x01, owner, kNobody);
    for (const auto& [id, permissions] : users) put_entry(out, 0x02, permissions, id);
    put_entry(out, 0x04, group, kNobody);
    if (mask.has_value()) put_entry(out, 0x10, *mask, kNobody);
    put_entry(out, 0x20, other, kNobody);
    return out;
}

ModelAcl acl_of(std::uint64_t seed) {
    ModelAcl acl;
    auto take = [&seed](unsigned bound) {
        auto taken = static_cast<unsigned>(seed % bound);
        seed /= bound;
        return taken;
    };
    acl.owner = take(8);
    acl.group = take(8);
    acl.other = take(8);
    unsigned users = take(3);
    for (unsigned i = 0; i < users; ++i) acl.users[kFirstUser + take(4)] = take(8);
    if (users > 0 || take(2) == 0) acl.mask = take(8);
    return acl;
}

std::string hex(const std::string& bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string out;
    for (char each : bytes) {
        auto value = static_cast<unsigned char>(each);
        out.push_back(kDigits[value >> 4]);
        out.push_back(kDigits[value & 15]);
    }
    return out;
}

}  // namespace weft::sim
