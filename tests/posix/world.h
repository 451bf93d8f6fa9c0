#pragma once

// What scenarios are built from: files of every kind, users, and ways to look at them.

#include "harness.h"

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

namespace posix_suite {

// Closes what it holds.
class Fd {
public:
    explicit Fd(long number) : number_(static_cast<int>(number)) {}
    Fd(Fd&& other) noexcept : number_(other.number_) { other.number_ = -1; }
    Fd& operator=(Fd&&) = delete;
    ~Fd() { reset(); }

    operator int() const { return number_; }  // Stands wherever a descriptor does.
    void reset() {
        if (number_ >= 0) close(number_);
        number_ = -1;
    }

private:
    int number_;
};

enum class Kind { regular, directory, symlink, fifo, socket, character_device, block_device };
const std::vector<Kind>& all_kinds();
const char* kind_name(Kind kind);
mode_t kind_bits(Kind kind);

// Setup steps: they throw SetupFailed when they cannot be done.
void make_kind(const std::string& path, Kind kind, Where where = Where::current());
void make_file(const std::string& path, const std::string& content = "", mode_t mode = 0644,
               Where where = Where::current());
void make_directory(const std::string& path, mode_t mode = 0755, Where where = Where::current());
void give(const std::string& path, uid_t uid, gid_t gid, Where where = Where::current());
void set_mode(const std::string& path, mode_t mode, Where where = Where::current());
Fd open_file(const std::string& path, int flags, mode_t mode = 0644,
             Where where = Where::current());
struct stat stat_of(const std::string& path, Where where = Where::current());  // Of a link itself.
struct stat stat_of(int fd, Where where = Where::current());
std::string content_of(const std::string& path, Where where = Where::current());
void write_at(int fd, const std::string& bytes, off_t offset, Where where = Where::current());
std::string read_at(int fd, size_t count, off_t offset, Where where = Where::current());

bool exists(const std::string& path);
unsigned mode_of(const std::string& path);  // The twelve bits below the kind.
std::string fd_path(int fd);

// Opens, closes at once, and keeps errno: for tables of outcomes.
long try_open(const char* path, int flags, mode_t mode = 0644);

// Bytes that differ at every offset within a few MiB, so that misplaced data shows.
std::string pattern(size_t count, unsigned seed = 0);

struct User {
    uid_t uid;
    gid_t gid;
    std::vector<gid_t> groups;
};
User alice();   // Owns things.
User bob();     // Shares the group kTeam by a supplementary group.
User nobody();  // Shares nothing.
constexpr gid_t kTeam = 7000;
constexpr uid_t kAlice = 7001;
constexpr uid_t kBob = 7002;
constexpr uid_t kNobody = 65534;

// Runs `body` in a forked child that has become `user`, without any privilege.
void as_user(const User& user, const std::function<void()>& body, Where where = Where::current());

// Sets access and modification time into the past, then waits until a change of the status time
// would show.
void age(const std::string& path);
void wait_for_tick(const timespec& past);
bool same_time(const timespec& one, const timespec& other);

}  // namespace posix_suite
