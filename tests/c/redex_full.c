/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Named files on a full disk: an append that has waited in vain is told why, and appends go on once there is space again.
 * Arguments: the directory of the files, and a file that takes the space. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"
#include "net_cortex.h"

#include <unistd.h>

static char event[64 << 10];

int main(int argc, char **argv) {
    CHECK(argc == 3);
    net_redex_t *redex = net_redex_new(argv[1]);
    net_redex_file_t *file;
    CHECK(redex != NULL && net_redex_open_file(redex, "orders/eu", NULL, &file) == NET_SUCCESS);
    uint64_t stored = 0, len = 0, seq = 0;
    int code;
    while ((code = net_redex_file_append(file, event, sizeof event, NULL)) == NET_SUCCESS) {
        stored++;
    }
    CHECK(code == NET_ERR_TIMEOUT);
    CHECK(strstr(net_last_error(), "orders/eu: ") != NULL);
    CHECK(strstr(net_last_error(), "No space left on device") != NULL);
    CHECK(stored > 0 && net_redex_file_len(file, &len) == NET_SUCCESS && len == stored);
    CHECK(unlink(argv[2]) == 0);
    CHECK(net_redex_file_append(file, event, sizeof event, &seq) == NET_SUCCESS && seq > stored);
    CHECK(net_redex_file_sync(file) == NET_SUCCESS);
    CHECK(net_redex_file_len(file, &len) == NET_SUCCESS && len == stored + 1);
    CHECK(net_redex_file_free(file) == NET_SUCCESS && net_redex_free(redex) == NET_SUCCESS);
    return 0;
}
