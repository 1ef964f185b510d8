/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* An event loop that waits for a subscription and a timer, and ends when it has received what a thread publishes.
   epoll EVENTS */
#include <net.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int events_wanted;

static void *publish(void *bus) {
    for (int i = 0; i < events_wanted; i++)
        if (net_ingest(bus, "{\"price\":101}", 13) != NET_SUCCESS) fprintf(stderr, "%s\n", net_last_error());
    return NULL;
}

int main(int count, char **words) {
    if (count != 2) return 2;
    events_wanted = atoi(words[1]);
    net_handle_t bus;
    net_subscription_t *subscription;
    if (net_init_ex("{\"num_shards\":1}", &bus) != NET_SUCCESS ||
        net_subscribe(bus, "{\"from\":\"now\"}", &subscription) != NET_SUCCESS) {
        fprintf(stderr, "%s\n", net_last_error());
        return 1;
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    int descriptor = net_subscription_fd(subscription);
    struct itimerspec each = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
    struct epoll_event of_bus = {.events = EPOLLIN, .data.fd = descriptor}, of_timer = {.events = EPOLLIN, .data.fd = timer};
    if (timerfd_settime(timer, 0, &each, NULL) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &of_bus) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &of_timer) != 0) {
        perror("epoll");
        return 1;
    }
    pthread_t publisher;
    if (pthread_create(&publisher, NULL, publish, bus) != 0) return 1;
    size_t received = 0, bytes = 0;
    while (received < (size_t)events_wanted) {
        struct epoll_event ready;
        if (epoll_wait(epoll, &ready, 1, -1) != 1) continue;
        if (ready.data.fd == timer) {
            uint64_t ticks;
            if (read(timer, &ticks, sizeof ticks) == sizeof ticks) fprintf(stderr, "%zu events so far\n", received);
            continue;
        }
        net_event_t events[256];
        int got = net_next(subscription, events, 256, 0); /* once for each time it is readable */
        if (got < 0) return 1;
        for (int i = 0; i < got; i++, received++) bytes += events[i].raw_len;
    }
    printf("%zu events, %zu bytes\n", received, bytes);
    pthread_join(publisher, NULL);
    epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, NULL); /* before the subscription ends */
    net_unsubscribe(subscription);
    close(timer);
    close(epoll);
    return net_shutdown(bus) == NET_SUCCESS ? 0 : 1;
}
