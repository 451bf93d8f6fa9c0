#include "roles/compute/compute_role.h"

#include "roles/compute/core_internal.h"

namespace weft::compute {

ComputeRole::ComputeRole(Reactor& reactor, DriveService& drives, ComputeSettings settings)
    : core_(std::make_unique<Core>(reactor, drives, settings)) {}

ComputeRole::~ComputeRole() = default;

Task<Done> ComputeRole::open(ClusterMap map, Epoch epoch) {
    return core_->open(std::move(map), epoch);
}
void ComputeRole::will_close() {
    core_->will_close = true;
}
Task<Done> ComputeRole::close() {
    return core_->close();
}
LeaseTerms ComputeRole::lease_terms() const {
    return core_->settings.lease_terms();
}
Result<SessionId> ComputeRole::open_session(LeaseHolder* holder, Client client) {
    return core_->open_session(holder, client);
}
Task<Done> ComputeRole::close_session(SessionId session) {
    return core_->close_session(session);
}
Task<Done> ComputeRole::set_map(ClusterMap map) {
    return core_->set_map(std::move(map));
}

}  // namespace weft::compute
