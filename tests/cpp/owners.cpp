// SPDX-License-Identifier: Apache-2.0 OR MIT
// What net.hpp adds to net.h: owners end once however they are moved, errors have code and detail, and views are what was published.
#include <net.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <type_traits>

#define CHECK(condition)                                                                                      \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            std::fprintf(stderr, "%s:%d: %s (last error: %s)\n", __FILE__, __LINE__, #condition, net_last_error()); \
            std::_Exit(1);                                                                                    \
        }                                                                                                     \
    } while (0)

template <typename Call> static int code_of(Call call) {
    try {
        call();
    } catch (const net::error &error) {
        CHECK(std::strlen(error.what()) > 0);
        return error.code();
    }
    return NET_SUCCESS;
}

template <typename Owner> constexpr bool is_owner() {
    return std::is_nothrow_move_constructible_v<Owner> && std::is_nothrow_move_assignable_v<Owner> &&
           !std::is_copy_constructible_v<Owner> && !std::is_copy_assignable_v<Owner> &&
           std::is_nothrow_default_constructible_v<Owner> && std::is_nothrow_destructible_v<Owner>;
}
static_assert(is_owner<net::bus>() && is_owner<net::producer>() && is_owner<net::subscription>() &&
              is_owner<net::claim>() && is_owner<net::page>());
static_assert(sizeof(net::bus) == sizeof(net_handle_t) && sizeof(net::page) == sizeof(net_poll_result_t));
static_assert(noexcept(std::declval<net::bus &>().try_publish("")) && noexcept(std::declval<net::bus &>().try_flush()));

static const char *const config = R"({"num_shards":1,"max_event_bytes":1000})";

/* An owner that is assigned to itself, moved and moved back is what it was. */
template <typename Owner> static void move_around(Owner &owner) {
    Owner &same = owner;
    owner = std::move(same);
    Owner other(std::move(owner));
    owner = std::move(other);
    other = Owner();
}

static void owners() {
    net::bus bus(config);
    move_around(bus);
    net::subscription subscription = bus.subscribe(R"({"from":"start"})");
    move_around(subscription);
    net::producer producer = bus.open_producer();
    move_around(producer);
    net::claim claim = bus.claim("key", 3);
    move_around(claim);
    CHECK(claim.size() == 3 && claim.data() != nullptr);
    std::memcpy(claim.data(), "one", 3);
    claim.commit();
    CHECK(claim.data() == nullptr && code_of([&] { claim.commit(); }) == NET_ERR_INVALID_ARGUMENT);
    { net::claim given_up = bus.claim("key", 3); } // or else its thread could publish nothing more
    bus.flush(); // between what goes different ways there is no order
    producer.publish({}, "two", std::chrono::seconds(1));
    bus.flush();
    bus.publish_keyed("key", "three");
    bus.flush();
    net::page page = bus.poll(2);
    move_around(page);
    CHECK(page.size() == 2 && page[0].raw == "one" && page[1].raw == "two" && page.has_more());
    page = bus.poll(2, page.cursor());
    CHECK(page.size() == 1 && page[0].raw == "three" && page[0].id == "3" && page[0].insertion_ts > 0);
    const net_handle_t handle = bus.get();
    bus = net::bus(config); // ends the first
    CHECK(net_flush(handle) == NET_ERR_SHUTTING_DOWN && page[0].raw == "three");
    std::array<net_event_t, 2> buffer;
    std::size_t received = 0;
    while (net::events events = subscription.next(buffer)) {
        for (net::event event : events) {
            received += event.raw.size();
        }
    }
    CHECK(received == 11 && !subscription.next(buffer));
    CHECK(producer.try_publish("", "x", std::chrono::seconds(0)) == NET_ERR_SHUTTING_DOWN);
    const auto raw = subscription.get();
    subscription = net::subscription();
    CHECK(net_unsubscribe(raw) == NET_ERR_INVALID_ARGUMENT); // it was given back already
}

static void errors() {
    CHECK(code_of([] { net::bus bus(R"({"num_shard":1})"); }) == NET_ERR_INVALID_CONFIG);
    try {
        net::bus bus(R"({"num_shard":1})");
        CHECK(false);
    } catch (const std::runtime_error &error) {
        CHECK(std::string_view(error.what()).find("num_shard") == 0);
    }
    net::bus bus;
    CHECK(!bus && bus.try_publish("x") == NET_ERR_NULL_POINTER && code_of([&] { bus.flush(); }) == NET_ERR_NULL_POINTER);
    bus = net::bus(config);
    CHECK(bus.try_publish("\xff") == NET_ERR_INVALID_UTF8 && bus.try_publish_json("{") == NET_ERR_INVALID_JSON);
    CHECK(code_of([&] { bus.publish(std::string(1001, 'x')); }) == NET_ERR_TOO_LARGE);
    CHECK(code_of([&] { (void)bus.poll(10, "nonsense"); }) == NET_ERR_POLL_FAILED);
    bus.publish(std::string_view()); // a view of nothing is an empty event
    bus.publish(std::string_view("a\0b", 3));
    net::batch batch;
    CHECK(bus.publish_batch(batch) == 0 && batch.failed_count() == 0);
    for (std::string_view text : {"a", "\xff", "b", "\xfe"}) {
        batch.add(text);
    }
    CHECK(bus.publish_batch(batch) == 2 && batch.failed_count() == 2 && batch.failed(0) == 1 && batch.failed(1) == 3);
    batch.clear();
    CHECK(bus.publish_batch(batch) == 0 && batch.failed_count() == 0);
    bus.flush();
    net::page page = bus.poll(10);
    CHECK(page.size() == 4 && page[0].raw.empty() && page[1].raw == std::string_view("a\0b", 3));
    CHECK(bus.stats().find("\"events_ingested\":4") != std::string::npos && bus.metrics().size() > 4096);
    CHECK(bus.poll_json(R"({"limit":2})").find("\"count\":2") != std::string::npos);
    /* A time that no int holds is a long one. */
    CHECK(bus.shutdown_within(std::chrono::milliseconds::max()) == 0);
    CHECK(code_of([&] { (void)bus.shutdown_within(std::chrono::seconds(1)); }) == NET_ERR_SHUTTING_DOWN);
}

/* Other threads publish on a bus while one shuts it down: each is told in its own way, and the owner ends quietly. */
static void threads() {
    const net::bus bus(config);
    std::array<std::thread, 4> publishers;
    for (std::thread &publisher : publishers) {
        publisher = std::thread([&bus] {
            int code = NET_SUCCESS;
            while (code == NET_SUCCESS || code == NET_ERR_INGESTION_FAILED) {
                code = bus.try_publish("x");
            }
            CHECK(code == NET_ERR_SHUTTING_DOWN);
        });
    }
    bus.flush();
    bus.shutdown_within(std::chrono::minutes(1));
    for (std::thread &publisher : publishers) {
        publisher.join();
    }
}

int main() {
    owners();
    errors();
    threads();
}
