// SPDX-License-Identifier: Apache-2.0 OR MIT
// A thread receives what another one publishes, with owners that end by themselves and views that copy nothing.
// orders EVENTS
#include <net.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <stdexcept>
#include <string>

int main(int count, char **words) try {
    if (count != 2) {
        return 2;
    }
    const std::size_t events = std::strtoul(words[1], nullptr, 10);
    net::bus bus(R"({"num_shards":1,"backpressure_mode":"FailProducer"})");
    net::subscription subscription = bus.subscribe(R"({"from":"start"})");
    std::future<void> publisher = std::async(std::launch::async, [&] {
        for (std::size_t i = 0; i < events; i++) {
            const std::string event = R"({"order":)" + std::to_string(i) + "}";
            int code = NET_ERR_INGESTION_FAILED;
            while (code == NET_ERR_INGESTION_FAILED) { // full for as long as `push_wait_us`
                code = bus.try_publish_keyed("orders", event);
            }
            if (code != NET_SUCCESS) {
                throw std::runtime_error(net_last_error());
            }
        }
    });
    std::array<net_event_t, 64> buffer;
    std::size_t received = 0;
    auto receive = [&](std::chrono::milliseconds wait) {
        for (net::event event : subscription.next(buffer, wait)) {
            if (received++ == 0) {
                std::cout << "first: " << event.raw << '\n';
            }
        }
    };
    while (publisher.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        receive(std::chrono::milliseconds(10));
    }
    publisher.get(); // throws what the publisher has thrown
    while (received < events) {
        receive(net::forever);
    }
    net::page page;
    std::size_t polled = 0;
    do {
        page = bus.poll(100, page.cursor());
        polled += page.size();
    } while (page.has_more());
    std::cout << received << " received, " << polled << " polled, "
              << bus.shutdown_within(std::chrono::seconds(5)) << " not stored\n";
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
