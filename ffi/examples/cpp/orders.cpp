// SPDX-License-Identifier: Apache-2.0 OR MIT
// A thread receives what another one publishes, with owners that end by themselves and views that copy nothing.
// orders EVENTS
#include <net.hpp>

#include <array>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

int main(int count, char **words) try {
    if (count != 2) {
        return 2;
    }
    const std::size_t events = std::strtoul(words[1], nullptr, 10);
    net::bus bus(R"({"num_shards":1,"backpressure_mode":"FailProducer"})");
    net::subscription subscription = bus.subscribe(R"({"from":"start"})");
    std::thread publisher([&] {
        for (std::size_t i = 0; i < events; i++) {
            const std::string event = R"({"order":)" + std::to_string(i) + "}";
            while (bus.try_publish_keyed("orders", event) == NET_ERR_INGESTION_FAILED) {
                // Full for as long as `push_wait_us`.
            }
        }
    });
    std::array<net_event_t, 64> buffer;
    std::size_t received = 0;
    while (received < events) {
        for (net::event event : subscription.next(buffer)) {
            if (received++ == 0) {
                std::cout << "first: " << event.raw << '\n';
            }
        }
    }
    publisher.join();
    net::page page;
    std::size_t polled = 0;
    do {
        page = bus.poll(100, page.cursor());
        polled += page.size();
    } while (page.has_more());
    std::cout << received << " received, " << polled << " polled, "
              << bus.shutdown_within(std::chrono::seconds(5)) << " not stored\n";
} catch (const net::error &error) {
    std::cerr << error.what() << " (" << error.code() << ")\n";
    return 1;
}
