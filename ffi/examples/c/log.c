/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Events outlive the bus in a directory; the second run reads on where the cursor of the first has stopped.
   log DIRECTORY */
#include <net.h>
#include <stdio.h>
#include <string.h>

static int fail(void) {
    fprintf(stderr, "%s\n", net_last_error());
    return 1;
}

/* Publishes `events` events and reads those behind `cursor`, which becomes that of the end. */
static int run(const char *config, int events, char *cursor, size_t room) {
    net_handle_t bus;
    if (net_init_ex(config, &bus) != NET_SUCCESS) return fail();
    for (int i = 0; i < events; i++) {
        char event[64];
        int length = snprintf(event, sizeof event, "{\"step\":%d}", i);
        if (net_ingest(bus, event, (size_t)length) != NET_SUCCESS) return fail();
    }
    if (net_flush(bus) != NET_SUCCESS) return fail(); /* stored, and synced */
    net_poll_result_t page;
    if (net_poll_ex(bus, 100, cursor[0] == '\0' ? NULL : cursor, &page) != NET_SUCCESS) return fail();
    for (size_t i = 0; i < page.count; i++)
        printf("%.*s: %.*s\n", (int)page.events[i].id_len, page.events[i].id, (int)page.events[i].raw_len, page.events[i].raw);
    if (page.next_id != NULL) snprintf(cursor, room, "%s", page.next_id);
    net_free_poll_result(&page);
    return net_shutdown(bus) == NET_SUCCESS ? 0 : fail();
}

int main(int count, char **words) {
    if (count != 2) return 2;
    char config[4500], cursor[256] = "";
    snprintf(config, sizeof config, "{\"num_shards\":1,\"log\":{\"dir\":\"%s\"}}", words[1]);
    for (int i = 1; i <= 2; i++) {
        printf("run %d\n", i);
        if (run(config, 2, cursor, sizeof cursor) != 0) return 1;
    }
    return 0;
}
