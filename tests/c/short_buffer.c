/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A poll whose answer does not fit costs nothing: the same cursor returns the same events in a larger buffer. */
#include "check.h"

static void poll_twice(net_handle_t bus, const char *request, const char *next_id) {
    char expected[65536], again[65536], little[400];
    CHECK(net_poll(bus, request, expected, sizeof expected) > (int)sizeof little);
    for (size_t len = 256; len < sizeof little; len += 7) {
        memset(little, 'x', sizeof little);
        CHECK(net_poll(bus, request, little, len) == NET_ERR_BUFFER_TOO_SMALL);
        CHECK(little[len] == 'x');
        CHECK(strstr(little, "\"buffer_too_small\":true") != NULL && strstr(little, "\"has_more\":true") != NULL);
        CHECK(strstr(little, next_id) != NULL);
        CHECK(number_of(little, "required") == strlen(expected) + 1);
    }
    CHECK(net_poll(bus, request, again, strlen(expected)) == NET_ERR_BUFFER_TOO_SMALL);
    CHECK(net_poll(bus, request, again, strlen(expected) + 1) == (int)strlen(expected));
    CHECK(strcmp(expected, again) == 0);
    memset(little, 'x', sizeof little);
    CHECK(net_poll(bus, request, little, 255) == NET_ERR_BUFFER_TOO_SMALL && little[0] == 'x');
}

int main(void) {
    net_handle_t bus;
    CHECK(net_init_ex("{\"num_shards\":2}", &bus) == NET_SUCCESS);
    for (int i = 0; i < 200; i++) {
        char json[64];
        CHECK(net_ingest(bus, json, (size_t)snprintf(json, sizeof json, "{\"number\": %d}", i)) == NET_SUCCESS);
    }
    CHECK(net_flush(bus) == NET_SUCCESS);
    poll_twice(bus, "{\"limit\":60}", "\"next_id\":null");

    net_poll_result_t half;
    char request[512], next_id[512];
    CHECK(net_poll_ex(bus, 50, NULL, &half) == NET_SUCCESS && half.count == 50 && half.has_more == 1);
    snprintf(request, sizeof request, "{\"limit\":60,\"cursor\":\"%s\"}", half.next_id);
    snprintf(next_id, sizeof next_id, "\"next_id\":\"%s\"", half.next_id);
    poll_twice(bus, request, next_id);
    net_free_poll_result(&half);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
