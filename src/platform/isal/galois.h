#pragma once

#include "platform/base/types.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

// Arithmetic over GF(2^8) with the polynomial 0x11d, vectorised by ISA-L.
namespace weft::galois {

// A matrix of field elements, row by row.
struct Matrix {
    std::size_t rows = 0;
    std::size_t columns = 0;
    std::vector<std::uint8_t> cells;

    Matrix() = default;
    Matrix(std::size_t row_count, std::size_t column_count)
        : rows(row_count), columns(column_count), cells(row_count * column_count) {}
    std::uint8_t& at(std::size_t row, std::size_t column) { return cells[row * columns + column]; }
    std::uint8_t at(std::size_t row, std::size_t column) const {
        return cells[row * columns + column];
    }
};

std::uint8_t multiply(std::uint8_t a, std::uint8_t b);
std::uint8_t inverse(std::uint8_t a);  // Of 0: 0.

// Empty if the matrix, which must be square, is singular.
std::optional<Matrix> invert(const Matrix& matrix);
Matrix multiply(const Matrix& left, const Matrix& right);

// The product of a fixed matrix with a column of spans of bytes: target[r] becomes the sum over
// c of matrix(r, c) * source[c], bytewise. Holds 32 bytes of tables a cell.
class Product {
public:
    explicit Product(const Matrix& matrix);

    // As many sources as the matrix has columns, as many targets as it has rows; all of one
    // size, a multiple of 64 and below 2 GiB. No target overlaps anything else.
    void operator()(std::span<const ConstBytes> sources, std::span<const Bytes> targets) const;

private:
    std::size_t rows_;
    std::size_t columns_;
    std::vector<std::uint8_t> tables_;
};

}  // namespace weft::galois
