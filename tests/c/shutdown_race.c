/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Threads publish, poll, flush and read statistics while two others shut the bus down: no crash, no hang, and after
   the shutdown every call is refused. The first argument is the number of rounds. */
#include "net.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "line %d: %s (last error: %s)\n", __LINE__, #condition, net_last_error()); \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

enum { WORKERS = 8, CLOSERS = 2 };

static net_handle_t bus;
static pthread_barrier_t start;

static int one_call(int which, int turn) {
    net_poll_result_t result;
    net_stats_t stats;
    int code;
    switch ((which + (which > 3 ? turn : 0)) % 4) {
    case 0:
        return net_ingest_raw(bus, "event", 5);
    case 1:
        code = net_poll_ex(bus, 10, NULL, &result);
        if (code == NET_SUCCESS) net_free_poll_result(&result);
        return code;
    case 2:
        return net_stats_ex(bus, &stats);
    default:
        return net_flush(bus);
    }
}

static void *work(void *number) {
    int which = *(const int *)number;
    pthread_barrier_wait(&start);
    int code = NET_SUCCESS;
    for (int turn = 0; code != NET_ERR_SHUTTING_DOWN; turn++) {
        code = one_call(which, turn);
        CHECK(code == NET_SUCCESS || code == NET_ERR_SHUTTING_DOWN);
    }
    for (int turn = 0; turn < 4; turn++) CHECK(one_call(which, turn) == NET_ERR_SHUTTING_DOWN);
    return NULL;
}

static void *shut_down(void *won) {
    pthread_barrier_wait(&start);
    int code = net_shutdown(bus);
    CHECK(code == NET_SUCCESS || code == NET_ERR_SHUTTING_DOWN);
    *(int *)won = code == NET_SUCCESS;
    return NULL;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    for (int round = 0; round < rounds; round++) {
        pthread_t threads[WORKERS + CLOSERS];
        int numbers[WORKERS], won[CLOSERS];
        CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
        pthread_barrier_init(&start, NULL, WORKERS + CLOSERS);
        for (int i = 0; i < WORKERS; i++) {
            numbers[i] = i;
            CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
        }
        for (int i = 0; i < CLOSERS; i++)
            CHECK(pthread_create(&threads[WORKERS + i], NULL, shut_down, &won[i]) == 0);
        for (int i = 0; i < WORKERS + CLOSERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(won[0] + won[1] == 1);
        CHECK(one_call(0, 0) == NET_ERR_SHUTTING_DOWN);
        pthread_barrier_destroy(&start);
    }
    return 0;
}
