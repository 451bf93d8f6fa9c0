#pragma once

#include "platform/base/types.h"

#include <bit>
#include <concepts>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace weft {

static_assert(std::endian::native == std::endian::little, "formats are little-endian");

inline ConstBytes bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view text_of(ConstBytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The bytes of a packed struct, as they lie on a drive or a wire.
template <class T>
    requires std::has_unique_object_representations_v<T>
ConstBytes image_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

// Appends little-endian values to a string of bytes. Never fails.
class ByteWriter {
public:
    explicit ByteWriter(std::string& out) : out_(out) {}

    template <std::integral T>
    void number(T value) {
        char raw[sizeof(T)];
        std::memcpy(raw, &value, sizeof(T));
        out_.append(raw, sizeof(T));
    }
    // Big-endian, so that encoded keys sort as their numbers do.
    template <std::unsigned_integral T>
    void sorted(T value) {
        for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8) {
            out_.push_back(static_cast<char>((value >> shift) & 0xff));
        }
    }
    // A 32-bit length, then the bytes.
    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        out_.append(value);
    }
    void raw(std::string_view value) { out_.append(value); }
    void raw(ConstBytes value) { out_.append(text_of(value)); }

private:
    std::string& out_;
};

// Reads what ByteWriter wrote, from bytes that may be hostile: past the end every read gives
// zero or empty and ok() turns false for good. Check ok() once, after the last field.
class ByteReader {
public:
    explicit ByteReader(std::string_view in) : in_(in) {}
    explicit ByteReader(ConstBytes in) : in_(text_of(in)) {}

    template <std::integral T>
    T number() {
        T value{};
        std::string_view raw = take(sizeof(T));
        if (raw.size() == sizeof(T)) std::memcpy(&value, raw.data(), sizeof(T));
        return value;
    }
    template <std::unsigned_integral T>
    T sorted() {
        T value{};
        for (char byte : take(sizeof(T))) {
            value = static_cast<T>((value << 8) | static_cast<unsigned char>(byte));
        }
        return value;
    }
    std::string_view text() { return take(number<std::uint32_t>()); }
    std::string_view take(std::size_t count) {
        if (count > in_.size()) {
            fail();
            return {};
        }
        std::string_view got = in_.substr(0, count);
        in_.remove_prefix(count);
        return got;
    }
    std::string_view rest() { return take(in_.size()); }
    // For a caller who has found the bytes to be wrong in another way.
    void fail() {
        ok_ = false;
        in_ = {};
    }
    std::size_t remaining() const { return in_.size(); }
    bool ok() const { return ok_; }
    bool done() const { return ok_ && in_.empty(); }

private:
    std::string_view in_;
    bool ok_ = true;
};

}  // namespace weft
