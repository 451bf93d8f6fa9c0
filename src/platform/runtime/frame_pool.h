#pragma once

#include <cstddef>

namespace weft {

// Memory for coroutine frames: free lists by size class, one set a thread, so that a small
// read or write allocates nothing. Frames above the largest class come from the heap.
// A frame must be freed on the thread that allocated it (tasks never change core).
void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size);

}  // namespace weft
