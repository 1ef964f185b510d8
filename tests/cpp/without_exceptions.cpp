// SPDX-License-Identifier: Apache-2.0 OR MIT
// net.hpp compiled without exceptions: each step by the form that returns its code.
#include <net.hpp>

#include <cstdio>
#include <cstring>
#include <string>

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            std::fprintf(stderr, "%d: %s (%s)\n", __LINE__, #condition, net_last_error()); \
            return 1;                                                                       \
        }                                                                                   \
    } while (0)

int main() {
    net::bus bus;
    CHECK(net::bus::start("{\"num_shard\":1}", bus) == NET_ERR_INVALID_CONFIG && !bus);
    CHECK(net::bus::start("{\"num_shards\":1}", bus) == NET_SUCCESS && bus);
    net::subscription subscription;
    net::producer producer;
    net::claim claim;
    net::page page;
    CHECK(bus.try_subscribe("{", subscription) == NET_ERR_INVALID_JSON && !subscription);
    CHECK(bus.try_subscribe("{}", subscription) == NET_SUCCESS && subscription.try_fd() >= 0);
    CHECK(bus.try_open_producer(producer) == NET_SUCCESS);
    CHECK(producer.try_publish({}, "one", std::chrono::seconds(1)) == NET_SUCCESS);
    CHECK(bus.try_claim("", 3, claim) == NET_ERR_INVALID_ARGUMENT && claim.data() == nullptr);
    CHECK(bus.try_claim("key", 3, claim) == NET_SUCCESS);
    std::memcpy(claim.data(), "two", 3);
    CHECK(claim.try_commit() == NET_SUCCESS);
    CHECK(bus.try_flush() == NET_SUCCESS && bus.try_poll(10, nullptr, page) == NET_SUCCESS && page.size() == 2);
    net_event_t buffer[4];
    net::events events;
    std::size_t received = 0;
    while (received < 2) {
        CHECK(subscription.try_next(buffer, 4, net::forever, events) > 0);
        received += events.size();
    }
    net::batch batch;
    std::string text;
    CHECK(bus.try_publish_batch(batch) == 0 && batch.failed_count() == 0);
    batch.add("three");
    CHECK(bus.try_publish_batch(batch) == 1);
    CHECK(bus.try_flush() == NET_SUCCESS && bus.try_poll_json("{}", text) > 0 && text.find("three") != std::string::npos);
    CHECK(subscription.try_cursor(text) > 0 && !text.empty() && bus.try_stats(text) > 0 && bus.try_metrics(text) > 0);
    CHECK(subscription.try_next(buffer, 4, net::forever, events) == 1);
    std::uint64_t not_stored = 1;
    CHECK(bus.try_shutdown_within(std::chrono::seconds(30), &not_stored) == NET_SUCCESS && not_stored == 0);
    CHECK(subscription.try_next(buffer, 4, net::forever, events) == NET_ERR_SHUTTING_DOWN);
    /* None of them may end the process. */
    CHECK(bus.try_publish_batch(batch) == NET_ERR_SHUTTING_DOWN && bus.try_poll_json("{}", text) == NET_ERR_SHUTTING_DOWN);
    CHECK(bus.try_stats(text) == NET_ERR_SHUTTING_DOWN && bus.try_metrics(text) == NET_ERR_SHUTTING_DOWN && text.empty());
    return 0;
}
