/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* keypair PORT: a key pair that the library makes is one that a bus on that port takes, and no two are the same. One that is mixed up or of
   low order is refused by the path of its key. */
#include "check.h"

static char public_key[65], secret_key[65];

static void make(void) {
    char *pair = net_generate_keypair();
    CHECK(pair != NULL);
    CHECK(sscanf(pair, "{\"public_key\":\"%64[0-9a-f]\",\"secret_key\":\"%64[0-9a-f]\"}", public_key, secret_key) == 2);
    CHECK(strlen(pair) == strlen("{\"public_key\":\"\",\"secret_key\":\"\"}") + 128);
    net_free_string(pair);
}

static int start(const char *port, const char *secret, const char *public, net_handle_t *bus) {
    char config[512];
    snprintf(config, sizeof config,
             "{\"num_shards\":1,\"net\":{\"role\":\"responder\",\"bind_addr\":\"127.0.0.1:%s\",\"secret_key\":\"%s\","
             "\"public_key\":\"%s\",\"psk\":\"%064d\"}}",
             port, secret, public, 1);
    return net_init_ex(config, bus);
}

static void is_refused(const char *port, const char *secret, const char *public, const char *path) {
    net_handle_t bus = NULL;
    CHECK(start(port, secret, public, &bus) == NET_ERR_INVALID_CONFIG && bus == NULL);
    CHECK(strncmp(net_last_error(), path, strlen(path)) == 0);
    CHECK(strstr(net_last_error(), secret) == NULL);
}

int main(int count, char **words) {
    CHECK(count == 2);
    char first[65];
    make();
    strcpy(first, public_key);
    make();
    CHECK(strcmp(first, public_key) != 0);
    is_refused(words[1], secret_key, first, "net.public_key: ");
    is_refused(words[1], public_key, secret_key, "net.public_key: ");
    char low[65];
    snprintf(low, sizeof low, "%064d", 0);
    is_refused(words[1], secret_key, low, "net.public_key: ");
    net_handle_t bus;
    CHECK(start(words[1], secret_key, public_key, &bus) == NET_SUCCESS);
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    return 0;
}
