/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A poll result may be given back twice, and with whatever count, length or pointer its caller has put into it. */
#include "check.h"

#include <pthread.h>

static net_handle_t bus;

static void *poll_and_tamper(void *argument) {
    unsigned seed = *(unsigned *)argument;
    for (unsigned round = 0; round < 2000; round++) {
        net_poll_result_t result, copy, kept;
        CHECK(net_poll_ex(bus, 20, NULL, &result) == NET_SUCCESS && result.count == 20);
        CHECK(net_poll_ex(bus, 5, NULL, &kept) == NET_SUCCESS && kept.count == 5);
        copy = result;
        switch ((seed + round) % 6) {
        case 0: result.count = (size_t)-1; break;
        case 1: result.count = 0; break;
        case 2:
            for (size_t i = 0; i < result.count; i++) {
                result.events[i].raw_len = (size_t)-1;
                result.events[i].raw = NULL;
                result.events[i].id = (const char *)(uintptr_t)8;
            }
            break;
        case 3: result.next_id = (char *)(uintptr_t)8; break;
        case 4: result.events++; break;
        default: result.has_more = 1234; break;
        }
        net_free_poll_result(&result);
        CHECK(result.events == NULL && result.count == 0 && result.next_id == NULL && result.has_more == 0);
        net_free_poll_result(&result);
        if ((seed + round) % 6 == 4) {
            /* What was changed so that it named no block gave nothing back; the block is still whole. */
            CHECK(copy.events[19].raw_len == 5 && memcmp(copy.events[19].raw, "event", 5) == 0);
            net_free_poll_result(&copy);
            net_free_poll_result(&copy);
        }
        CHECK(kept.events[4].raw_len > 0 && kept.events[4].raw[0] == 'e');
        net_free_poll_result(&kept);
    }
    return NULL;
}

int main(void) {
    CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
    for (int i = 0; i < 100; i++) {
        CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    pthread_t threads[4];
    unsigned seeds[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, poll_and_tamper, &seeds[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    net_poll_result_t forged = {(net_event_t *)(uintptr_t)64, 3, (char *)(uintptr_t)8, 1};
    net_free_poll_result(&forged);
    CHECK(forged.events == NULL);
    net_poll_result_t own = {NULL, 1, NULL, 0};
    own.next_id = malloc(32);
    char *mine = own.next_id;
    net_free_poll_result(&own);
    free(mine);

    /* A result outlives its bus. */
    net_poll_result_t late;
    CHECK(net_poll_ex(bus, 5, NULL, &late) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    CHECK(late.count == 5 && memcmp(late.events[4].raw, "event", 5) == 0);
    net_free_poll_result(&late);
    net_free_poll_result(&late);
    return 0;
}
