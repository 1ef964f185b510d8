/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Claims: written in place, in order with what is ingested, and refused with a code when they are stale, forged or
   another thread's. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>

enum { EVENTS = 20000, KEYS = 5, LARGE = 300000 };

static net_handle_t bus;

static net_claim_t claim_text(const char *key, const char *text) {
    net_claim_t claim;
    CHECK(net_claim(bus, key, strlen(key), strlen(text), &claim) == NET_SUCCESS);
    CHECK(claim.data != NULL && claim.len == strlen(text));
    memcpy(claim.data, text, claim.len);
    return claim;
}

static void visit_in_order(const net_event_t *event, void *context) {
    unsigned *next = context, key, number;
    char text[32] = {0};
    CHECK(event->raw_len < sizeof text);
    memcpy(text, event->raw, event->raw_len);
    CHECK(sscanf(text, "%u:%u", &key, &number) == 2 && key < KEYS);
    CHECK(number == next[key]++);
}

/* Claims, plain events and claims that are given up, mixed: per key what was published comes back in its order. */
static void order_per_key(void) {
    unsigned numbers[KEYS] = {0}, next[KEYS] = {0}, random = 7;
    uint64_t last = 0;
    CHECK(net_init_ex("{\"num_shards\":2,\"lane_bytes\":4096,\"push_wait_us\":60000000}", &bus) == NET_SUCCESS);
    for (int i = 0; i < EVENTS; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned key = (random >> 8) % KEYS;
        char text[32];
        int len = snprintf(text, sizeof text, "%u:%u", key, numbers[key]);
        net_receipt_t receipt;
        if (random >> 31) {
            net_claim_t claim;
            CHECK(net_claim(bus, &key, sizeof key, (size_t)len, &claim) == NET_SUCCESS);
            memcpy(claim.data, text, (size_t)len);
            if ((random >> 28) % 4 == 0) {
                net_abort(&claim);
                CHECK(claim.data == NULL);
                continue;
            }
            CHECK(net_commit(&claim, &receipt) == NET_SUCCESS && claim.data == NULL);
        } else {
            CHECK(net_ingest_keyed(bus, &key, sizeof key, text, (size_t)len, &receipt) == NET_SUCCESS);
        }
        CHECK(receipt.timestamp > last);
        last = receipt.timestamp;
        numbers[key]++;
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    unsigned total = 0;
    for (int key = 0; key < KEYS; key++) total += numbers[key];
    CHECK(read_to_the_end(bus, 777, visit_in_order, next) == total);
    CHECK(check_sums(bus) == total);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

static void visit_large(const net_event_t *event, void *context) {
    (void)context;
    CHECK(event->raw_len == LARGE && event->raw[0] == 'x' && event->raw[LARGE - 1] == 'x');
}

/* An event that does not fit the lane is written in place too. */
static void large(void) {
    net_claim_t claim;
    CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
    for (int i = 0; i < 5; i++) {
        CHECK(net_claim(bus, "k", 1, LARGE, &claim) == NET_SUCCESS);
        memset(claim.data, 'x', LARGE);
        if (i % 2) {
            net_abort(&claim);
        } else {
            CHECK(net_commit(&claim, NULL) == NET_SUCCESS);
        }
    }
    CHECK(net_flush(bus) == NET_SUCCESS && read_to_the_end(bus, 2, visit_large, NULL) == 3);
    CHECK(net_claim(bus, "k", 1, 2 << 20, &claim) == NET_ERR_TOO_LARGE);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

/* Only the lane of the claim is blocked, and only for the thread that made it. */
static void blocks_its_lane_only(void) {
    CHECK(net_init_ex("{\"num_shards\":8,\"push_wait_us\":60000000}", &bus) == NET_SUCCESS);
    net_receipt_t receipt;
    uint16_t shards[64];
    for (char key = 0; key < 64; key++) {
        CHECK(net_ingest_keyed(bus, &key, 1, "x", 1, &receipt) == NET_SUCCESS);
        shards[(int)key] = receipt.shard_id;
    }
    char zero = 0;
    net_claim_t claim, second = {0};
    CHECK(net_claim(bus, &zero, 1, 1, &claim) == NET_SUCCESS);
    for (char key = 0; key < 64; key++) {
        int expected = shards[(int)key] == shards[0] ? NET_ERR_INVALID_ARGUMENT : NET_SUCCESS;
        CHECK(net_ingest_keyed(bus, &key, 1, "x", 1, &receipt) == expected);
    }
    CHECK(net_claim(bus, &zero, 1, 1, &second) == NET_ERR_INVALID_ARGUMENT && second.data == NULL);
    CHECK(net_flush(bus) == NET_SUCCESS);
    net_abort(&claim);
    CHECK(net_ingest_keyed(bus, &zero, 1, "x", 1, NULL) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

static void *commit_elsewhere(void *argument) {
    net_claim_t *claim = argument, seen = *claim;
    net_receipt_t receipt;
    CHECK(net_commit(claim, &receipt) == NET_ERR_INVALID_ARGUMENT);
    net_abort(claim);
    CHECK(memcmp(claim, &seen, sizeof seen) == 0);
    /* Also when the thread has a way in and a claim of its own. */
    claim_text("other", "own");
    CHECK(net_commit(claim, &receipt) == NET_ERR_INVALID_ARGUMENT);
    return NULL;
}

static void elsewhere(net_claim_t *claim) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, commit_elsewhere, claim) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void refusals(void) {
    CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
    net_claim_t claim, copy;
    net_receipt_t receipt;
    CHECK(net_claim(NULL, NULL, 0, 0, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_claim(bus, NULL, 0, 1, &claim) == NET_ERR_NULL_POINTER);
    CHECK(net_claim(bus, "k", 0, 1, &claim) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_claim(bus, "k", 1, 1, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_claim(bus, "k", 1, (size_t)-1, &claim) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_claim(bus, "k", (size_t)-1, 1, &claim) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_commit(NULL, NULL) == NET_ERR_NULL_POINTER);
    net_abort(NULL);

    /* Never made, and every word of one that was made changed. */
    memset(&claim, 0, sizeof claim);
    CHECK(net_commit(&claim, NULL) == NET_ERR_INVALID_ARGUMENT);
    net_abort(&claim);
    memset(&claim, 0xff, sizeof claim);
    CHECK(net_commit(&claim, NULL) == NET_ERR_INVALID_ARGUMENT);
    claim = claim_text("k", "one");
    for (int word = 0; word < 4; word++) {
        for (int bit = 0; bit < 64; bit++) {
            copy = claim;
            copy.reserved[word] ^= 1ull << bit;
            int code = net_commit(&copy, NULL);
            /* Another handle may be one of another kind, or of a bus that was shut down. */
            CHECK(code == NET_ERR_INVALID_ARGUMENT ||
                  (word == 0 && (code == NET_ERR_MISMATCHED_HANDLES || code == NET_ERR_SHUTTING_DOWN)));
            net_abort(&copy);
        }
    }
    elsewhere(&claim);

    /* What the caller changed in pointer and length is not looked at; a claim is committed once. */
    copy = claim;
    copy.data = (void *)8;
    copy.len = (size_t)-1;
    CHECK(net_commit(&copy, &receipt) == NET_SUCCESS && receipt.timestamp != 0);
    CHECK(net_commit(&copy, &receipt) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_commit(&claim, &receipt) == NET_ERR_INVALID_ARGUMENT);
    net_abort(&claim);

    /* Bytes that are not UTF-8 end the claim and publish nothing; the lane is free again. */
    claim = claim_text("k", "\xff\xfe");
    CHECK(net_commit(&claim, NULL) == NET_ERR_INVALID_UTF8 && claim.data == NULL);
    CHECK(net_commit(&claim, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_ingest_raw(bus, "two", 3) == NET_SUCCESS);

    /* A stale claim is not taken for the next one in its place. */
    copy = claim = claim_text("k", "three");
    net_abort(&claim);
    claim = claim_text("k", "three");
    CHECK(net_commit(&copy, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_commit(&claim, NULL) == NET_SUCCESS);
    CHECK(net_flush(bus) == NET_SUCCESS && read_to_the_end(bus, 10, NULL, NULL) == 3);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

/* The place of a claim stays writable when its bus is gone, and when another bus has its shards' memory. */
static void outlives_its_bus(void) {
    for (int large = 0; large < 2; large++) {
        size_t len = large ? LARGE : 100;
        net_claim_t first, second;
        CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
        CHECK(net_claim(bus, "k", 1, len, &first) == NET_SUCCESS);
        CHECK(net_shutdown(bus) == NET_SUCCESS);
        memset(first.data, 'a', len);
        CHECK(net_ingest_raw(bus, "x", 1) == NET_ERR_SHUTTING_DOWN);
        net_handle_t old = bus;
        CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
        CHECK(net_claim(bus, "k", 1, len, &second) == NET_SUCCESS);
        memset(first.data, 'b', len);
        memset(second.data, 'c', len);
        CHECK(net_ingest_raw(old, "x", 1) == NET_ERR_SHUTTING_DOWN);
        CHECK(((char *)first.data)[len - 1] == 'b');
        CHECK(net_commit(&first, NULL) == NET_ERR_SHUTTING_DOWN && first.data == NULL);
        CHECK(net_commit(&first, NULL) == NET_ERR_SHUTTING_DOWN);
        CHECK(net_commit(&second, NULL) == NET_SUCCESS);
        CHECK(net_flush(bus) == NET_SUCCESS && read_to_the_end(bus, 10, NULL, NULL) == 1);
        CHECK(net_shutdown(bus) == NET_SUCCESS);
    }
}

static void *leave_open(void *argument) {
    (void)argument;
    claim_text("k", "left behind");
    return NULL;
}

/* A thread that ends aborts its claims, and the lane is reclaimed. */
static void ends_with_its_thread(void) {
    CHECK(net_init_ex("{\"num_shards\":1,\"lanes_bytes_max\":4194304}", &bus) == NET_SUCCESS);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, leave_open, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(net_flush(bus) == NET_SUCCESS);
    }
    CHECK(check_sums(bus) == 0 && read_to_the_end(bus, 10, NULL, NULL) == 0);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

int main(void) {
    order_per_key();
    large();
    blocks_its_lane_only();
    refusals();
    outlives_its_bus();
    ends_with_its_thread();
    return 0;
}
