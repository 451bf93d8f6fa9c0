#pragma once

#include <string>
#include <vector>

namespace weft::control {

// Columns as wide as their widest cell, two blanks apart; numbers to the right.
class Table {
public:
    enum class Align { left, right };
    void column(std::string title, Align align = Align::left);
    void row(std::vector<std::string> cells);
    bool empty() const { return rows_.empty(); }
    std::string text() const;

private:
    struct Column {
        std::string title;
        Align align;
    };
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace weft::control
