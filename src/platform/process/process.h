#pragma once

#include "platform/base/result.h"
#include "platform/base/types.h"

#include <optional>
#include <string>
#include <vector>

namespace weft::process {

// A variable of the environment, if it is set and not empty.
std::optional<std::string> environment(const char* name);
bool is_root();
std::uint32_t user_id();
std::uint32_t group_id();
std::string home_folder();
// The path of the program that runs.
std::string own_path();
std::string current_folder();
// Where a program is that is called without a folder: its path with no links in it, or empty.
std::string find_program(const std::string& name);

// Starts a program that outlives us: own session, no terminal, output appended to `log_path`.
// Returns its process id.
Result<int> start_detached(std::vector<std::string> arguments, std::string log_path);
// Runs a program to its end, with our terminal, of which a quiet one has no standard error; its
// exit code, or 128 if a signal ended it.
Result<int> run_program(std::vector<std::string> arguments, bool quiet = false);
// Ends this process here and now: nothing is destroyed. For one whose end would wait for a device
// that does not answer.
[[noreturn]] void end_at_once(bool good);
int own_id();
std::string host_name();
// A process that has ended is not running, whether its parent knows it already or not.
bool is_running(int pid);
// What tells a process that runs from every other that has had its number or will: of this boot,
// and when in it the process began. Empty if it does not run.
std::string birth_of(int pid);
// True if the process ended within the time.
bool wait_for_end(int pid, Nanos most);
bool send_kill(int pid);
// Whether a thread of any process, by its number, is being killed: SIGKILL, or another signal that
// ends it and leaves no core, is on its way to it. True if nothing is known of it.
bool is_dying(std::uint32_t thread);

// For command lines only, never on a reactor. Waits on this thread, and a clock that only rises.
void pause(Nanos duration);
Nanos now();

// Whether standard output is a terminal, and how wide it is.
bool stdout_is_terminal();
bool stdin_is_terminal();
int terminal_columns();

std::uint64_t resident_bytes();
unsigned core_count();

// Whole small files. not_found: there is none; io_failed: there may be one, and it cannot be read.
// write_file replaces by rename, and is durable. write_note is not: what it says is of this moment.
Result<std::string> read_file(const std::string& path);
Result<Done> write_file(const std::string& path, std::string_view text);
Result<Done> write_note(const std::string& path, std::string_view text);
Result<Done> make_folders(const std::string& path);
// The same, but the last one, if it is made here, is its owner's alone.
Result<Done> make_private_folder(const std::string& path);
Result<Done> remove_tree(const std::string& path);
// A file, or a folder that is empty. False if it is there still.
bool remove_one(const std::string& path);
// Names in a folder, sorted; none if there is no such folder.
std::vector<std::string> names_in(const std::string& path);
bool exists(const std::string& path);
std::uint64_t free_bytes_at(const std::string& path);

// Which file a path leads to, and how large it is: the same as before, or another by now.
struct FileIdentity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t size_bytes = 0;  // Of regular files.
    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};
std::optional<FileIdentity> identity_of(const std::string& path);

}  // namespace weft::process
