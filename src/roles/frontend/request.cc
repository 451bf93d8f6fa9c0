#include "roles/frontend/request.h"

#include "platform/base/bytes.h"
#include "platform/fuse/fuse_channel.h"

#include <algorithm>
#include <cstring>

#include <sys/stat.h>

namespace weft::frontend {
namespace {

constexpr Error kMalformed{Code::invalid, "fuse.decode"};
constexpr std::size_t kNameMost = 255;
constexpr std::size_t kXattrNameMost = 255;
constexpr std::size_t kSymlinkMost = 4095;

// Takes fields off the front of a request's body. After the first one that is not there,
// everything is zero or empty and ok() is false.
class Body {
public:
    explicit Body(ConstBytes bytes) : reader_(bytes) {}

    template <class T>
    T fixed() {
        T value{};
        std::string_view raw = reader_.take(sizeof(T));
        if (raw.size() == sizeof(T)) std::memcpy(&value, raw.data(), sizeof(T));
        return value;
    }
    // Text up to its NUL.
    std::string_view text() {
        std::string_view rest = reader_.rest();
        std::size_t end = rest.find('\0');
        if (end == std::string_view::npos) {
            terminated_ = false;
            return {};
        }
        reader_ = ByteReader(rest.substr(end + 1));
        return rest.substr(0, end);
    }
    std::string_view bytes(std::size_t count) { return reader_.take(count); }
    ConstBytes rest() { return bytes_of(reader_.rest()); }
    bool ok() const { return terminated_ && reader_.ok(); }

private:
    ByteReader reader_;
    bool terminated_ = true;
};

Result<Operation> checked(const Body& body, Operation operation) {
    if (!body.ok()) return kMalformed;
    return operation;
}

// One component of a path. "." and ".." are for LOOKUP alone.
Result<Operation> named(const Body& body, std::string_view name, Operation operation,
                        bool dots = false) {
    if (!body.ok() || name.empty() || name.find('/') != name.npos) return kMalformed;
    if (!dots && (name == "." || name == "..")) return kMalformed;
    if (name.size() > kNameMost) return Error{Code::name_too_long, "fuse.decode"};
    return operation;
}

Result<Operation> attribute(const Body& body, std::string_view name, Operation operation) {
    if (!body.ok() || name.empty()) return kMalformed;
    if (name.size() > kXattrNameMost) return Error{Code::range_too_small, "fuse.decode"};
    return operation;
}

bool range_ok(std::uint64_t offset, std::uint64_t size) {
    return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

Result<Operation> decode_init(Body body) {
    // Before 7.36 the request ends behind `flags`.
    fuse_init_in in{};
    in.major = body.fixed<std::uint32_t>();
    in.minor = body.fixed<std::uint32_t>();
    in.max_readahead = body.fixed<std::uint32_t>();
    in.flags = body.fixed<std::uint32_t>();
    if (!body.ok()) return kMalformed;
    if ((in.flags & FUSE_INIT_EXT) != 0) in.flags2 = body.fixed<std::uint32_t>();
    return checked(body, Init{in});
}

Result<Operation> decode_symlink(Body body) {
    std::string_view name = body.text();
    std::string_view target = body.text();
    if (target.empty()) return kMalformed;
    if (target.size() > kSymlinkMost) return Error{Code::name_too_long, "fuse.decode"};
    return named(body, name, MakeSymlink{name, target});
}

Result<Operation> decode_make_node(Body body) {
    auto in = body.fixed<fuse_mknod_in>();
    std::string_view name = body.text();
    return named(body, name, MakeNode{in.mode, in.umask, in.rdev, name});
}

Result<Operation> decode_make_directory(Body body) {
    auto in = body.fixed<fuse_mkdir_in>();
    std::string_view name = body.text();
    std::uint32_t mode = (in.mode & ~std::uint32_t{S_IFMT}) | S_IFDIR;
    return named(body, name, MakeNode{mode, in.umask, 0, name});
}

Result<Operation> decode_rename(Body body, bool with_flags) {
    fuse_rename2_in in{};
    in.newdir = body.fixed<std::uint64_t>();
    if (with_flags) {
        in.flags = body.fixed<std::uint32_t>();
        in.padding = body.fixed<std::uint32_t>();
    }
    std::string_view from = body.text();
    std::string_view to = body.text();
    Rename rename{InodeId{in.newdir}, in.flags, from, to};
    Result<Operation> source = named(body, from, rename);
    return source.ok() ? named(body, to, rename) : source;
}

Result<Operation> decode_link(Body body) {
    auto in = body.fixed<fuse_link_in>();
    std::string_view name = body.text();
    return named(body, name, Link{InodeId{in.oldnodeid}, name});
}

Result<Operation> decode_create(Body body, bool unnamed) {
    auto in = body.fixed<fuse_create_in>();
    Create create{};
    create.flags = in.flags;
    create.mode = (in.mode & ~std::uint32_t{S_IFMT}) | S_IFREG;
    create.umask = in.umask;
    create.clear_setid = (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
    create.unnamed = unnamed;
    if (unnamed) return checked(body, create);
    create.name = body.text();
    return named(body, create.name, create);
}

Result<Operation> decode_read(Body body) {
    auto in = body.fixed<fuse_read_in>();
    if (in.size > kFusePayloadMost || !range_ok(in.offset, in.size)) return kMalformed;
    return checked(body, Read{in.fh, in.offset, in.size});
}

Result<Operation> decode_write(Body body) {
    auto in = body.fixed<fuse_write_in>();
    Write write{};
    write.handle = in.fh;
    write.offset = in.offset;
    write.flags = in.flags;
    write.clear_setid = (in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
    write.from_page_cache = (in.write_flags & FUSE_WRITE_CACHE) != 0;
    write.data = body.rest();
    if (write.data.size() != in.size || !range_ok(in.offset, in.size)) return kMalformed;
    return checked(body, write);
}

Result<Operation> decode_release(Body body) {
    auto in = body.fixed<fuse_release_in>();
    bool unlock = (in.release_flags & FUSE_RELEASE_FLOCK_UNLOCK) != 0;
    return checked(body, Release{in.fh, in.lock_owner, unlock});
}

Result<Operation> decode_read_directory(Body body, bool plus) {
    auto in = body.fixed<fuse_read_in>();
    if (in.size > kFusePayloadMost) return kMalformed;
    return checked(body, ReadDirectory{in.offset, in.size, plus});
}

Result<Operation> decode_set_xattr(Body body, bool long_form) {
    StoreXattr set{};
    auto size = body.fixed<std::uint32_t>();
    set.flags = body.fixed<std::uint32_t>();
    if (long_form) {
        set.clear_setgid = (body.fixed<std::uint32_t>() & FUSE_SETXATTR_ACL_KILL_SGID) != 0;
        (void)body.fixed<std::uint32_t>();
    }
    set.name = body.text();
    set.value = body.bytes(size);
    return attribute(body, set.name, set);
}

Result<Operation> decode_get_xattr(Body body) {
    auto in = body.fixed<fuse_getxattr_in>();
    std::string_view name = body.text();
    return attribute(body, name, GetXattr{name, in.size});
}

Result<Operation> decode_lock(Body body, std::uint32_t opcode) {
    auto in = body.fixed<fuse_lk_in>();
    if (in.lk.end < in.lk.start) return kMalformed;
    if (opcode == FUSE_GETLK) return checked(body, GetLock{in});
    return checked(body, SetLock{in, opcode == FUSE_SETLKW});
}

Result<Operation> decode_fallocate(Body body) {
    auto in = body.fixed<fuse_fallocate_in>();
    if (in.length == 0 || !range_ok(in.offset, in.length)) return kMalformed;
    return checked(body, Fallocate{in.fh, in.offset, in.length, in.mode});
}

Result<Operation> decode_seek(Body body) {
    auto in = body.fixed<fuse_lseek_in>();
    if (in.offset > INT64_MAX) return Error{Code::no_data, "fuse.decode"};
    return checked(body, Seek{in.fh, in.offset, in.whence});
}

Result<Operation> decode_copy_range(Body body, bool wide_reply) {
    auto in = body.fixed<fuse_copy_file_range_in>();
    if (!range_ok(in.off_in, in.len) || !range_ok(in.off_out, in.len)) return kMalformed;
    return checked(body, CopyRange{in, wide_reply});
}

// Operations on names and links.
Result<Operation> decode_namespace(std::uint32_t opcode, Body body) {
    std::string_view name;
    switch (opcode) {
        case FUSE_LOOKUP:
            name = body.text();
            return named(body, name, Lookup{name}, true);
        case FUSE_UNLINK:
            name = body.text();
            return named(body, name, Unlink{name});
        case FUSE_RMDIR:
            name = body.text();
            return named(body, name, RemoveDirectory{name});
        case FUSE_SYMLINK:
            return decode_symlink(body);
        case FUSE_MKNOD:
            return decode_make_node(body);
        case FUSE_MKDIR:
            return decode_make_directory(body);
        case FUSE_RENAME:
            return decode_rename(body, false);
        case FUSE_RENAME2:
            return decode_rename(body, true);
        case FUSE_LINK:
            return decode_link(body);
        case FUSE_CREATE:
            return decode_create(body, false);
        case FUSE_TMPFILE:
            return decode_create(body, true);
        case FUSE_READLINK:
            return checked(body, ReadLink{});
        case FUSE_OPENDIR:
            return checked(body, OpenDirectory{});
        case FUSE_READDIR:
            return decode_read_directory(body, false);
        case FUSE_READDIRPLUS:
            return decode_read_directory(body, true);
        case FUSE_RELEASEDIR:
            return checked(body, ReleaseDirectory{body.fixed<fuse_release_in>().fh});
        case FUSE_FSYNCDIR:
            return checked(body, SyncDirectory{});
        default:
            return Operation{Unknown{}};
    }
}

// Operations on an inode's content and attributes.
Result<Operation> decode_file(std::uint32_t opcode, Body body, bool long_setxattr) {
    switch (opcode) {
        case FUSE_GETATTR:
            return checked(body, GetAttributes{});
        case kOpcodeStatx:
            return checked(body, GetStatx{});
        case FUSE_SETATTR:
            return checked(body, SetAttributes{body.fixed<fuse_setattr_in>()});
        case FUSE_OPEN: {
            auto in = body.fixed<fuse_open_in>();
            return checked(body, Open{in.flags, (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0});
        }
        case FUSE_READ:
            return decode_read(body);
        case FUSE_WRITE:
            return decode_write(body);
        case FUSE_RELEASE:
            return decode_release(body);
        case FUSE_SETXATTR:
            return decode_set_xattr(body, long_setxattr);
        case FUSE_GETXATTR:
            return decode_get_xattr(body);
        case FUSE_GETLK:
        case FUSE_SETLK:
        case FUSE_SETLKW:
            return decode_lock(body, opcode);
        case FUSE_ACCESS:
            return checked(body, Access{});
        case FUSE_FALLOCATE:
            return decode_fallocate(body);
        case FUSE_LSEEK:
            return decode_seek(body);
        case FUSE_COPY_FILE_RANGE:
            return decode_copy_range(body, false);
        case kOpcodeCopyFileRange64:
            return decode_copy_range(body, true);
        default:
            return decode_namespace(opcode, body);
    }
}

}  // namespace

Result<fuse_in_header> decode_header(ConstBytes message) {
    fuse_in_header header{};
    if (message.size() < sizeof(header)) return kMalformed;
    std::memcpy(&header, message.data(), sizeof(header));
    if (header.len != message.size()) return kMalformed;
    return header;
}

Result<Operation> decode_operation(const fuse_in_header& header, ConstBytes message,
                                   bool long_setxattr) {
    // Extensions (security contexts, groups) lie behind the body; none are asked for.
    std::size_t extension_bytes = std::size_t{header.total_extlen} * 8;
    ConstBytes after_header = message.subspan(sizeof(fuse_in_header));
    if (extension_bytes > after_header.size()) return kMalformed;
    Body body(after_header.first(after_header.size() - extension_bytes));

    switch (header.opcode) {
        case FUSE_INIT:
            return decode_init(body);
        case FUSE_DESTROY:
            return Operation{Destroy{}};
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
            return Operation{Forget{}};
        case FUSE_INTERRUPT: {
            auto in = body.fixed<fuse_interrupt_in>();
            return checked(body, Interrupt{in.unique});
        }
        case FUSE_STATFS:
            return checked(body, StatFilesystem{});
        case FUSE_SYNCFS:
            return checked(body, SyncFilesystem{});
        case FUSE_FLUSH: {
            auto in = body.fixed<fuse_flush_in>();
            return checked(body, Flush{in.fh, in.lock_owner});
        }
        case FUSE_FSYNC: {
            auto in = body.fixed<fuse_fsync_in>();
            return checked(body, Fsync{in.fh});
        }
        case FUSE_LISTXATTR: {
            auto in = body.fixed<fuse_getxattr_in>();
            return checked(body, ListXattr{in.size});
        }
        case FUSE_REMOVEXATTR: {
            std::string_view name = body.text();
            return attribute(body, name, RemoveXattr{name});
        }
        case FUSE_IOCTL:
            return Operation{NotATerminal{}};
        default:
            return decode_file(header.opcode, body, long_setxattr);
    }
}

}  // namespace weft::frontend
