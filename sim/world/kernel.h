#pragma once

#include "roles/frontend/fuse_wire.h"
#include "sim/world/kernel_channel.h"

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace weft::sim {

// What the kernel keeps of a file that it knows.
struct KernelInode {
    struct PageLock {
        bool cut = false;                  // Cut off meanwhile.
        std::uint64_t since = UINT64_MAX;  // Whose READ fills it, in the reader's own count.
    };

    KernelInode(Reactor& reactor, std::uint64_t nodeid)
        : number(nodeid), unlocked(reactor), lock(reactor) {}

    const std::uint64_t number;
    std::uint64_t lookups = 0;                   // To be given back by FORGET.
    fuse_attr attributes{};                      // `size` is i_size.
    std::uint64_t version = 0;                   // When these came, in the mount's count.
    Nanos valid_until = 0;                       // They are asked for again then.
    bool atime_is_old = false;                   // The same, where the access time matters.
    bool size_is_unstable = false;               // Somebody is changing it: replies do not.
    std::map<std::uint64_t, std::string> pages;  // Those that are whole.
    std::map<std::uint64_t, PageLock> locked;    // Pages under way.
    Signal unlocked;
    SharedMutex lock;  // i_rwsem
};
using InodePtr = std::shared_ptr<KernelInode>;

struct KernelFile {
    InodePtr inode;
    std::uint64_t handle = 0;
    std::uint32_t flags = 0;
    bool direct = false;  // FOPEN_DIRECT_IO
};
using KernelFilePtr = std::shared_ptr<KernelFile>;

// The kernel's side of one mount: what Linux's FUSE client (6.x) asks for on behalf of programs,
// what it keeps of the answers in its caches of names, attributes and pages, and how it obeys
// notifications. Written after the kernel's documentation and behaviour: locks of directories and
// pages, attribute versions, epochs of names, lookups and FORGET. A reply acts in the moment it is
// written; there the real kernel has races of its own, which are not simulated.
//
// A system call ends with an error that stands for an errno (see code_of in kernel.cc).
class Kernel final : private KernelChannel::Obeyer {
public:
    // `notice_delay`: the longest time until a notification is acted on; 0: at once, but for locks.
    Kernel(Reactor& reactor, std::uint64_t seed, std::uint32_t minor, std::uint64_t notice_delay)
        : reactor_(reactor),
          channel_(reactor, *this),
          random_(seed),
          minor_(minor),
          notice_delay_(notice_delay) {}

    KernelChannel& channel() { return channel_; }
    // INIT, then the root's attributes.
    Task<Done> mount();
    // All names and inodes that nobody uses are forgotten.
    void drop_caches();
    // The same of one name or another, as under memory pressure.
    void shrink();
    // Besides the root.
    std::size_t known_inodes() const { return inodes_.size() - 1; }
    InodePtr root() { return inodes_.at(FUSE_ROOT_ID); }
    // Before 7.44 the notice of a name waits for a request on its directory, and the name is used
    // meanwhile (docs/protocols/fuse.md). Whether one does, and how often that began or ended.
    bool is_late() const { return late_ > 0; }
    std::uint64_t late_changes() const { return late_changes_; }

    // System calls. A directory's name is looked up anew each time, from the caches if they may.
    Task<InodePtr> find(InodePtr directory, std::string name);  // not_found
    Task<fuse_attr> stat(InodePtr directory, std::string name);
    Task<fuse_attr> fstat(KernelFilePtr file) { return attributes(file->inode, true); }
    Task<KernelFilePtr> open(InodePtr directory, std::string name, std::uint32_t flags);
    Task<Done> close(KernelFilePtr file);
    // `*since` is when the program began to, by a count of its own. Where it waits for pages that
    // another's READ fills, it gets what that one asked for, and `*since` becomes the other's.
    Task<std::string> read(KernelFilePtr file, std::uint64_t offset, std::uint32_t size,
                           std::uint64_t* since);
    Task<Done> write(KernelFilePtr file, std::uint64_t offset, std::string data);
    Task<Done> fsync(KernelFilePtr file);
    Task<Done> truncate(InodePtr inode, std::uint64_t size);
    Task<Done> set_mtime(InodePtr inode, std::uint64_t seconds);
    Task<Done> allocate(KernelFilePtr file, std::uint64_t offset, std::uint64_t length,
                        std::uint32_t mode);
    enum class Make { file, directory, symlink, link };
    // `target`: of a link, the inode.
    Task<InodePtr> make(InodePtr directory, std::string name, Make how, InodePtr target);
    Task<Done> remove(InodePtr directory, std::string name, bool is_directory);
    Task<Done> rename(InodePtr directory, std::string from, std::string to);
    Task<std::vector<std::string>> list(InodePtr directory);
    Task<Done> sync_directory(InodePtr directory);
    Task<Done> sync();    // SYNCFS
    Task<Done> statfs();  // Whatever was written behind is sent for it.
    // `number`: is told the request's, to interrupt it by.
    Task<Done> lock(KernelFilePtr file, fuse_lk_in in, bool wait,
                    std::shared_ptr<std::uint64_t> number);

private:
    struct Dentry {
        InodePtr inode;  // nullptr: there is none.
        Nanos valid_until = 0;
        std::uint64_t epoch = 0;
    };
    using DentryPtr = std::shared_ptr<Dentry>;
    using Key = std::pair<std::uint64_t, std::string>;
    using Answer = KernelChannel::Answer;
    using Apply = KernelChannel::Apply;
    // A new inode's attributes count whenever they are from.
    static constexpr std::uint64_t kAnyVersion = 0;

    Result<Done> obey_now(int code, const std::string& body) override;
    Task<Done> obey(int code, std::string body) override;
    Task<Done> obey_inode(fuse_notify_inval_inode_out out);
    Task<Done> obey_entry(fuse_notify_inval_entry_out out, std::string name);

    // kernel_cache.cc
    Nanos until(std::uint64_t seconds, std::uint32_t nanoseconds) const;
    InodePtr known(std::uint64_t number) const;
    InodePtr take(const fuse_entry_out& entry, std::uint64_t version);
    void change_attributes(KernelInode& inode, const fuse_attr& attr, Nanos valid_until,
                           std::uint64_t version);
    void set_attributes(KernelInode& inode, const fuse_attr& attr, Nanos valid_until);
    void cut_pages(KernelInode& inode, std::uint64_t size);
    Task<Done> drop_pages(InodePtr inode, std::uint64_t first, std::uint64_t last);
    DentryPtr dentry(const KernelInode& directory, const std::string& name) const;
    void put_dentry(const KernelInode& directory, const std::string& name, InodePtr inode,
                    Nanos valid_until, std::uint64_t epoch);
    void drop_dentry(const KernelInode& directory, const std::string& name);
    void forget_unused();
    // Its holder may have a lock on the directory, or `takes_lock`. nullptr: no such name.
    Task<InodePtr> look(InodePtr directory, std::string name, bool takes_lock, bool anew);
    Task<InodePtr> look_once(InodePtr directory, std::string name, bool takes_lock, bool anew);
    Task<Done> revalidate(InodePtr directory, std::string name, DentryPtr cached);
    Task<InodePtr> look_slowly(InodePtr directory, std::string name);
    Task<fuse_attr> attributes(InodePtr inode, bool atime);

    // kernel_files.cc
    Task<KernelFilePtr> open_inode(InodePtr inode, std::uint32_t flags);
    Task<KernelFilePtr> create(InodePtr directory, std::string name, std::uint32_t flags);
    Task<std::string> read_direct(KernelFilePtr file, std::uint64_t offset, std::uint32_t size);
    Task<std::string> read_page(KernelFilePtr file, std::uint64_t page, std::uint64_t* since);
    void fill_pages(KernelInode& inode, std::uint64_t first, std::uint64_t count,
                    const Answer& answer, std::uint64_t version);
    Task<Done> write_direct(KernelFilePtr file, std::uint64_t offset, std::string data);
    Task<Done> send_write(KernelFilePtr file, std::uint64_t offset, std::string data, Apply apply);
    void copy_into_pages(KernelInode& inode, std::uint64_t offset, const std::string& data,
                         std::set<std::uint64_t>* locked);
    Task<Done> send_setattr(InodePtr inode, fuse_setattr_in in);
    Task<Done> plain(std::uint32_t opcode, std::uint64_t nodeid, std::string body);

    // kernel_names.cc
    struct Listing {
        std::vector<std::string> names;
        std::uint64_t cookie = 0;
    };
    void take_items(KernelInode& directory, const Answer& answer, std::uint64_t version,
                    std::uint64_t epoch, Listing* listing);

    void note_late(int more);

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

    Reactor& reactor_;
    KernelChannel channel_;
    std::mt19937_64 random_;
    std::uint32_t minor_;
    std::uint64_t notice_delay_;
    std::uint64_t version_ = 1;
    std::uint64_t epoch_ = 1;
    int late_ = 0;
    std::uint64_t late_changes_ = 0;
    std::map<std::uint64_t, InodePtr> inodes_;
    std::map<Key, DentryPtr> dentries_;
    std::set<Key> being_looked_up_;
};

}  // namespace weft::sim
