/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* usage: denied <io_uring|membarrier> <errno>. Forbids the system call to this process with a seccomp filter and
   starts a bus; prints the code and the detail. Nothing that was refused leaves a thread behind, and the process
   goes on. */
#define _GNU_SOURCE

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void forbid(unsigned number, unsigned error) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof program / sizeof *program, program};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static int threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    int count = -2;
    while (readdir(tasks) != NULL) {
        count++;
    }
    closedir(tasks);
    return count;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    unsigned error = strcmp(argv[2], "EPERM") == 0 ? EPERM : ENOSYS;
    forbid(strcmp(argv[1], "io_uring") == 0 ? SYS_io_uring_setup : SYS_membarrier, error);
    net_handle_t bus = NULL;
    int code = net_init_ex("{\"num_shards\":1}", &bus);
    CHECK(bus == NULL && threads() == 1);
    CHECK(net_init("{}") == NULL);
    printf("%d %s\n", code, net_last_error());
    return 0;
}
