#include "roles/frontend/frontend_role.h"

#include "roles/frontend/mount_internal.h"

#include <utility>

namespace weft::frontend {

FrontendRole::FrontendRole(Reactor& reactor, ComputeService& compute, FuseChannel& channel,
                           FilesystemId filesystem, SessionId session, FrontendSettings settings)
    : mount_(std::make_unique<Mount>(reactor, compute, channel, filesystem, session, settings)) {}

FrontendRole::~FrontendRole() = default;

Task<Done> FrontendRole::run() {
    return mount_->run();
}

void FrontendRole::stop() {
    mount_->stop();
}

Task<Done> FrontendRole::recall(Recall recall) {
    return mount_->recall(std::move(recall));
}

Task<Done> FrontendRole::open_session(SessionHost& sessions, std::uint64_t client) {
    return mount_->open_session(&sessions, this, client);
}

SessionId FrontendRole::session() const {
    return mount_->session();
}

void FrontendRole::session_ended() {
    mount_->session_lost();
}

void FrontendRole::term_ended() {
    mount_->look_at_term();
}

FrontendStatus FrontendRole::status() const {
    return mount_->status();
}

}  // namespace weft::frontend
