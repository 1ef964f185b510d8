/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* usage: memlock <bytes> [unprivileged]. With this limit of locked memory, soft and hard, a bus works, or the error
   names the limit and the cure. */
#define _GNU_SOURCE

#include "check.h"

#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    struct rlimit limit = {strtoul(argv[1], NULL, 10), strtoul(argv[1], NULL, 10)};
    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (argc > 2 && geteuid() == 0) {
        CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    }
    net_handle_t bus = NULL;
    int code = net_init_ex("{\"num_shards\":2}", &bus);
    if (code == NET_SUCCESS) {
        CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
        CHECK(net_flush(bus) == NET_SUCCESS);
        CHECK(read_to_the_end(bus, 10, NULL, NULL) == 1);
        CHECK(net_shutdown(bus) == NET_SUCCESS);
        puts("works");
        return 0;
    }
    CHECK(code == NET_ERR_NO_IO_URING && bus == NULL);
    CHECK(strstr(net_last_error(), "RLIMIT_MEMLOCK") != NULL && strstr(net_last_error(), "ulimit -l") != NULL);
    puts("says so");
    return 0;
}
