/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Events are written into the place where the bus will read them, without a copy; one is given up.
   claim EVENTS */
#include <net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int count, char **words) {
    if (count != 2) return 2;
    net_handle_t bus;
    if (net_init_ex("{\"num_shards\":1}", &bus) != NET_SUCCESS) {
        fprintf(stderr, "%s\n", net_last_error());
        return 1;
    }
    for (int i = 0; i < atoi(words[1]); i++) {
        net_claim_t claim; /* until it has ended, this thread publishes nothing else to that shard */
        if (net_claim(bus, "orders", 6, 32, &claim) != NET_SUCCESS) {
            fprintf(stderr, "%s\n", net_last_error());
            return 1;
        }
        memset(claim.data, '.', claim.len); /* all of it belongs to the event */
        int length = snprintf(claim.data, claim.len, "order %d", i);
        memset((char *)claim.data + length, '.', 1); /* over the NUL */
        if (i == 1) {
            net_abort(&claim); /* changed our mind */
        } else if (net_commit(&claim, NULL) != NET_SUCCESS) {
            fprintf(stderr, "%s\n", net_last_error());
            return 1;
        }
    }
    net_poll_result_t page;
    if (net_flush(bus) != NET_SUCCESS || net_poll_ex(bus, 100, NULL, &page) != NET_SUCCESS) {
        fprintf(stderr, "%s\n", net_last_error());
        return 1;
    }
    for (size_t i = 0; i < page.count; i++) printf("%.*s\n", (int)page.events[i].raw_len, page.events[i].raw);
    net_free_poll_result(&page);
    return net_shutdown(bus) == NET_SUCCESS ? 0 : 1;
}
