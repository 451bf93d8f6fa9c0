#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::sim {

// The bytes of a file. Copies share them, piece by piece, until one is changed: pictures of
// whole filesystems are taken at each operation.
class Content {
public:
    std::uint64_t size() const { return shared_->size; }
    // Fewer than `length` at the end.
    std::string read(std::uint64_t offset, std::uint64_t length) const;
    // Grows as far as it takes, with zeros where nothing was written.
    void write(std::uint64_t offset, std::string_view bytes);
    // What lies between, up to the end of the file.
    void zero(std::uint64_t begin, std::uint64_t end);
    void resize(std::uint64_t size);
    std::uint64_t hash() const;

private:
    static constexpr std::uint64_t kPieceBytes = 16 * 1024;
    using Piece = std::shared_ptr<std::string>;

    struct Shared {
        std::uint64_t size = 0;
        // For all bytes; none is zeros. What lies beyond the size is zeros.
        std::vector<Piece> pieces;
        std::optional<std::uint64_t> hash;  // Once it was asked for.
    };
    Shared& edit();
    // To be changed.
    static std::string& piece_of(Shared& shared, std::uint64_t index);

    std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

// Of all the bytes of a file.
std::uint64_t content_hash(std::string_view bytes);

}  // namespace weft::sim
