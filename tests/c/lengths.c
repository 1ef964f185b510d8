/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A length that no object has is refused before anything is read, whichever argument carries it. */
#include "check.h"

int main(void) {
    net_handle_t bus;
    CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
    const size_t lengths[] = {(size_t)-1, (size_t)PTRDIFF_MAX + 1};
    /* An address that faults when it is read. */
    const char *nowhere = (const char *)(uintptr_t)8;
    for (size_t i = 0; i < 2; i++) {
        size_t length = lengths[i];
        net_receipt_t receipt = {7, 7};
        CHECK(net_ingest(bus, nowhere, length) == NET_ERR_INVALID_ARGUMENT);
        CHECK(net_ingest_raw(bus, nowhere, length) == NET_ERR_INVALID_ARGUMENT);
        CHECK(net_ingest_raw_ex(bus, nowhere, length, &receipt) == NET_ERR_INVALID_ARGUMENT);
        CHECK(net_ingest_keyed(bus, "k", 1, nowhere, length, &receipt) == NET_ERR_INVALID_ARGUMENT);
        CHECK(net_ingest_keyed(bus, nowhere, length, "x", 1, &receipt) == NET_ERR_INVALID_ARGUMENT);
        CHECK(receipt.shard_id == 7 && receipt.timestamp == 7);
        const char *const *entries = (const char *const *)(const void *)nowhere;
        CHECK(net_ingest_raw_batch(bus, entries, &length, length) < 0);
        CHECK(net_poll(bus, "{}", (char *)(uintptr_t)8, length) == NET_ERR_INVALID_ARGUMENT);
        CHECK(net_stats(bus, (char *)(uintptr_t)8, length) == NET_ERR_INVALID_ARGUMENT);
        CHECK(net_metrics(bus, (char *)(uintptr_t)8, length) == NET_ERR_INVALID_ARGUMENT);

        const char *batch[] = {"a", nowhere, "b"};
        const size_t lens[] = {1, length, 1};
        size_t failed[3] = {9, 9, 9}, failed_len = 9;
        CHECK(net_ingest_raw_batch_ex(bus, batch, lens, 3, failed, &failed_len) == 2);
        CHECK(failed_len == 1 && failed[0] == 1);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    CHECK(read_to_the_end(bus, 10, NULL, NULL) == 4);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
