#pragma once

#include "model/wire/fields.h"
#include "platform/rpc/peer.h"

#include <string>
#include <tuple>
#include <utility>

namespace weft::remote {

// The client's half of a call whose arguments and result are all in meta.
template <class R>
Task<R> call(rpc::Peer* peer, std::uint32_t method, std::string arguments, Nanos deadline,
             Nanos* taken = nullptr) {
    auto answered =
        co_await peer->call(method, std::move(arguments), ConstBytes(), Bytes(), deadline, taken);
    if (!answered.ok()) co_return answered.error();
    R result;
    if (!wire::unpack(answered.value().meta, result)) co_return Error{Code::corrupt, "rpc.result"};
    co_return result;
}

// The server's half: decodes what the member function takes, calls it, and encodes its result.
template <class Service, class R, class... A>
Task<rpc::Reply> serve(Service* service, Task<R> (Service::*method)(A...), std::string meta) {
    std::tuple<std::decay_t<A>...> arguments;
    bool good =
        std::apply([&meta](auto&... each) { return wire::unpack(meta, each...); }, arguments);
    if (!good) co_return Error{Code::invalid, "rpc.arguments"};
    auto invoke = [service, method](auto&... each) {
        return (service->*method)(std::move(each)...);
    };
    Task<R> task = std::apply(invoke, arguments);
    R result = co_await or_return(co_await task);
    rpc::Reply reply;
    reply.meta = wire::pack(result);
    co_return reply;
}

// The answer to a method that is not known here.
inline Task<rpc::Reply> refuse() {
    co_return Error{Code::not_supported, "rpc.method"};
}

}  // namespace weft::remote
