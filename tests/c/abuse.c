/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Every function with every argument as it must not be, one at a time: a code or nothing, and never a fault. Outputs are left alone by
   what fails, and the sums agree after each. */
#define _GNU_SOURCE

#include "abuse.h"

enum outcome { FAILS, WORKS, EITHER };

static struct world world;
static unsigned cases;
static unsigned long long published;

static void count(const struct row *row, intptr_t answer) {
    published += row->events < 0 ? (unsigned long long)answer : (unsigned long long)row->events;
}

/* Outputs that were to be written on success only are as they were. */
static void check_untouched(const struct row *row, const uintptr_t *a, unsigned bad, intptr_t answer) {
    for (unsigned i = 0; row->kinds[i] != 0; i++) {
        int is_output = row->kinds[i] == 'W' || row->kinds[i] == 'w' || row->kinds[i] == 'O';
        /* A poll that does not fit says how much room it takes, and a batch which entries it did not take. */
        if (i == bad || !is_output || row->events < 0 || (int)answer == NET_ERR_BUFFER_TOO_SMALL) {
            continue;
        }
        for (size_t at = 0; at < (row->kinds[i] == 'O' ? 256 : row->output); at++) {
            CHECK(((const unsigned char *)a[i])[at] == FILL);
        }
    }
}

/* One call with one bad argument; none where `bad` is no argument's. */
static void try(const struct row *row, unsigned bad, const char *what, uintptr_t value, enum outcome expected) {
    uintptr_t a[ARGUMENTS + 1] = {0};
    make_arguments(&world, row, a);
    if (bad < ARGUMENTS) {
        a[bad] = value;
    }
    intptr_t answer = row->call(a);
    int failed = has_failed(row, answer);
    if ((expected == FAILS && !failed && row->answer != 'v') || (expected == WORKS && failed)) {
        fprintf(stderr, "%s with argument %u %s answers %ld (%s)\n", row->name, bad, what, (long)answer, net_last_error());
        exit(1);
    }
    if (failed) {
        check_untouched(row, a, bad, answer);
    } else {
        count(row, answer);
        if (bad >= ARGUMENTS || (row->kinds[bad] != 'W' && row->kinds[bad] != 'w')) {
            give_back(row, a, answer);
        }
    }
    end_what_was_made(&world);
    cases++;
}

static void renew(void) {
    close_world(&world);
    open_world(&world);
    published = 0;
}

static void try_handles(const struct row *row, unsigned i) {
    static struct world ended;
    if (ended.bus == NULL) {
        open_world(&ended);
        close_world(&ended);
    }
    uintptr_t a[ARGUMENTS + 1] = {0};
    char object[64] = {0};
    make_arguments(&world, row, a);
    end_what_was_made(&world);
    /* What frees a redex, a file or a tail takes nothing, and what was freed, for freed. */
    int is_lenient = strcmp(row->name, "net_redex_free") == 0 || strcmp(row->name, "net_redex_file_free") == 0 ||
                     strcmp(row->name, "net_redex_tail_free") == 0;
    try(row, i, "NULL", 0, is_lenient ? EITHER : FAILS);
    try(row, i, "ended", handle_of(&ended, row->kinds[i]), is_lenient ? EITHER : FAILS);
    try(row, i, "misaligned", a[i] + 1, FAILS);
    try(row, i, "of another slot", a[i] + 64, FAILS);
    for (unsigned bit = 8; bit < 64; bit += 7) {
        try(row, i, "forged", a[i] ^ (uintptr_t)1 << bit, FAILS);
    }
    try(row, i, "huge", UINTPTR_MAX, FAILS);
    try(row, i, "an object of the caller's", (uintptr_t)object, FAILS);
    const uintptr_t others[] = {(uintptr_t)world.bus,   (uintptr_t)world.producer, (uintptr_t)world.subscription, (uintptr_t)world.filter,
                                (uintptr_t)world.redex, (uintptr_t)world.file,     (uintptr_t)world.tail};
    for (unsigned n = 0; n < sizeof others / sizeof others[0]; n++) {
        if (others[n] != a[i]) {
            try(row, i, "of another kind", others[n], FAILS);
        }
    }
}

static void try_texts(const struct row *row, unsigned i, char kind) {
    char *bad = guarded(&world, ARGUMENTS - 1, 0);
    try(row, i, "NULL", 0, kind == 'j' || kind == 'o' ? WORKS : FAILS);
    memcpy(bad - 3, "\"\xff", 3);
    try(row, i, "not UTF-8", (uintptr_t)(bad - 3), FAILS);
    bad[-1] = 0;
    try(row, i, "empty", (uintptr_t)(bad - 1), EITHER);
    if (kind == 'J' || kind == 'j') {
        const char *text = text_of(row, i);
        size_t len = strlen(text);
        memcpy(bad - len, text, len - 1);
        bad[-1] = 0;
        try(row, i, "one byte short", (uintptr_t)(bad - len), FAILS);
        memset(bad - SLOT, '[', SLOT - 1);
        try(row, i, "deep", (uintptr_t)(bad - SLOT), FAILS);
    }
    memset(bad - SLOT, 'a', SLOT - 1);
    try(row, i, "huge", (uintptr_t)(bad - SLOT), kind == 'T' && row->kinds[0] == 'd' ? WORKS : FAILS);
}

static void try_bytes(const struct row *row, unsigned i, char kind) {
    char *bad = guarded(&world, ARGUMENTS - 1, 0);
    try(row, i, "NULL", 0, FAILS);
    if (kind == 'B') {
        bad[-1] = '\xff';
        size_t len = strlen(row->text);
        memset(bad - len, '\xff', len);
        try(row, i, "not UTF-8", (uintptr_t)(bad - len), strncmp(row->name, "net_redex", 9) == 0 ? WORKS : FAILS);
    } else if (kind == 'A') {
        const char *entries[ENTRIES] = {NULL, "entry"};
        memcpy(bad - sizeof entries, entries, sizeof entries);
        try(row, i, "with NULL in it", (uintptr_t)(bad - sizeof entries), EITHER);
        try(row, i, "misaligned", (uintptr_t)(bad - sizeof entries - 1), FAILS);
    } else if (kind == 'Z') {
        const size_t lens[ENTRIES] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1};
        memcpy(bad - sizeof lens, lens, sizeof lens);
        try(row, i, "with impossible lengths", (uintptr_t)(bad - sizeof lens), EITHER);
        try(row, i, "misaligned", (uintptr_t)(bad - sizeof lens - 1), FAILS);
    }
}

static void try_lengths(const struct row *row, unsigned i, char kind) {
    const uintptr_t huge[] = {SIZE_MAX, (uintptr_t)PTRDIFF_MAX + 1};
    for (unsigned n = 0; n < 2; n++) {
        try(row, i, "impossible", huge[n], FAILS);
    }
    if (kind == 'k') {
        try(row, i, "above any key's", (1 << 20) + 1, FAILS);
        try(row, i, "far above any key's", PTRDIFF_MAX, FAILS);
    }
    if (kind == 'n' && strncmp(row->name, "net_redex", 9) != 0) {
        /* More than an event may have, which is said before it is read. */
        try(row, i, "above max_event_bytes", 4097, FAILS);
        try(row, i, "far above max_event_bytes", PTRDIFF_MAX, FAILS);
    }
    if (kind == 'n') {
        try(row, i, "one byte short", strlen(row->text) - 1, row->text[0] == '{' ? FAILS : WORKS);
    }
    if (kind == 'm') {
        for (uintptr_t len = 0; len < 4; len++) {
            try(row, i, "nothing", len, FAILS);
        }
    }
    try(row, i, "0", 0, EITHER);
}

static void try_outputs(const struct row *row, unsigned i, char kind) {
    int is_failed_len = row->call == call_net_ingest_raw_batch_ex && i == 5;
    try(row, i, "NULL", 0, kind == 'w' ? WORKS : FAILS);
    if (kind != 'O' && !is_failed_len) {
        try(row, i, "misaligned", (uintptr_t)guarded(&world, i, row->output) - 1, FAILS);
    }
}

static void try_numbers(const struct row *row, unsigned i, char kind) {
    const uintptr_t numbers[] = {0, UINT64_MAX, INT64_MAX, (uintptr_t)INT64_MAX + 1, INT32_MAX, (uintptr_t)INT32_MAX + 1};
    if (kind == 'i') {
        int waits = strstr(row->name, "_next") != NULL;
        try(row, i, "0", 0, EITHER);
        if (!waits) {
            try(row, i, "negative", (uintptr_t)-1, FAILS);
            try(row, i, "most negative", (uintptr_t)(unsigned)INT32_MIN, FAILS);
        }
        return;
    }
    for (unsigned n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        try(row, i, "out of any range", numbers[n], EITHER);
    }
}

/* What is given back: nothing, an object of the caller's, and what has been given back. */
static void try_returns(const struct row *row, unsigned i, char kind) {
    char object[64] = {0};
    try(row, i, "NULL", 0, EITHER);
    try(row, i, "an object of the caller's", (uintptr_t)object, EITHER);
    if (kind == 'C') {
        try(row, i, "misaligned", (uintptr_t)guarded(&world, i, sizeof(net_claim_t)) - 1, FAILS);
        for (unsigned word = 0; word < 4; word++) {
            net_claim_t claim;
            CHECK(net_claim(world.bus, "key", 3, 8, &claim) == NET_SUCCESS);
            net_claim_t forged = claim, ended = claim;
            forged.reserved[word] ^= 0x100;
            /* The argument's own claim is refused meanwhile. */
            try(row, i, "forged", (uintptr_t)&forged, FAILS);
            net_abort(&claim);
            try(row, i, "ended", (uintptr_t)&ended, FAILS);
        }
    } else if (kind == 'S') {
        try(row, i, "in the middle", (uintptr_t)object + 1, EITHER);
    }
}

static void abuse(const struct row *row) {
    renew();
    try(row, ARGUMENTS, "", 0, WORKS);
    for (unsigned i = 0; row->kinds[i] != 0; i++) {
        char kind = row->kinds[i];
        if (ends_something(row)) {
            renew();
        }
        if (strchr("bpsdrft", kind) != NULL) {
            try_handles(row, i);
        } else if (strchr("TJjo", kind) != NULL) {
            try_texts(row, i, kind);
        } else if (strchr("BKAZ", kind) != NULL) {
            try_bytes(row, i, kind);
        } else if (strchr("nkzm", kind) != NULL) {
            try_lengths(row, i, kind);
        } else if (strchr("WwO", kind) != NULL) {
            try_outputs(row, i, kind);
        } else if (strchr("iq", kind) != NULL) {
            try_numbers(row, i, kind);
        } else {
            try_returns(row, i, kind);
        }
    }
    if (!ends_something(row)) {
        CHECK(net_flush(world.bus) == NET_SUCCESS);
        CHECK(check_sums(world.bus) == published);
    }
}

int main(void) {
    open_world(&world);
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        abuse(&ROWS[i]);
    }
    close_world(&world);
    printf("%u functions, %u calls\n", (unsigned)ROW_COUNT, cases);
    return 0;
}
