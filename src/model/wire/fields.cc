#include "model/wire/fields.h"

namespace weft::wire {

void put(ByteWriter& writer, const InodeRecord& value) {
    writer.text(encode(value));
}

void get(ByteReader& reader, InodeRecord& value) {
    auto decoded = decode_inode(reader.text());
    if (decoded.has_value()) {
        value = std::move(*decoded);
    } else {
        reader.fail();
    }
}

}  // namespace weft::wire
