#pragma once

#include "model/settings/setting.h"

namespace weft::journal {

inline constexpr Setting kMirrorBytesMost{
    .name = "journal.mirror_bytes_max",
    .usual = 32 * 1024,
    .least = 0,
    .most = 1024 * 1024,
    .apply = Apply::after_restart,
    .meaning =
        "Commits up to this size are mirrored, larger ones erasure coded; raise it if "
        "commits are slow and drives have bandwidth to spare."};
inline constexpr Setting kQueuedBytesMost{
    .name = "journal.queued_bytes_max",
    .usual = 16 * 1024 * 1024,
    .least = 1024 * 1024,
    .most = 1024 * 1024 * 1024,
    .apply = Apply::after_restart,
    .meaning =
        "Bytes that wait for a journal before writers are held back; lower it to save "
        "memory."};
static_assert(kMirrorBytesMost.valid() && kQueuedBytesMost.valid());

}  // namespace weft::journal
