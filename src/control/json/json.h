#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace weft::control {

using Json = nlohmann::ordered_json;

// Empty if it is not JSON. No exception leaves here.
inline std::optional<Json> parse_json(std::string_view text) {
    Json value = Json::parse(text, nullptr, false);
    if (value.is_discarded()) return std::nullopt;
    return value;
}

// As text; what is not UTF-8 in it becomes a replacement character. No exception leaves here.
inline std::string json_text(const Json& value, int indent = -1) {
    return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Fields of an object, with a default where absent or of another type.
inline std::string text_at(const Json& object, const char* name) {
    auto field = object.find(name);
    return field != object.end() && field->is_string() ? field->get<std::string>() : std::string();
}
inline std::uint64_t number_at(const Json& object, const char* name) {
    auto field = object.find(name);
    bool fits = field != object.end() && field->is_number_unsigned();
    return fits ? field->get<std::uint64_t>() : 0;
}
inline bool flag_at(const Json& object, const char* name) {
    auto field = object.find(name);
    return field != object.end() && field->is_boolean() && field->get<bool>();
}

}  // namespace weft::control
