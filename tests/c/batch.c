/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A batch with entries that cannot be accepted names their indices, and accepts each of the others once. */
#include "check.h"

enum { COUNT = 300 };

static unsigned char seen[COUNT];

static void visit(const net_event_t *event, void *context) {
    (void)context;
    char text[16] = {0};
    CHECK(event->raw_len < sizeof text);
    memcpy(text, event->raw, event->raw_len);
    unsigned number;
    CHECK(sscanf(text, "e%u", &number) == 1 && number < COUNT);
    CHECK(seen[number]++ == 0);
}

int main(void) {
    net_handle_t bus;
    CHECK(net_init_ex("{\"num_shards\":2,\"max_event_bytes\":16}", &bus) == NET_SUCCESS);
    static char texts[COUNT][16];
    const char *entries[COUNT];
    size_t lens[COUNT], failed[COUNT], failed_len = 0, bad = 0;
    for (unsigned i = 0; i < COUNT; i++) {
        lens[i] = (size_t)snprintf(texts[i], sizeof texts[i], "e%u", i);
        entries[i] = texts[i];
        switch (i % 10) {
        case 1: entries[i] = NULL; break;
        case 3: texts[i][0] = (char)0xff; break;
        case 5: memcpy(texts[i], "\xed\xa0\x80", lens[i] = 3); break;
        case 7: lens[i] = (size_t)-1; break;
        case 9: entries[i] = "far longer than sixteen"; lens[i] = 23; break;
        default: continue;
        }
        bad++;
    }
    CHECK(net_ingest_raw_batch_ex(bus, entries, lens, COUNT, failed, &failed_len) == (int)(COUNT - bad));
    CHECK(failed_len == bad && strstr(net_last_error(), "entries were passed over, the first of index 1:") != NULL);
    for (size_t i = 0; i < failed_len; i++) {
        CHECK(failed[i] % 2 == 1 && (i == 0 || failed[i] > failed[i - 1]));
    }
    /* Nothing but entries that cannot be accepted: their indices are named, and nothing is accepted. */
    failed_len = 0;
    CHECK(net_ingest_raw_batch_ex(bus, &entries[1], &lens[1], 1, failed, &failed_len) <= 0);
    CHECK(failed_len == 1 && failed[0] == 0);
    CHECK(net_flush(bus) == NET_SUCCESS);
    CHECK(read_to_the_end(bus, 7, visit, NULL) == COUNT - bad);
    CHECK(check_sums(bus) == COUNT - bad);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
