#include "input.h"
#include "model/layout/batch.h"
#include "platform/base/check.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    weft::Transaction transaction;
    if (!weft::decode(weft::fuzz::text(data, size), transaction)) return 0;
    std::string again;
    weft::encode(transaction, again);
    CHECK(again == weft::fuzz::text(data, size));
    return 0;
}
