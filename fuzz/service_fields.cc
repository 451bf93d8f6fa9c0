#include "input.h"
#include "model/wire/fields.h"

using namespace weft;

namespace {

template <class T>
void decode_one(std::string_view in) {
    T value;
    if (!wire::unpack(in, value)) return;
    T again;
    CHECK(wire::unpack(wire::pack(value), again));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view in = fuzz::text(data, size);
    decode_one<DirectoryPage>(in);
    decode_one<AttributeChange>(in);
    decode_one<Opened>(in);
    decode_one<LockRequest>(in);
    decode_one<Recall>(in);
    decode_one<NewNode>(in);
    decode_one<DriveStatus>(in);
    decode_one<std::vector<SlotInfo>>(in);
    decode_one<std::vector<std::string>>(in);
    return 0;
}
