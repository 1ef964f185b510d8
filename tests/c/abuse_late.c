/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Every function, called when it is too late: after the end of what it is called on, in a forked child, in a thread whose thread-local
   data is gone, and from handlers at the end of the process, with a bus that is open and with one that is shut down. */
#define _GNU_SOURCE

#include "abuse.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static int has_handle(const struct row *row) {
    return row->kinds[0] != 0 && strchr("bpsdrftC", row->kinds[0]) != NULL;
}

/* Calls every row, those that end something only `with_ends`. Returns how many events were accepted. */
static unsigned long long call_everything(struct world *world, int with_ends) {
    unsigned long long published = 0;
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &ROWS[i];
        uintptr_t a[ARGUMENTS + 1] = {0};
        if (ends_something(row) && !with_ends) {
            continue;
        }
        make_arguments(world, row, a);
        intptr_t answer = row->call(a);
        if (!has_failed(row, answer)) {
            published += row->events < 0 ? (unsigned long long)answer : (unsigned long long)row->events;
            give_back(row, a, answer);
        }
        end_what_was_made(world);
    }
    return published;
}

/* Everything is refused, with `code` where it says one and `code` is one. */
static void check_refused(struct world *world, int code) {
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &ROWS[i];
        uintptr_t a[ARGUMENTS + 1] = {0};
        make_arguments(world, row, a);
        intptr_t answer = row->call(a);
        int failed = has_failed(row, answer);
        int is_lenient = code == 0 && strstr(row->name, "redex") != NULL && strstr(row->name, "free") != NULL;
        if ((has_handle(row) && row->answer != 'v' && !failed && !is_lenient) ||
            (failed && row->answer == 'c' && code != 0 && (int)answer != code)) {
            fprintf(stderr, "%s answers %ld (%s)\n", row->name, (long)answer, net_last_error());
            _Exit(1);
        }
        if (!failed) {
            give_back(row, a, answer);
        }
    }
}

static void after_the_end(void) {
    struct world ended = {0};
    open_world(&ended);
    call_everything(&ended, 0);
    make_for_once(&ended, 'C');
    make_for_once(&ended, 'S');
    struct world open = ended;
    close_world(&ended);
    end_what_was_made(&ended);
    check_refused(&open, 0);
    const uintptr_t bus[] = {(uintptr_t)ended.bus};
    CHECK((int)call_net_flush(bus) == NET_ERR_SHUTTING_DOWN && call_net_num_shards(bus) == 0);
}

static void in_a_child(void) {
    struct world world = {0};
    open_world(&world);
    unsigned long long published = call_everything(&world, 0);
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        check_refused(&world, NET_ERR_FORKED);
        exit(42);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
    published += call_everything(&world, 0);
    CHECK(net_flush(world.bus) == NET_SUCCESS && check_sums(world.bus) == published);
    close_world(&world);
}

static struct world dying;
static unsigned long long published_while_dying;

/* The C library runs this after the destructors of thread-local data, the library's among them. */
static void at_the_end_of_a_thread(void *argument) {
    (void)argument;
    published_while_dying = call_everything(&dying, 0);
}

static void *die(void *key) {
    CHECK(pthread_setspecific(*(pthread_key_t *)key, key) == 0);
    CHECK(net_ingest_raw(dying.bus, "alive", 5) == NET_SUCCESS);
    return NULL;
}

static void in_a_dying_thread(void) {
    pthread_key_t key;
    pthread_t thread;
    open_world(&dying);
    CHECK(pthread_key_create(&key, at_the_end_of_a_thread) == 0);
    CHECK(pthread_create(&thread, NULL, die, &key) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(published_while_dying > 0);
    CHECK(net_flush(dying.bus) == NET_SUCCESS && check_sums(dying.bus) == 1 + published_while_dying);
    close_world(&dying);
}

static struct world last;

/* Handlers run in the reverse order, also in the child. */
static void at_exit_with_an_end(void) {
    if (last.bus == NULL) {
        return;
    }
    call_everything(&last, 1);
    close_objects(&last);
    net_shutdown(last.bus);
    net_redex_free(last.redex);
    check_refused(&last, 0);
    printf("exit\n");
}

static void at_exit_with_an_open_bus(void) {
    CHECK(last.bus == NULL || call_everything(&last, 0) > 0);
}

int main(void) {
    CHECK(atexit(at_exit_with_an_end) == 0 && atexit(at_exit_with_an_open_bus) == 0);
    after_the_end();
    in_a_child();
    in_a_dying_thread();
    open_world(&last);
    CHECK(net_ingest_raw(last.bus, "before", 6) == NET_SUCCESS);
    return 0;
}
