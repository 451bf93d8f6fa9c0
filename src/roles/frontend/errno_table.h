#pragma once

#include "platform/base/result.h"

namespace weft::frontend {

// What a program sees for an error of ours: a positive errno. The only such table.
int errno_of(Code code);

}  // namespace weft::frontend
