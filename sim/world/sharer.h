#pragma once

#include "sim/world/commons.h"

#include <map>
#include <optional>
#include <random>

namespace weft::sim {

// One of those who share the commons.
class Sharer : public LeaseHolder {
public:
    Sharer(Commons& commons, std::uint64_t seed, std::uint32_t number);

    // By this way from now on, until forget().
    Task<Done> come(std::unique_ptr<Way> way);
    Task<Done> open_session();
    // That its session is over, if it is.
    void notice();
    bool far() const { return way_->far(); }
    bool ended() const { return ended_; }
    // Whether nobody else may have what it believes it holds.
    bool still_has(const Commons::Grip& grip) const;
    Caller caller();
    Task<Done> act();
    // Reads the register, from what is cached if it may be.
    Task<std::uint64_t> look(Commons::Register* at);
    // The same, under as many sessions as it takes.
    Task<std::uint64_t> look_surely(Commons::Register* at);
    // The same of a file: whether it is where its owner knows it to be, with its content.
    Task<Done> look_at_file(Commons::SmallFile* file);
    // The process is gone.
    void forget();

    Task<Done> recall(Recall recall) override;
    void session_ended() override;
    void term_ended() override;

private:
    using Register = Commons::Register;
    // Under a write lease, what is written stays here until somebody asks.
    struct Buffered {
        Register* at = nullptr;
        bool leaving = false;
        std::uint64_t handle = 0;
        std::optional<std::uint64_t> value;
        std::vector<std::size_t> unsent;  // Writes, by number.
    };

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    FileId leased_by(const Register& at) const;
    // Whether nobody has recalled the file since its count was `seen`.
    bool undisturbed(FileId file, std::uint64_t seen) { return recalls_[file] == seen; }
    void drop_caches_of(FileId file);
    bool goes_on(Code code, const char* what);

    Task<Done> step();
    Register* choose_register();
    Task<Done> use_small_files();
    Task<Done> make_small_file();
    Task<Done> send_small_file(Commons::SmallFile* file);
    Task<Done> remove_small_file(Commons::SmallFile* file);
    Task<Done> probe_small_file(Commons::SmallFile* file);
    Task<std::string> content_of(Commons::SmallFile* file);
    Task<Done> list_small_files();
    Task<Done> write(Register* at);
    Task<Done> send(Register* at, std::uint64_t value);
    Task<Done> replace_name(Register* at);
    Task<std::uint64_t> fetch(Register* at, bool* may_keep);
    Task<std::uint64_t> fetch_name(Register* at, bool* may_keep);
    Task<Done> read(Register* at);
    Task<Done> take_write_lease(Register* at);
    Task<Done> give_back();
    Task<Done> flush();
    Task<Done> until_left();
    Task<Done> use_lock();
    Task<Done> take_another_lock(FileId file);
    Task<Done> use_held_locks(FileId file);
    Task<Done> reclaim(FileId file);
    Task<Done> reclaim_one(FileId file, LockRequest request);
    bool is_no_news(const LockRequest& request, Code code) const;
    bool session_is_over() const;
    void take_grip(const LockRequest& request);
    void drop_grip(const LockRequest& request);
    void drop_grips();
    Task<Done> sync();

    // Whether what is cached or buffered may be used; if it may not, nothing of it stays but what
    // is to be sent.
    bool covered();
    // Over the network an answer may not come, and the session has ended then.
    bool lost(Code code);
    // Whether what was seen or done since then, at so many losses of power, was not lost with one.
    bool is_kept(std::uint64_t power_losses) const {
        return power_losses == commons_.power_losses_ && power_losses == session_power_losses_;
    }
    // Whether compute has ended, and this client may not know yet.
    // Whether the session is over at compute, which this client may not know yet.
    bool unaware();

    Commons& commons_;
    std::uint32_t number_;
    std::unique_ptr<Way> way_;
    std::mt19937_64 random_;
    SessionId session_;
    std::uint64_t session_power_losses_ = 0;  // That were before it.
    std::uint64_t seq_ = 0;
    bool ended_ = true;
    bool covered_ = false;                     // By the lease term, when it was last looked at.
    std::map<FileId, std::uint64_t> recalls_;  // How often each was recalled.
    std::map<const Register*, std::uint64_t> cached_;
    bool directory_leased_ = false;
    Buffered buffered_;
    std::vector<std::uint64_t> left_handles_;
    std::vector<LockRequest> held_;  // For all that it knows; none overlap.
    // What it does for recalls: these end with the session's holder, not with compute.
    std::unique_ptr<Gate> gate_;
};

}  // namespace weft::sim
