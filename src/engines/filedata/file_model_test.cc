#include "engines/filedata/file_model_internal.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace weft::filedata {

void FileModel::write(FileId file, std::uint64_t offset, const std::string& bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        Block& block = files_[file][(offset + i) / kBlockBytes];
        block.state = State::data;
        block.bytes[(offset + i) % kBlockBytes] = bytes[i];
    }
}

// Zeroes [from, to), which is inside one block.
void FileModel::zero(Blocks& blocks, std::uint64_t from, std::uint64_t to) {
    auto found = blocks.find(from / kBlockBytes);
    if (found == blocks.end()) return;
    for (std::uint64_t at = from; at < to; ++at) found->second.bytes[at % kBlockBytes] = '\0';
}

void FileModel::punch(FileId file, std::uint64_t offset, std::uint64_t length, bool keep_reserved) {
    Blocks& blocks = files_[file];
    std::uint64_t end = offset + length;
    for (std::uint64_t at = offset; at < end;) {
        std::uint64_t stop = std::min(end, round_down(at, kBlockBytes) + kBlockBytes);
        if (stop - at == kBlockBytes) {
            blocks.erase(at / kBlockBytes);
        } else {
            zero(blocks, at, stop);
        }
        at = stop;
    }
    if (keep_reserved) reserve(file, offset, length);
}

void FileModel::reserve(FileId file, std::uint64_t offset, std::uint64_t length) {
    std::uint64_t end = divide_up(offset + length, kBlockBytes);
    for (std::uint64_t block = offset / kBlockBytes; block < end; ++block) {
        Block& reserved = files_[file][block];
        if (reserved.state == State::hole) reserved.state = State::reserved;
    }
}

void FileModel::share(FileId from, std::uint64_t from_offset, FileId to, std::uint64_t to_offset,
                      std::uint64_t length) {
    for (std::uint64_t done = 0; done < length; done += kBlockBytes) {
        std::uint64_t target = (to_offset + done) / kBlockBytes;
        files_[to].erase(target);
        auto source = files_[from].find((from_offset + done) / kBlockBytes);
        bool data = source != files_[from].end() && source->second.state == State::data;
        if (data) files_[to][target] = source->second;
    }
}

void FileModel::purge(FileId file, std::uint64_t from_block) {
    Blocks& blocks = files_[file];
    blocks.erase(blocks.lower_bound(from_block), blocks.end());
}

std::string FileModel::read(FileId file, std::uint64_t offset, std::uint64_t length) const {
    std::string bytes(length, '\0');
    auto found = files_.find(file);
    if (found == files_.end()) return bytes;
    auto at = found->second.lower_bound(offset / kBlockBytes);
    for (; at != found->second.end() && at->first * kBlockBytes < offset + length; ++at) {
        std::uint64_t from = std::max(offset, at->first * kBlockBytes);
        std::uint64_t to = std::min(offset + length, (at->first + 1) * kBlockBytes);
        bytes.replace(from - offset, to - from, at->second.bytes, from % kBlockBytes, to - from);
    }
    return bytes;
}

std::int64_t FileModel::blocks(FileId file) const {
    auto found = files_.find(file);
    return found == files_.end() ? 0 : static_cast<std::int64_t>(found->second.size());
}

std::uint64_t FileModel::seek(FileId file, std::uint64_t offset, std::uint64_t end,
                              bool data) const {
    auto found = files_.find(file);
    for (std::uint64_t at = offset; at < end; at = round_down(at, kBlockBytes) + kBlockBytes) {
        bool has_data = false;
        if (found != files_.end()) {
            auto block = found->second.find(at / kBlockBytes);
            has_data = block != found->second.end() && block->second.state == State::data;
        }
        if (has_data == data) return at;
    }
    return UINT64_MAX;
}

namespace {

constexpr FileId kFile{FilesystemId{1}, InodeId{1}};

TEST(FileModel, KnowsHolesReservedBlocksAndData) {
    FileModel model;
    model.write(kFile, 10, "abc");
    model.reserve(kFile, 0, 2 * kBlockBytes);
    EXPECT_EQ(model.blocks(kFile), 2);
    EXPECT_EQ(model.seek(kFile, 0, 3 * kBlockBytes, false), kBlockBytes);
    model.share(kFile, 0, kFile, 4 * kBlockBytes, 2 * kBlockBytes);
    EXPECT_EQ(model.blocks(kFile), 3);
    EXPECT_EQ(model.read(kFile, 4 * kBlockBytes + 9, 5), std::string("\0abc\0", 5));
    model.punch(kFile, 11, kBlockBytes, false);
    EXPECT_EQ(model.read(kFile, 9, 5), std::string("\0a\0\0\0", 5));
    EXPECT_EQ(model.blocks(kFile), 3);
    model.purge(kFile, 1);
    EXPECT_EQ(model.blocks(kFile), 1);
}

}  // namespace
}  // namespace weft::filedata
