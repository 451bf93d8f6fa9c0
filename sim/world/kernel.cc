#include "sim/world/kernel.h"

#include "platform/base/check.h"
#include "sim/world/kernel_body.h"

#include <cerrno>
#include <cstring>

namespace weft::sim {
namespace {

constexpr std::uint64_t kPage = kBlockBytes;
constexpr std::uint32_t kReadAhead = 128 * kKiB;

template <class T>
T value_of(const std::string& body) {
    T value{};
    CHECK(body.size() >= sizeof(value));
    std::memcpy(&value, body.data(), sizeof(value));
    return value;
}

}  // namespace

Code code_of(int error_number) {
    switch (error_number) {
        case 0:
            return Code::ok;
        case ENOENT:
            return Code::not_found;
        case EEXIST:
            return Code::already_exists;
        case EINTR:
            return Code::interrupted;
        case EAGAIN:
            return Code::would_block;
        case ENOSPC:
            return Code::out_of_space;
        case ESTALE:
            return Code::stale;
        case ETIMEDOUT:
            return Code::retry_later;
        case ECONNABORTED:
        case ENOTCONN:
            return Code::cancelled;
        case EIO:
            return Code::io_failed;
        case EISDIR:
            return Code::is_a_directory;
        case ENOTDIR:
            return Code::not_a_directory;
        case EMLINK:
            return Code::too_many_links;
        case EDEADLK:
            return Code::deadlock;
        default:
            return Code::invalid;
    }
}

Task<Done> Kernel::mount() {
    auto root = std::make_shared<KernelInode>(reactor_, FUSE_ROOT_ID);
    inodes_[FUSE_ROOT_ID] = root;
    fuse_init_in in{};
    in.major = frontend::kMajorVersion;
    in.minor = minor_;
    in.max_readahead = kReadAhead;
    in.flags = UINT32_MAX;
    in.flags2 = UINT32_MAX;
    KernelChannel::Request request{FUSE_INIT, 0, body_of(in), nullptr};
    Answer answer = co_await or_return(co_await channel_.ask(std::move(request), nullptr));
    if (answer.error != 0) co_return error_of(answer.error);
    auto agreed = answer.fixed<fuse_init_out>();
    minor_ = std::min(minor_, agreed.minor);
    (void)co_await or_return(co_await attributes(root, true));
    co_return Done{};
}

Result<Done> Kernel::obey_now(int code, const std::string& body) {
    if (code == frontend::kNotifyIncEpoch && minor_ >= frontend::kIncEpochMinorVersion) {
        ++epoch_;
        return Done{};
    }
    // Only attributes, or it could block.
    if (code != FUSE_NOTIFY_INVAL_INODE) return Error{Code::invalid, "sim.kernel"};
    auto out = value_of<fuse_notify_inval_inode_out>(body);
    CHECK(out.off < 0);
    InodePtr inode = known(out.ino);
    if (inode == nullptr) return Error{Code::not_found, "sim.kernel"};
    inode->version = ++version_;
    inode->valid_until = 0;
    return Done{};
}

// By a thread of its own.
Task<Done> Kernel::obey(int code, std::string body) {
    if (notice_delay_ > 0) co_await sleep(reactor_, static_cast<Nanos>(below(notice_delay_)));
    if (channel_.closed()) co_return Error{Code::cancelled, "sim.kernel"};
    if (code == FUSE_NOTIFY_INVAL_INODE) {
        auto out = value_of<fuse_notify_inval_inode_out>(body);
        co_return co_await obey_inode(out);
    }
    if (code == FUSE_NOTIFY_INVAL_ENTRY) {
        auto out = value_of<fuse_notify_inval_entry_out>(body);
        CHECK(body.size() == sizeof(out) + out.namelen + 1);
        co_return co_await obey_entry(out, body.substr(sizeof(out), out.namelen));
    }
    co_return obey_now(code, body);
}

Task<Done> Kernel::obey_inode(fuse_notify_inval_inode_out out) {
    InodePtr inode = known(out.ino);
    if (inode == nullptr) co_return Error{Code::not_found, "sim.kernel"};
    inode->version = ++version_;
    inode->valid_until = 0;
    if (out.off < 0) co_return Done{};
    auto from = static_cast<std::uint64_t>(out.off);
    std::uint64_t last = UINT64_MAX;
    if (out.len > 0) last = (from + static_cast<std::uint64_t>(out.len) - 1) / kPage;
    co_return co_await drop_pages(inode, from / kPage, last);
}

Task<Done> Kernel::obey_entry(fuse_notify_inval_entry_out out, std::string name) {
    InodePtr directory = known(out.parent);
    if (directory == nullptr) co_return Error{Code::not_found, "sim.kernel"};
    bool is_late = !directory->lock.idle() && minor_ < frontend::kIncEpochMinorVersion;
    if (is_late) note_late(1);
    auto lock = co_await or_return(co_await directory->lock.lock());
    if (is_late) note_late(-1);
    if (dentry(*directory, name) == nullptr) co_return Error{Code::not_found, "sim.kernel"};
    directory->valid_until = 0;
    drop_dentry(*directory, name);
    co_return Done{};
}

void Kernel::note_late(int more) {
    late_ += more;
    ++late_changes_;
}

void Kernel::drop_caches() {
    dentries_.clear();
    forget_unused();
}

void Kernel::shrink() {
    std::erase_if(dentries_, [this](const auto&) { return below(3) == 0; });
    for (auto& [number, inode] : inodes_) {
        bool drops = below(3) == 0 && inode->locked.empty();
        if (drops) inode->pages.clear();
    }
    forget_unused();
}

}  // namespace weft::sim
