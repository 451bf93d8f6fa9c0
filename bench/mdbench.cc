// Metadata operations a second on any directory.
//
//     mdbench DIR FILES FOLDERS THREADS [SECONDS_MOST]
//
// DIR must not exist; it is made, and removed at the end. A thread works on folders of its own, or
// on its share of the files where there are fewer folders than threads. Before each phase it
// prints "ready NAME" and waits for a line, so that a driver can drop caches and look at clocks;
// behind it, "done NAME OPERATIONS SECONDS". A phase ends early after SECONDS_MOST (60); the later
// ones do what it left. The exit status is 1 if an operation failed.

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
    std::string directory;
    int files = 0;
    int folders = 0;
    int threads = 0;
    double seconds_most = 60;
};

void must(bool done, const char* what, const std::string& path) {
    if (done) return;
    std::fprintf(stderr, "mdbench: %s %s: %s\n", what, path.c_str(), std::strerror(errno));
    std::exit(1);
}

class Benchmark {
public:
    explicit Benchmark(Settings settings)
        : settings_(std::move(settings)),
          made_(static_cast<std::size_t>(settings_.files)),
          renamed_(static_cast<std::size_t>(settings_.files)) {}

    void run() {
        make_folders();
        phase("create", [this](int file) { create(file); });
        phase("stat", [this](int file) { stat_one(file); });
        phase("open", [this](int file) { open_one(file); });
        list("readdir");
        phase("rename", [this](int file) { rename_one(file); });
        settings_.seconds_most = 1e9;  // Nothing is left behind.
        phase("unlink", [this](int file) { unlink_one(file); });
        remove_folders();
    }

private:
    std::string folder(int number) const {
        return settings_.directory + "/d" + std::to_string(number);
    }
    std::string path(int file, const char* prefix) const {
        return folder(file % settings_.folders) + "/" + prefix + std::to_string(file);
    }
    std::string path_now(int file) const {
        return path(file, renamed_[static_cast<std::size_t>(file)] != 0 ? "renamed" : "file");
    }

    void make_folders() {
        must(mkdir(settings_.directory.c_str(), 0755) == 0, "mkdir", settings_.directory);
        for (int i = 0; i < settings_.folders; ++i) {
            must(mkdir(folder(i).c_str(), 0755) == 0, "mkdir", folder(i));
        }
    }
    void remove_folders() {
        for (int i = 0; i < settings_.folders; ++i) {
            must(rmdir(folder(i).c_str()) == 0, "rmdir", folder(i));
        }
        must(rmdir(settings_.directory.c_str()) == 0, "rmdir", settings_.directory);
    }

    void create(int file) {
        std::string name = path(file, "file");
        int descriptor = open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644);
        must(descriptor >= 0 && close(descriptor) == 0, "create", name);
        made_[static_cast<std::size_t>(file)] = 1;
    }
    void stat_one(int file) {
        struct stat about{};
        std::string name = path_now(file);
        must(stat(name.c_str(), &about) == 0, "stat", name);
    }
    void open_one(int file) {
        std::string name = path_now(file);
        int descriptor = open(name.c_str(), O_RDONLY);
        must(descriptor >= 0 && close(descriptor) == 0, "open", name);
    }
    void rename_one(int file) {
        std::string name = path(file, "file");
        must(rename(name.c_str(), path(file, "renamed").c_str()) == 0, "rename", name);
        renamed_[static_cast<std::size_t>(file)] = 1;
    }
    void unlink_one(int file) {
        std::string name = path_now(file);
        must(unlink(name.c_str()) == 0, "unlink", name);
    }

    // The files of one thread, until the time is over.
    void work(int thread, Clock::time_point end, bool making, const std::function<void(int)>& op,
              std::atomic<long>& count) {
        bool own_folders = settings_.folders >= settings_.threads;
        long done = 0;
        for (int file = 0; file < settings_.files; ++file) {
            int share = own_folders ? file % settings_.folders : file;
            if (share % settings_.threads != thread) continue;
            if (!making && made_[static_cast<std::size_t>(file)] == 0) continue;
            if (Clock::now() > end) break;
            op(file);
            ++done;
        }
        count += done;
    }

    static Clock::time_point begin(const char* name) {
        std::cout << "ready " << name << std::endl;
        std::string line;
        if (!std::getline(std::cin, line)) std::exit(0);
        return Clock::now();
    }
    static void end(const char* name, long count, Clock::time_point began) {
        std::chrono::duration<double> taken = Clock::now() - began;
        std::cout << "done " << name << " " << count << " " << taken.count() << std::endl;
    }

    void phase(const char* name, const std::function<void(int)>& op) {
        bool making = std::strcmp(name, "create") == 0;
        Clock::time_point began = begin(name);
        auto most = std::chrono::duration<double>(settings_.seconds_most);
        auto last = began + std::chrono::duration_cast<Clock::duration>(most);
        std::atomic<long> count = 0;
        std::vector<std::thread> threads;
        for (int thread = 0; thread < settings_.threads; ++thread) {
            threads.emplace_back([this, thread, last, making, &op, &count] {
                work(thread, last, making, op, count);
            });
        }
        for (std::thread& thread : threads) thread.join();
        end(name, count, began);
    }

    // Counts entries; one thread.
    void list(const char* name) {
        Clock::time_point began = begin(name);
        long count = 0;
        for (int i = 0; i < settings_.folders; ++i) {
            DIR* listed = opendir(folder(i).c_str());
            must(listed != nullptr, "opendir", folder(i));
            while (readdir(listed) != nullptr) ++count;
            closedir(listed);
        }
        end(name, count - 2L * settings_.folders, began);
    }

    Settings settings_;
    std::vector<char> made_;
    std::vector<char> renamed_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5 || argc > 6) {
        std::cerr << "usage: mdbench DIR FILES FOLDERS THREADS [SECONDS_MOST]\n";
        return 2;
    }
    Settings settings;
    settings.directory = argv[1];
    settings.files = std::atoi(argv[2]);
    settings.folders = std::atoi(argv[3]);
    settings.threads = std::atoi(argv[4]);
    if (argc == 6) settings.seconds_most = std::atof(argv[5]);
    if (settings.files < 1 || settings.folders < 1 || settings.threads < 1) return 2;
    Benchmark(settings).run();
}
