#include "platform/isal/galois.h"

#include "platform/base/check.h"

#include <array>
#include <limits>

#include <isa-l/erasure_code.h>

namespace weft::galois {
namespace {

constexpr std::size_t kTableBytes = 32;  // Two tables of 16 products, one a nibble.
constexpr std::size_t kWidthMost = 32;   // Sources or targets of one product.

unsigned char* raw(std::byte* bytes) {
    return reinterpret_cast<unsigned char*>(bytes);
}

}  // namespace

std::uint8_t multiply(std::uint8_t a, std::uint8_t b) {
    return gf_mul(a, b);
}

std::uint8_t inverse(std::uint8_t a) {
    return gf_inv(a);
}

std::optional<Matrix> invert(const Matrix& matrix) {
    CHECK(matrix.rows == matrix.columns && matrix.rows > 0);
    Matrix scratch = matrix;  // ISA-L eliminates in its input.
    Matrix result(matrix.rows, matrix.columns);
    int size = static_cast<int>(matrix.rows);
    if (gf_invert_matrix(scratch.cells.data(), result.cells.data(), size) != 0) return {};
    return result;
}

Matrix multiply(const Matrix& left, const Matrix& right) {
    CHECK(left.columns == right.rows);
    Matrix product(left.rows, right.columns);
    for (std::size_t row = 0; row < left.rows; ++row) {
        for (std::size_t column = 0; column < right.columns; ++column) {
            std::uint8_t sum = 0;
            for (std::size_t i = 0; i < left.columns; ++i) {
                sum ^= multiply(left.at(row, i), right.at(i, column));
            }
            product.at(row, column) = sum;
        }
    }
    return product;
}

Product::Product(const Matrix& matrix)
    : rows_(matrix.rows),
      columns_(matrix.columns),
      tables_(kTableBytes * matrix.rows * matrix.columns) {
    CHECK(rows_ > 0 && rows_ <= kWidthMost && columns_ > 0 && columns_ <= kWidthMost);
    Matrix coefficients = matrix;  // ISA-L takes a pointer to non-const.
    ec_init_tables(static_cast<int>(columns_), static_cast<int>(rows_), coefficients.cells.data(),
                   tables_.data());
}

void Product::operator()(std::span<const ConstBytes> sources,
                         std::span<const Bytes> targets) const {
    CHECK(sources.size() == columns_ && targets.size() == rows_);
    std::size_t size = sources[0].size();
    CHECK(size % 64 == 0 && size <= static_cast<std::size_t>(std::numeric_limits<int>::max()));

    std::array<unsigned char*, kWidthMost> from;
    std::array<unsigned char*, kWidthMost> into;
    for (std::size_t i = 0; i < columns_; ++i) {
        CHECK(sources[i].size() == size);
        from[i] = raw(const_cast<std::byte*>(sources[i].data()));  // Only read from.
    }
    for (std::size_t i = 0; i < rows_; ++i) {
        CHECK(targets[i].size() == size);
        into[i] = raw(targets[i].data());
    }
    if (size == 0) return;
    auto* tables = const_cast<unsigned char*>(tables_.data());  // Only read from.
    ec_encode_data(static_cast<int>(size), static_cast<int>(columns_), static_cast<int>(rows_),
                   tables, from.data(), into.data());
}

}  // namespace weft::galois
