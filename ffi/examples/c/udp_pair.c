/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Two buses that exchange events, encrypted, over UDP; here both are of one process, so that it needs no key files.
   udp_pair PORT EVENTS */
#include <net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Any 32 random bytes that both sides know. */
static const char *psk = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static int fail(void) {
    fprintf(stderr, "%s\n", net_last_error());
    return 1;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    const char *port = words[1];
    int events = atoi(words[2]), had = 0;
    char *keys = net_generate_keypair(); /* {"public_key":"…","secret_key":"…"} */
    if (keys == NULL) return fail();
    char public_key[65] = "", config[1024];
    sscanf(strstr(keys, "\"public_key\":\"") + 14, "%64[0-9a-f]", public_key);

    net_handle_t responder, initiator;
    snprintf(config, sizeof config,
             "{\"num_shards\":1,\"net\":{\"role\":\"responder\",\"bind_addr\":\"127.0.0.1:%s\",\"psk\":\"%s\",%s}",
             port, psk, keys + 1);
    net_free_string(keys);
    if (net_init_ex(config, &responder) != NET_SUCCESS) return fail();
    snprintf(config, sizeof config,
             "{\"num_shards\":1,\"net\":{\"role\":\"initiator\",\"peer_addr\":\"127.0.0.1:%s\",\"psk\":\"%s\","
             "\"peer_public_key\":\"%s\"}}",
             port, psk, public_key);
    if (net_init_ex(config, &initiator) != NET_SUCCESS) return fail();

    net_subscription_t *received;
    if (net_subscribe(responder, "{\"from\":\"start\"}", &received) != NET_SUCCESS) return fail();
    for (int i = 0; i < events; i++) {
        char event[64];
        int length = snprintf(event, sizeof event, "{\"number\":%d}", i);
        if (net_ingest(initiator, event, (size_t)length) != NET_SUCCESS) return fail();
    }
    while (had < events) {
        net_event_t buffer[16];
        int got = net_next(received, buffer, 16, -1);
        if (got < 0) return fail();
        for (int i = 0; i < got; i++, had++) printf("%.*s\n", (int)buffer[i].raw_len, buffer[i].raw);
    }
    if (net_flush(initiator) != NET_SUCCESS) return fail(); /* the peer has stored everything */
    net_unsubscribe(received);
    if (net_shutdown(initiator) != NET_SUCCESS) return fail();
    return net_shutdown(responder) == NET_SUCCESS ? 0 : fail();
}
