/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* usage: redis_writer CONFIGURATION EVENTS. Publishes numbered events, each under a key of its own, and flushes now and then. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc == 3);
    net_handle_t bus;
    CHECK(net_init_ex(argv[1], &bus) == NET_SUCCESS);
    int events = atoi(argv[2]);
    for (int number = 0; number < events; number++) {
        char json[64];
        int len = snprintf(json, sizeof json, "{\"number\":%d}", number);
        CHECK(net_ingest_keyed(bus, &number, sizeof number, json, (size_t)len, NULL) == NET_SUCCESS);
        if (number % 500 == 499) {
            CHECK(net_flush(bus) == NET_SUCCESS);
        }
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
