// Processes that write one LMDB database through its shared memory map.
//
//     lmdb_writers FOLDER WRITERS TRANSACTIONS           writes, then checks
//     lmdb_writers FOLDER --check WRITERS TRANSACTIONS   checks only
//
// Each transaction of a writer counts up the total and puts one pair of its own. The exit status
// is 0 if every pair and the total are there, and a line says so if not.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <lmdb.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr std::size_t kMapBytes = 256U << 20;
const char* const kTotal = "total";

void must(int code, const char* what) {
    if (code == 0) return;
    std::printf("%s: %s\n", what, mdb_strerror(code));
    std::exit(1);
}

MDB_val value_of(const std::string& text) {
    return MDB_val{text.size(), const_cast<char*>(text.data())};
}

MDB_env* open_environment(const char* folder) {
    MDB_env* environment = nullptr;
    must(mdb_env_create(&environment), "mdb_env_create");
    must(mdb_env_set_mapsize(environment, kMapBytes), "mdb_env_set_mapsize");
    must(mdb_env_open(environment, folder, 0, 0644), "mdb_env_open");
    return environment;
}

long total_of(MDB_txn* transaction, MDB_dbi database) {
    std::string name = kTotal;
    MDB_val key = value_of(name);
    MDB_val value{};
    int code = mdb_get(transaction, database, &key, &value);
    if (code == MDB_NOTFOUND) return 0;
    must(code, "mdb_get of the total");
    return std::stol(std::string(static_cast<char*>(value.mv_data), value.mv_size));
}

void put(MDB_txn* transaction, MDB_dbi database, const std::string& name,
         const std::string& content) {
    MDB_val key = value_of(name);
    MDB_val value = value_of(content);
    must(mdb_put(transaction, database, &key, &value, 0), "mdb_put");
}

std::string name_of(int writer, int number) {
    return "writer " + std::to_string(writer) + " pair " + std::to_string(number);
}

std::string content_of(int writer, int number) {
    return std::string(static_cast<std::size_t>(number % 700), 'a') + name_of(writer, number);
}

void write_all(const char* folder, int writer, int transactions) {
    MDB_env* environment = open_environment(folder);
    for (int number = 0; number < transactions; ++number) {
        MDB_txn* transaction = nullptr;
        MDB_dbi database = 0;
        must(mdb_txn_begin(environment, nullptr, 0, &transaction), "mdb_txn_begin");
        must(mdb_dbi_open(transaction, nullptr, 0, &database), "mdb_dbi_open");
        put(transaction, database, kTotal, std::to_string(total_of(transaction, database) + 1));
        put(transaction, database, name_of(writer, number), content_of(writer, number));
        must(mdb_txn_commit(transaction), "mdb_txn_commit");
    }
    mdb_env_close(environment);
}

int check(const char* folder, int writers, int transactions) {
    MDB_env* environment = open_environment(folder);
    MDB_txn* transaction = nullptr;
    MDB_dbi database = 0;
    must(mdb_txn_begin(environment, nullptr, MDB_RDONLY, &transaction), "mdb_txn_begin");
    must(mdb_dbi_open(transaction, nullptr, 0, &database), "mdb_dbi_open");
    int wrong = 0;
    for (int writer = 0; writer < writers; ++writer) {
        for (int number = 0; number < transactions; ++number) {
            std::string name = name_of(writer, number);
            std::string content = content_of(writer, number);
            MDB_val key = value_of(name);
            MDB_val value{};
            int code = mdb_get(transaction, database, &key, &value);
            if (code == 0 && value.mv_size == content.size() &&
                std::memcmp(value.mv_data, content.data(), content.size()) == 0) {
                continue;
            }
            if (++wrong < 10) std::printf("%s is missing or wrong\n", name.c_str());
        }
    }
    long total = total_of(transaction, database);
    if (total != static_cast<long>(writers) * transactions) {
        std::printf("the total is %ld\n", total);
        ++wrong;
    }
    mdb_txn_abort(transaction);
    mdb_env_close(environment);
    return wrong == 0 ? 0 : 1;
}

int write_by_processes(const char* folder, int writers, int transactions) {
    for (int writer = 0; writer < writers; ++writer) {
        if (fork() == 0) {
            write_all(folder, writer, transactions);
            _exit(0);
        }
    }
    int failed = 0;
    for (int status = 0; wait(&status) > 0;) {
        if (status != 0) failed = 1;
    }
    return failed;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 5 && std::strcmp(argv[2], "--check") == 0) {
        return check(argv[1], std::atoi(argv[3]), std::atoi(argv[4]));
    }
    if (argc != 4) return 2;
    int writers = std::atoi(argv[2]);
    int transactions = std::atoi(argv[3]);
    if (write_by_processes(argv[1], writers, transactions) != 0) return 1;
    return check(argv[1], writers, transactions);
}
