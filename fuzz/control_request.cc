#include "control/json/json.h"
#include "input.h"

using namespace weft;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto parsed = control::parse_json(fuzz::text(data, size));
    if (!parsed.has_value() || !parsed->is_object()) return 0;
    (void)control::text_at(*parsed, "verb");
    (void)control::number_at(*parsed, "drive");
    (void)control::flag_at(*parsed, "full");
    return 0;
}
