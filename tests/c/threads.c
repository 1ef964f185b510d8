/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Prints, for a bus of three shards, the name and the blocked signals of every thread but the first; then opens and
   closes 50 buses, after each of which the process has as many threads and open files as before. */
#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <dirent.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

static int entries(const char *folder) {
    DIR *directory = opendir(folder);
    CHECK(directory != NULL);
    int count = 0;
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void print_thread(const char *id) {
    char path[300], line[256], name[64] = "", blocked[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/status", id);
    FILE *status = fopen(path, "r");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL) {
        sscanf(line, "Name: %63s", name);
        sscanf(line, "SigBlk: %63s", blocked);
    }
    fclose(status);
    printf("%s %s\n", name, blocked);
}

static void print_threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    char self[32];
    snprintf(self, sizeof self, "%d", (int)getpid());
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        if (task->d_name[0] != '.' && strcmp(task->d_name, self) != 0) {
            print_thread(task->d_name);
        }
    }
    closedir(tasks);
}

/* A thread that was joined leaves the process a moment later. */
static void wait_for(const char *folder, int expected) {
    time_t give_up = time(NULL) + 30;
    while (entries(folder) != expected) {
        CHECK(time(NULL) < give_up);
        sched_yield();
    }
}

int main(void) {
    net_handle_t bus;
    CHECK(net_init_ex("{\"num_shards\":3}", &bus) == NET_SUCCESS);
    CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS && net_flush(bus) == NET_SUCCESS);
    print_threads();
    CHECK(net_shutdown(bus) == NET_SUCCESS);
    wait_for("/proc/self/task", 3);
    int files = entries("/proc/self/fd");
    for (int round = 0; round < 50; round++) {
        CHECK(net_init_ex("{\"num_shards\":2}", &bus) == NET_SUCCESS);
        CHECK(net_ingest_raw(bus, "event", 5) == NET_SUCCESS);
        CHECK(net_shutdown(bus) == NET_SUCCESS);
        wait_for("/proc/self/task", 3);
        wait_for("/proc/self/fd", files);
    }
    return 0;
}
