#include "control/cli/session_internal.h"
#include "control/cli/table.h"
#include "control/cli/units.h"
#include "platform/process/process.h"

#include <cstdio>
#include <iostream>
#include <map>
#include <utility>

namespace weft::control {
namespace {

using Align = Table::Align;

std::string bytes_at(const Json& object, const char* name) {
    return format_bytes(number_at(object, name));
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
    if (whole == 0) return "-";
    return std::to_string(part * 100 / whole) + " %";
}

std::uint64_t count_drives(const Json& status, const char* state) {
    std::uint64_t count = 0;
    for (const Json& drive : status["drives"]) {
        if (text_at(drive, "state") == state) ++count;
    }
    return count;
}

// How the data is protected, in a sentence a person can act on.
std::string health_sentence(const Json& status) {
    const Json& protection = status["protection"];
    std::uint64_t lost = number_at(protection, "lost");
    std::uint64_t degraded = number_at(protection, "degraded");
    std::uint64_t missing = number_at(protection, "missing_most");
    std::uint64_t parity = number_at(status, "parity_width");
    if (lost > 0) {
        return "DATA LOST: " + std::to_string(lost) +
               " segments have too few chunks left; bring their drives back if you can";
    }
    if (degraded > 0) {
        std::uint64_t left = parity > missing ? parity - missing : 0;
        return "degraded: " + std::to_string(degraded) + " segments miss chunks; " +
               std::to_string(left) + " more drive losses are survived; add or replace a drive";
    }
    if (count_drives(status, "failed") > 0) {
        return "healthy, all data is fully protected; failed drives wait for 'weft drive replace'";
    }
    return "healthy: any " + std::to_string(parity) + " drives may fail";
}

bool healthy(const Json& status) {
    return number_at(status["protection"], "lost") == 0 &&
           number_at(status["protection"], "degraded") == 0;
}

Table filesystem_table(const Json& filesystems) {
    Table table;
    table.column("FILESYSTEM");
    table.column("CAPACITY", Align::right);
    table.column("USED", Align::right);
    table.column("FREE", Align::right);
    table.column("USE", Align::right);
    table.column("FILES", Align::right);
    for (const Json& fs : filesystems) {
        std::uint64_t used = number_at(fs, "used_bytes");
        table.row({text_at(fs, "name"), bytes_at(fs, "capacity_bytes"), format_bytes(used),
                   bytes_at(fs, "free_bytes"), percent(used, number_at(fs, "capacity_bytes")),
                   std::to_string(number_at(fs, "inodes"))});
    }
    return table;
}

Table drive_table(const Json& drives) {
    Table table;
    table.column("DRIVE", Align::right);
    table.column("DOMAIN", Align::right);
    table.column("STATE");
    table.column("SIZE", Align::right);
    table.column("USE", Align::right);
    table.column("READ", Align::right);
    table.column("WRITTEN", Align::right);
    table.column("ERRORS", Align::right);
    table.column("PATH");
    for (const Json& drive : drives) {
        std::string state = text_at(drive, "state");
        if (state == "active" && !flag_at(drive, "serving")) state = "not answering";
        std::uint64_t slots = number_at(drive, "slots");
        table.row({std::to_string(number_at(drive, "id")),
                   std::to_string(number_at(drive, "domain")), state, bytes_at(drive, "size_bytes"),
                   percent(slots - number_at(drive, "free_slots"), slots),
                   bytes_at(drive, "read_bytes"), bytes_at(drive, "written_bytes"),
                   std::to_string(number_at(drive, "errors")), text_at(drive, "path")});
    }
    return table;
}

void print_header(const Json& status) {
    std::cout << text_at(status, "name") << ": " << health_sentence(status) << "\n"
              << "protection " << number_at(status, "data_width") << "+"
              << number_at(status, "parity_width") << ", " << count_drives(status, "active")
              << " drives active, " << bytes_at(status, "free_bytes") << " free, up "
              << format_duration(static_cast<Nanos>(number_at(status, "uptime_ns"))) << ", memory "
              << bytes_at(status, "resident_bytes") << ", " << text_at(status, "machine") << "\n";
}

double rate(const Json& before, const Json& now, const std::string& name, double seconds) {
    double risen = static_cast<double>(number_at(now["counters"], name.c_str())) -
                   static_cast<double>(number_at(before["counters"], name.c_str()));
    return seconds > 0 ? risen / seconds : 0;
}

// Rates of all counters that moved, between two reports.
void print_rates(const Json& before, const Json& now) {
    double seconds =
        static_cast<double>(number_at(now, "uptime_ns") - number_at(before, "uptime_ns")) / 1e9;
    Table table;
    table.column("COUNTER");
    table.column("PER SECOND", Align::right);
    table.column("TOTAL", Align::right);
    for (const auto& [name, value] : now["counters"].items()) {
        double per_second = rate(before, now, name, seconds);
        if (per_second < 0.05) continue;
        table.row({name, format_count(per_second),
                   format_count(static_cast<double>(value.get<std::uint64_t>()))});
    }
    std::cout << (table.empty() ? std::string("idle\n") : table.text());
}

}  // namespace

int Session::ask(const std::string& verb, Json arguments, Json& value) const {
    auto reply = ask_quietly(verb, std::move(arguments));
    if (reply.code() == Code::retry_later) {
        std::cerr << "weft: the cluster's process at " << folder
                  << " does not answer; it may be stopped or stuck. What was asked may still be "
                     "done: see its weft.log, then '"
                  << command << " status'\n";
        return kExitUnreachable;
    }
    if (!reply.ok()) {
        std::cerr << "weft: no cluster answers at " << folder << "; start one with '" << command
                  << " demo start', or name its folder with --cluster\n";
        return kExitUnreachable;
    }
    if (!reply.value().ok) {
        const Reply& said = reply.value();
        std::cerr << "weft: " << sentence_of(said.message, said.code) << " (" << said.code << ")\n";
        return kExitFailed;
    }
    value = std::move(reply.value().value);
    return kExitOk;
}

Result<Reply> Session::ask_quietly(const std::string& verb, Json arguments) const {
    Json body{{"verb", verb}};
    body["arguments"] = std::move(arguments);
    return host_.request(socket_path(), std::move(body));
}

bool Session::print_json(const Json& value) const {
    if (json) std::cout << json_text(value, 2) << "\n";
    return json;
}

std::string sentence_of(const std::string& message, const std::string& code) {
    if (message.find(' ') != std::string::npos) return message;
    constexpr std::pair<Code, const char*> kSentences[] = {
        {Code::retry_later, "it took too long: try again"},
        {Code::cancelled, "the cluster is stopping"},
        {Code::corrupt, "what was read is damaged: 'weft doctor' may say more"},
        {Code::unavailable, "a drive or process that it needs does not answer"},
        {Code::out_of_space, "there is no room for it"},
        {Code::invalid, "it can never be done as it was asked"},
        {Code::not_supported, "this is not something that Weft can use"},
        {Code::not_found, "there is nothing at this path or of this name"},
        {Code::already_exists, "there is one already"},
        {Code::not_a_directory, "a part of the path is not a folder"},
        {Code::permission_denied, "the system does not permit it to this user"},
        {Code::not_permitted, "the system does not permit it to this user"},
        {Code::would_block, "it is in use"},
        {Code::limit_reached, "too much is open or running already"},
        {Code::io_failed, "the system or a device refused it: see weft.log"},
    };
    for (const auto& [each, sentence] : kSentences) {
        if (name_of(each) == code) return sentence;
    }
    return "it failed in " + message;
}

bool confirmed(const std::string& question, bool yes) {
    if (yes) return true;
    if (!process::stdin_is_terminal()) {
        std::cerr << "weft: " << question << " Say --yes to do it.\n";
        return false;
    }
    std::cout << question << " [y/N] " << std::flush;
    std::string answer;
    return std::getline(std::cin, answer) && (answer == "y" || answer == "yes");
}

int show_status(const Session& session) {
    Json status;
    if (int code = session.ask("status", Json::object(), status); code != kExitOk) return code;
    if (session.print_json(status)) return healthy(status) ? kExitOk : kExitUnhealthy;
    print_header(status);
    std::cout << "\n" << filesystem_table(status["filesystems"]).text();
    if (!status["mounts"].empty()) std::cout << "\n";
    for (const Json& mount : status["mounts"]) {
        std::cout << text_at(mount, "filesystem") << " is mounted at " << text_at(mount, "path");
        if (number_at(mount, "pid") != 0) {
            std::cout << " by process " << number_at(mount, "pid") << " on "
                      << text_at(mount, "host");
        }
        std::cout << "\n";
    }
    return healthy(status) ? kExitOk : kExitUnhealthy;
}

int show_filesystems(const Session& session) {
    Json status;
    if (int code = session.ask("status", Json::object(), status); code != kExitOk) return code;
    if (!session.print_json(status["filesystems"])) {
        std::cout << filesystem_table(status["filesystems"]).text();
    }
    return kExitOk;
}

int show_drives(const Session& session) {
    Json status;
    if (int code = session.ask("status", Json::object(), status); code != kExitOk) return code;
    if (!session.print_json(status["drives"])) std::cout << drive_table(status["drives"]).text();
    return kExitOk;
}

int show_doctor(const Session& session, bool full) {
    Json arguments{{"full", full}};
    Json findings;
    if (int code = session.ask("check", std::move(arguments), findings); code != kExitOk) {
        return code;
    }
    if (!session.print_json(findings)) {
        for (const Json& finding : findings) {
            std::cout << text_at(finding, "where") << ": " << text_at(finding, "what") << "\n";
        }
        std::cout << (findings.empty() ? "no findings\n"
                                       : std::to_string(findings.size()) + " findings\n");
    }
    return findings.empty() ? kExitOk : kExitUnhealthy;
}

int show_top(const Session& session, bool once, double interval_seconds) {
    Json before;
    if (int code = session.ask("status", Json::object(), before); code != kExitOk) return code;
    for (;;) {
        process::pause(static_cast<Nanos>(interval_seconds * 1e9));
        Json now;
        if (int code = session.ask("status", Json::object(), now); code != kExitOk) return code;
        if (!session.print_json(now)) {
            if (!once && process::stdout_is_terminal()) std::cout << "\033[H\033[2J";
            print_header(now);
            std::cout << "\n";
            print_rates(before, now);
            std::cout << "\n" << drive_table(now["drives"]).text() << std::flush;
        }
        if (once) return kExitOk;
        before = std::move(now);
    }
}

}  // namespace weft::control
