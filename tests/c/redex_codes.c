/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What is refused of named files, and with which code: directories, names, configurations, pointers, sizes, and what is no handle. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include "net_cortex.h"

#include <sys/wait.h>
#include <unistd.h>

static net_redex_t *redex;
static net_redex_file_t *file;
static net_redex_tail_t *cursor;

/* A file that is refused writes nothing and says why. */
static void open_is_refused(const char *name, const char *config, int code, const char *detail) {
    net_redex_file_t *out = (net_redex_file_t *)&redex;
    CHECK(net_redex_open_file(redex, name, config, &out) == code);
    CHECK(out == (net_redex_file_t *)&redex);
    CHECK(strstr(net_last_error(), detail) != NULL);
}

static void names_and_configurations(void) {
    char longest[257];
    memset(longest, 'a', 256);
    longest[256] = 0;
    open_is_refused(NULL, NULL, NET_ERR_NULL_POINTER, "name");
    open_is_refused("\xff", NULL, NET_ERR_INVALID_UTF8, "name");
    open_is_refused("", NULL, NET_ERR_REDEX, "bytes");
    open_is_refused(longest, NULL, NET_ERR_REDEX, "256");
    open_is_refused("A", NULL, NET_ERR_REDEX, "byte 0");
    open_is_refused("a b", NULL, NET_ERR_REDEX, "byte 1");
    const char *paths[] = {"/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/."};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        open_is_refused(paths[i], NULL, NET_ERR_REDEX, "component");
    }
    open_is_refused("a.redex/b", NULL, NET_ERR_REDEX, ".redex");
    open_is_refused("a", "\xff", NET_ERR_INVALID_UTF8, "config_json");
    open_is_refused("a", "{", NET_ERR_REDEX, "EOF");
    open_is_refused("a", "[]", NET_ERR_REDEX, "map");
    open_is_refused("a", "{\"retention\":1}", NET_ERR_REDEX, "retention");
    open_is_refused("a", "{\"retention_max_events\":0}", NET_ERR_REDEX, "retention_max_events");
    open_is_refused("a", "{\"retention_max_bytes\":-1}", NET_ERR_REDEX, "retention_max_bytes");
    open_is_refused("a", "{\"retention_max_age_ms\":0}", NET_ERR_REDEX, "retention_max_age_ms");
    open_is_refused("a", "{\"fsync\":\"now\"}", NET_ERR_REDEX, "fsync");
    open_is_refused("a", "{\"fsync\":{\"interval_ms\":0}}", NET_ERR_REDEX, "fsync.interval_ms");
    open_is_refused("a", "{\"persistent\":true}", NET_ERR_REDEX, "persistent");
    open_is_refused("file", "{\"fsync\":\"never\"}", NET_ERR_REDEX, "another configuration");
    CHECK(net_redex_open_file(redex, "a", NULL, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_redex_open_file(redex, "a", NULL, (net_redex_file_t **)((char *)&file + 1)) == NET_ERR_INVALID_ARGUMENT);
}

static void directories(void) {
    CHECK(net_redex_new("") == NULL && strstr(net_last_error(), "directory") != NULL);
    CHECK(net_redex_new("\xff") == NULL && strstr(net_last_error(), "UTF-8") != NULL);
    CHECK(net_redex_new("/dev/null/below") == NULL && strstr(net_last_error(), "directory") != NULL);
}

/* Every function of a redex refuses it with this code, before it looks at anything else. */
static void redex_is_refused(net_redex_t *of, int code) {
    CHECK(net_redex_open_file(of, NULL, NULL, NULL) == code);
}

static void file_is_refused(net_redex_file_t *of, int code) {
    CHECK(net_redex_file_append(of, NULL, (size_t)-1, (uint64_t *)1) == code);
    CHECK(net_redex_file_read_range(of, 1, 0, NULL, NULL) == code);
    CHECK(net_redex_file_read_raw(of, 1, 0, NULL) == code);
    CHECK(net_redex_file_sync(of) == code);
    CHECK(net_redex_file_len(of, NULL) == code);
    CHECK(net_redex_file_close(of) == code);
    CHECK(net_redex_file_tail(of, 0, NULL) == code);
}

static void tail_is_refused(net_redex_tail_t *of, int code) {
    CHECK(net_redex_tail_next(of, -1, NULL, NULL) == code);
}

static void all_are_refused(void *handle, int code) {
    redex_is_refused(handle, code);
    file_is_refused(handle, code);
    tail_is_refused(handle, code);
    if (handle != NULL) {
        CHECK(net_redex_free(handle) == code && net_redex_file_free(handle) == code);
        CHECK(net_redex_tail_free(handle) == code);
    }
}

static void handles(void) {
    net_handle_t bus;
    CHECK(net_init_ex("{\"num_shards\":1}", &bus) == NET_SUCCESS);
    all_are_refused(NULL, NET_ERR_NULL_POINTER);
    all_are_refused((void *)8, NET_ERR_INVALID_ARGUMENT);
    all_are_refused(&redex, NET_ERR_INVALID_ARGUMENT);
    all_are_refused(bus, NET_ERR_MISMATCHED_HANDLES);
    file_is_refused((net_redex_file_t *)redex, NET_ERR_MISMATCHED_HANDLES);
    tail_is_refused((net_redex_tail_t *)file, NET_ERR_MISMATCHED_HANDLES);
    redex_is_refused((net_redex_t *)cursor, NET_ERR_MISMATCHED_HANDLES);
    /* A generation that was never given out. */
    redex_is_refused((net_redex_t *)((uintptr_t)redex + 1000), NET_ERR_INVALID_ARGUMENT);
    file_is_refused((net_redex_file_t *)((uintptr_t)file + 1000), NET_ERR_INVALID_ARGUMENT);
    tail_is_refused((net_redex_tail_t *)((uintptr_t)cursor + 1000), NET_ERR_INVALID_ARGUMENT);
    CHECK(net_flush((net_handle_t)redex) == NET_ERR_MISMATCHED_HANDLES);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
}

static void pointers_and_sizes(void) {
    char *json = (char *)&redex;
    uint64_t seq = 7, len = 7;
    net_redex_records_t records;
    CHECK(net_redex_file_append(file, NULL, 1, &seq) == NET_ERR_NULL_POINTER);
    CHECK(net_redex_file_append(file, NULL, 0, &seq) == NET_ERR_NULL_POINTER);
    CHECK(net_redex_file_append(file, "x", (size_t)-1, &seq) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_redex_file_append(file, "x", 1, (uint64_t *)((char *)&seq + 1)) == NET_ERR_INVALID_ARGUMENT);
    size_t too_large = ((size_t)16 << 20) + 1;
    char *large = calloc(1, too_large);
    CHECK(large != NULL && net_redex_file_append(file, large, too_large, &seq) == NET_ERR_TOO_LARGE);
    free(large);
    CHECK(seq == 7);
    CHECK(net_redex_file_len(file, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_redex_file_len(file, &len) == NET_SUCCESS && len == 0);
    CHECK(net_redex_file_read_range(file, 0, 1, NULL, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_redex_file_read_range(file, 1, 0, &json, NULL) == NET_ERR_INVALID_ARGUMENT);
    CHECK(strstr(net_last_error(), "1 to 0") != NULL);
    CHECK(net_redex_file_read_raw(file, 0, 1, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_redex_file_read_raw(file, 1, 0, &records) == NET_ERR_INVALID_ARGUMENT);
    CHECK(net_redex_file_tail(file, 0, NULL) == NET_ERR_NULL_POINTER);
    CHECK(net_redex_tail_next(cursor, 0, NULL, NULL) == NET_ERR_NULL_POINTER);
    CHECK(json == (char *)&redex);
    CHECK(net_redex_records_free((net_redex_records_t *)((char *)&records + 1)) == NET_ERR_INVALID_ARGUMENT);
}

static void forks(void) {
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(net_redex_new(NULL) == NULL);
        redex_is_refused(redex, NET_ERR_FORKED);
        file_is_refused(file, NET_ERR_FORKED);
        tail_is_refused(cursor, NET_ERR_FORKED);
        CHECK(net_redex_free(redex) == NET_ERR_FORKED && net_redex_file_free(file) == NET_ERR_FORKED);
        CHECK(net_redex_tail_free(cursor) == NET_ERR_FORKED);
        exit(42);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 42);
    CHECK(net_redex_file_append(file, "after", 5, NULL) == NET_SUCCESS);
}

int main(void) {
    redex = net_redex_new(NULL);
    CHECK(redex != NULL);
    CHECK(net_redex_open_file(redex, "file", NULL, &file) == NET_SUCCESS);
    CHECK(net_redex_file_tail(file, 0, &cursor) == NET_SUCCESS);
    names_and_configurations();
    directories();
    handles();
    pointers_and_sizes();
    forks();
    CHECK(net_redex_free(redex) == NET_SUCCESS);
    redex_is_refused(redex, NET_ERR_INVALID_ARGUMENT);
    /* The next one in its slot is another one. */
    net_redex_t *next = net_redex_new(NULL);
    CHECK(next != NULL && next != redex);
    redex_is_refused(redex, NET_ERR_INVALID_ARGUMENT);
    CHECK(net_redex_free(next) == NET_SUCCESS);
    CHECK(net_redex_tail_free(cursor) == NET_SUCCESS && net_redex_file_free(file) == NET_SUCCESS);
    file_is_refused(file, NET_ERR_INVALID_ARGUMENT);
    tail_is_refused(cursor, NET_ERR_INVALID_ARGUMENT);
    return 0;
}
