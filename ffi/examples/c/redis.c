/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Events are kept in a Redis server: what one bus stores, another one reads.
   redis URL EVENTS */
#include <net.h>
#include <stdio.h>
#include <stdlib.h>

static net_handle_t start(const char *url) {
    char config[512];
    snprintf(config, sizeof config, "{\"num_shards\":1,\"redis\":{\"url\":\"%s\",\"prefix\":\"example\"}}", url);
    net_handle_t bus;
    if (net_init_ex(config, &bus) != NET_SUCCESS) {
        fprintf(stderr, "%s\n", net_last_error()); /* nobody there, a wrong password, … */
        exit(1);
    }
    return bus;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    net_handle_t writer = start(words[1]);
    for (int i = 0; i < atoi(words[2]); i++) {
        char event[64];
        int length = snprintf(event, sizeof event, "{\"order\":%d}", i);
        if (net_ingest(writer, event, (size_t)length) != NET_SUCCESS) fprintf(stderr, "%s\n", net_last_error());
    }
    if (net_flush(writer) != NET_SUCCESS || net_shutdown(writer) != NET_SUCCESS) { /* the server has them */
        fprintf(stderr, "%s\n", net_last_error());
        return 1;
    }
    net_handle_t reader = start(words[1]);
    net_poll_result_t page;
    if (net_poll_ex(reader, 100, NULL, &page) != NET_SUCCESS) {
        fprintf(stderr, "%s\n", net_last_error());
        return 1;
    }
    for (size_t i = 0; i < page.count; i++) printf("%.*s\n", (int)page.events[i].raw_len, page.events[i].raw);
    net_free_poll_result(&page);
    return net_shutdown(reader) == NET_SUCCESS ? 0 : 1;
}
