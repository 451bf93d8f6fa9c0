#include "platform/base/siphash.h"

#include <bit>
#include <cstring>

namespace weft {
namespace {

struct State {
    std::uint64_t v0, v1, v2, v3;

    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
};

}  // namespace

std::uint64_t siphash(SipKey key, ConstBytes bytes) {
    State state{0x736f6d6570736575 ^ key[0], 0x646f72616e646f6d ^ key[1],
                0x6c7967656e657261 ^ key[0], 0x7465646279746573 ^ key[1]};
    std::size_t whole = bytes.size() / 8 * 8;
    for (std::size_t at = 0; at < whole; at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, 8);
        state.v3 ^= word;
        state.round();
        state.round();
        state.v0 ^= word;
    }
    std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
    for (std::size_t at = whole; at < bytes.size(); ++at) {
        last |= static_cast<std::uint64_t>(bytes[at]) << (8 * (at - whole));
    }
    state.v3 ^= last;
    state.round();
    state.round();
    state.v0 ^= last;
    state.v2 ^= 0xff;
    for (int i = 0; i < 4; ++i) state.round();
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace weft
