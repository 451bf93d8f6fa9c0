#include "control/cli/table.h"

#include "platform/base/check.h"

#include <algorithm>

namespace weft::control {

void Table::column(std::string title, Align align) {
    columns_.push_back({std::move(title), align});
}

void Table::row(std::vector<std::string> cells) {
    CHECK(cells.size() == columns_.size());
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = columns_[i].title.size();
        for (const auto& row : rows_) width = std::max(width, row[i].size());
        widths.push_back(width);
    }
    std::string out;
    auto add = [&](std::size_t i, const std::string& cell) {
        std::string padding(widths[i] - cell.size(), ' ');
        bool right = columns_[i].align == Align::right;
        out += right ? padding + cell : cell + padding;
        out += "  ";
    };
    auto end_line = [&] {
        out.erase(out.find_last_not_of(' ') + 1);
        out += '\n';
    };
    for (std::size_t i = 0; i < columns_.size(); ++i) add(i, columns_[i].title);
    end_line();
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) add(i, row[i]);
        end_line();
    }
    return out;
}

}  // namespace weft::control
