#include "roles/frontend/frontend_testing_internal.h"

#include <cerrno>
#include <random>

#include <fcntl.h>
#include <sys/stat.h>

namespace weft::frontend {
namespace {

// A bit of everything. What fails is told to the program, and the program goes on.
void work(MountFixture& mount) {
    auto text = [](std::string_view value) {
        return MountFixture::text(value);
    };
    fuse_mkdir_in make{};
    make.mode = 0755;
    mount.ask(FUSE_MKDIR, 1, make, text("d"));
    fuse_create_in create{};
    create.flags = O_RDWR;
    create.mode = S_IFREG | 0644;
    Reply created = mount.ask(FUSE_CREATE, 1, create, text("f"));
    if (created.error != 0) return;
    auto entry = created.fixed<fuse_entry_out>();
    auto out = created.fixed<fuse_open_out>(sizeof(entry));
    MountFixture::Opened file{entry.nodeid, out.fh, out.open_flags, entry};
    mount.write(file, 0, std::string(100000, 'a'));
    mount.write(file, 50000, std::string(1000000, 'b'));
    mount.getattr(file.inode);
    mount.fsync(file);
    mount.write(file, 3, "c", O_WRONLY | O_DSYNC);
    mount.send_read(file, 0, 4096);
    fuse_setattr_in size{};
    size.valid = FATTR_SIZE | FATTR_MTIME;
    size.size = 10;
    mount.ask(FUSE_SETATTR, file.inode, size);
    mount.write(file, 10, "more");
    mount.recall(file.inode, LeaseMode::none);
    mount.write(file, 14, "through");
    fuse_open_in open{};
    open.flags = O_WRONLY | O_TRUNC;
    Reply again = mount.ask(FUSE_OPEN, file.inode, open);
    fuse_read_in list{};
    list.size = 4096;
    mount.ask(FUSE_READDIRPLUS, 1, list);
    mount.ask(FUSE_LOOKUP, 1, text("f"));
    fuse_rename_in rename{1};
    mount.ask(FUSE_RENAME, 1, rename, text("f"), text("g"));
    mount.ask(FUSE_UNLINK, 1, text("g"));
    if (again.error == 0) {
        auto reopened = again.fixed<fuse_open_out>();
        mount.release({file.inode, reopened.fh, reopened.open_flags, {}});
    }
    mount.flush(file);
    mount.release(file);
}

// Goal: whatever call to compute fails, every request is answered, and nothing is left behind.
TEST(Faults, EveryCallToComputeMayFail) {
    for (Code code : {Code::io_failed, Code::stale, Code::retry_later}) {
        for (std::uint64_t n = 0; n < 60; ++n) {
            SCOPED_TRACE("call " + std::to_string(n) + " " + std::string(name_of(code)));
            MountFixture mount;
            mount.compute.fail_after(n, code);
            work(mount);
            mount.pass(3 * kSecond);
            EXPECT_EQ(mount.role.status().open_files, 0U);
            EXPECT_EQ(mount.role.status().deferred_memory_bytes, 0U);
            if (code == Code::retry_later) EXPECT_EQ(mount.compute.open_handles(), 0U);
        }
    }
}

// Goal: the role may go at any moment, as in a crash, with requests and sends under way.
TEST(Faults, MayBeDestroyedAtAnyMoment) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        std::mt19937_64 random(seed);
        SimulatedReactor reactor(seed);
        testing::MemoryCompute compute(reactor);
        compute.set_latency(2 * kMillisecond);
        MemoryChannel channel(reactor);
        auto role = std::make_unique<FrontendRole>(reactor, compute, channel, FilesystemId{1},
                                                   SessionId{1});
        compute.open_session(SessionId{1}, *role);
        auto running = std::make_unique<Task<Done>>(role->run());
        running->start(std::noop_coroutine());
        std::uint64_t unique = 0;
        auto push = [&](std::uint32_t opcode, std::uint64_t node, std::string body) {
            fuse_in_header header{};
            header.len = static_cast<std::uint32_t>(sizeof(header) + body.size());
            header.opcode = opcode;
            header.unique = ++unique;
            header.nodeid = node;
            channel.push(std::string(text_of(image_of(header))) + body);
        };
        auto image = [](const auto& value) {
            return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
        };
        fuse_create_in create{};
        create.flags = O_RDWR;
        create.mode = 0644;
        push(FUSE_CREATE, 1, image(create) + MountFixture::text("f"));
        for (int i = 0; i < 40; ++i) {
            fuse_write_in write{};
            write.fh = 1;
            write.offset = random() % 3000000;
            write.size = static_cast<std::uint32_t>(random() % 200000);
            push(FUSE_WRITE, 2, image(write) + std::string(write.size, 'w'));
            push(FUSE_GETATTR, 2, image(fuse_getattr_in{}));
            fuse_lk_in lock{};
            lock.owner = random() % 3;
            lock.lk.end = INT64_MAX;
            lock.lk.type = F_WRLCK;
            push(FUSE_SETLKW, 2, image(lock));
            if (random() % 4 == 0) push(FUSE_INTERRUPT, 0, image(fuse_interrupt_in{unique}));
            if (random() % 4 == 0) push(FUSE_FSYNC, 2, image(fuse_fsync_in{1, 0, 0}));
        }
        for (std::uint64_t steps = random() % 300; steps > 0 && reactor.step(); --steps) {
        }
        compute.close_session(SessionId{1});
        running.reset();
        role.reset();
        while (reactor.step()) {
        }
    }
}

}  // namespace
}  // namespace weft::frontend
