#pragma once

// Every file of operations adds its sections here.

#include "harness.h"

namespace posix_suite {

void add_open_files(Sections& sections);
void add_file_descriptors(Sections& sections);
void add_nodes(Sections& sections);
void add_links(Sections& sections);
void add_renames(Sections& sections);
void add_paths(Sections& sections);
void add_attributes(Sections& sections);
void add_ownership(Sections& sections);
void add_permissions(Sections& sections);
void add_file_times(Sections& sections);
void add_data(Sections& sections);
void add_sparse_files(Sections& sections);
void add_extended_attributes(Sections& sections);
void add_access_control_lists(Sections& sections);
void add_directories(Sections& sections);
void add_locks(Sections& sections);
void add_memory_maps(Sections& sections);

}  // namespace posix_suite
