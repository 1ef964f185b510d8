/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Preloaded where a program runs under valgrind, which runs one thread at a time and does not know that io_uring_enter(2) may block:
   everything would stand still there. The wait is made by poll(2), of which it knows. */
#define _GNU_SOURCE

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/syscall.h>

static long kernel(long number, const long *a) {
    register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    long answer;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return answer;
}

long syscall(long number, ...) {
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    if (number == SYS_io_uring_enter && a[2] > 0) {
        const long submit[6] = {a[0], a[1], 0, 0, 0, 0};
        long submitted = a[1] > 0 ? kernel(number, submit) : 0;
        if (submitted >= 0) {
            struct pollfd ring = {.fd = (int)a[0], .events = POLLIN};
            poll(&ring, 1, -1);
        }
        const long wait[6] = {a[0], 0, 0, a[3], a[4], a[5]};
        long waited = submitted < 0 ? submitted : kernel(number, wait);
        if (waited >= 0) {
            return submitted;
        }
        errno = (int)-waited;
        return -1;
    }
    long answer = kernel(number, a);
    if (answer < 0 && answer > -4096) {
        errno = (int)-answer;
        return -1;
    }
    return answer;
}
