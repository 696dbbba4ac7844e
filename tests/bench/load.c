#define _GNU_SOURCE
#include "tests/bench/load.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES  (1u << 20)
#define PATIENCE 5000000000u /* ns, for an answer that is due, and for connections to stand */

#define LOST_MAX 100 /* connections of an open load before it is given up */

static uint8_t filler[1 << 18]; /* what S and G carry */

/* What a server knows of a connection stands in its `user`: the service. */
enum { NONE, SINK, SOURCE, ECHO };

uint64_t load_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t after(double seconds) {
    return load_now() + (uint64_t)(seconds * 1e9);
}

/* ---- what is asked for ---- */

static bool set_kind(struct load *l, const char *word) {
    static const char *const words[] = {"", "serve", "send", "receive", "ping", "open", "hold"};
    for (unsigned i = LOAD_SERVE; i <= LOAD_HOLD; i++)
        if (strcmp(words[i], word) == 0) {
            l->kind = (enum load_kind)i;
            return true;
        }
    return false;
}

bool load_argument(struct load *l, const char *argument) {
    const char *value = strchr(argument, '=');
    if (value == NULL)
        return set_kind(l, argument);
    size_t len = (size_t)(value++ - argument);
    uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    const struct {
        const char *name;
        uint32_t *at;
    } numbers[] = {{"ports", &l->ports}, {"streams", &l->streams}, {"window", &l->window}, {"count", &l->count}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strlen(numbers[i].name) == len && memcmp(numbers[i].name, argument, len) == 0) {
            *numbers[i].at = number;
            return true;
        }
    if (strncmp(argument, "port=", 5) == 0)
        l->port = (uint16_t)number;
    else if (strncmp(argument, "seconds=", 8) == 0)
        l->seconds = strtod(value, NULL);
    else
        return strncmp(argument, "to=", 3) == 0 && inet_pton(AF_INET, value, &l->to) == 1;
    return true;
}

const char *load_ready(struct load *l) {
    if (l->kind == LOAD_NONE || l->port == 0)
        return "what to do, and port=";
    if (l->kind != LOAD_SERVE && l->to == 0)
        return "to=";
    if ((l->kind == LOAD_HOLD) != (l->count > 0))
        return "count= for hold, and for nothing else";
    if (l->ports == 0)
        l->ports = 1;
    if (l->ports > LOAD_PORTS)
        return "fewer ports";
    if (l->streams == 0)
        l->streams = 1;
    if (l->window == 0)
        l->window = l->kind == LOAD_OPEN ? 16 : 64;
    if (l->seconds <= 0)
        l->seconds = 1;
    if (l->kind == LOAD_PING)
        l->streams = 1;
    else if (l->kind == LOAD_OPEN)
        l->streams = l->window;
    else if (l->kind == LOAD_HOLD)
        l->streams = l->count;
    l->slots = calloc(l->streams, sizeof *l->slots);
    l->samples = l->kind == LOAD_PING ? calloc(SAMPLES, sizeof *l->samples) : NULL;
    return l->slots == NULL || (l->kind == LOAD_PING && l->samples == NULL) ? "memory" : NULL;
}

/* ---- what is printed ---- */

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_times(struct load *l) {
    uint32_t n = l->finished < SAMPLES ? l->finished : SAMPLES;
    qsort(l->samples, n, sizeof *l->samples, by_size);
    if (n > 0)
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f", l->samples[n / 2] / 1e3, l->samples[(uint64_t)n * 99 / 100] / 1e3);
}

static void print(struct load *l, uint64_t until, bool last) {
    static const char *const counted[] = {"", "", "streams", "streams", "count", "count", "held"};
    printf("{\"%s\": %u, \"lost\": %u, \"bytes\": %llu, \"seconds\": %.6f", counted[l->kind],
           l->kind == LOAD_HOLD ? l->standing : l->finished, l->lost, (unsigned long long)l->bytes, (double)(until - l->first) / 1e9);
    if (l->kind == LOAD_PING)
        print_times(l);
    if (l->kind == LOAD_HOLD && l->stack.accounted != NULL)
        printf(", \"accounted\": %zu", l->stack.accounted(l->stack.ctx));
    printf("}\n");
    fflush(stdout);
    l->done = last;
}

/* ---- the server ---- */

static void pour(struct load *l, void *conn) {
    while (l->stack.write(l->stack.ctx, conn, filler, sizeof filler) == sizeof filler)
        ;
}

static void *serve(struct load *l, void *conn, void *user, const uint8_t *data, size_t len) {
    uintptr_t service = (uintptr_t)user;
    if (service == NONE) {
        service = data[0] == 'S' ? SINK : data[0] == 'G' ? SOURCE : ECHO;
        if (service == SOURCE)
            pour(l, conn);
    }
    if (service == ECHO && l->stack.write(l->stack.ctx, conn, data, len) < len)
        l->lost++; /* whoever sends so much to be echoed does not get all of it */
    return (void *)service;
}

static void serve_end(struct load *l, void *conn, void *user) {
    if ((uintptr_t)user == SINK)
        (void)l->stack.write(l->stack.ctx, conn, filler, 1);
    l->stack.end(l->stack.ctx, conn);
}

/* ---- the client: connections ---- */

static void open_slot(struct load *l, struct load_slot *slot) {
    slot->began = load_now();
    slot->conn = l->stack.connect(l->stack.ctx, l->to, (uint16_t)(l->port + l->begun++ % l->ports), slot);
    if (slot->conn == NULL)
        load_gone(l, slot);
}

static void write_byte(struct load *l, struct load_slot *slot, uint8_t byte) {
    slot->began = load_now();
    if (l->stack.write(l->stack.ctx, slot->conn, &byte, 1) != 1)
        l->lost++;
}

static void send_more(struct load *l, void *conn) {
    for (size_t n = sizeof filler; n == sizeof filler;)
        l->bytes += n = l->stack.write(l->stack.ctx, conn, filler, sizeof filler);
}

/* hold: the next connections to be opened, or to carry their byte. */
static void hold_more(struct load *l) {
    if (l->checking) {
        for (; l->begun < l->count && l->begun - l->finished < l->window; l->begun++)
            if (l->slots[l->begun].conn != NULL)
                write_byte(l, &l->slots[l->begun], 'E');
            else
                l->finished++;
        if (l->finished == l->count)
            print(l, load_now(), true);
        return;
    }
    uint32_t window = l->standing + l->lost > 0 ? l->window : 1; /* what finds the server's hardware address goes first, alone */
    while (l->begun < l->count && l->begun - l->standing - l->lost < window)
        open_slot(l, &l->slots[l->begun]);
    if (l->standing + l->lost == l->count && l->until == LOAD_NEVER) {
        print(l, load_now(), false);
        l->until = after(l->seconds);
    }
}

void load_begin(struct load *l) {
    l->first = load_now();
    l->until = l->kind == LOAD_HOLD || l->kind == LOAD_SERVE ? LOAD_NEVER : l->first + PATIENCE;
    if (l->kind == LOAD_SERVE) {
        printf("ready\n");
        fflush(stdout);
    } else if (l->kind == LOAD_HOLD) {
        hold_more(l);
    } else {
        open_slot(l, &l->slots[0]); /* what finds the server's hardware address goes first, alone */
    }
}

/* The first connection stands: now the others. */
static void open_others(struct load *l) {
    l->first = load_now();
    l->until = after(l->seconds);
    for (uint32_t i = 1; i < l->streams; i++)
        open_slot(l, &l->slots[i]);
}

/* ---- the client: what happens ---- */

void *load_opened(struct load *l, void *conn, void *user) {
    struct load_slot *slot = user;
    if (l->kind == LOAD_SERVE)
        return (void *)(uintptr_t)NONE;
    slot->conn = conn;
    if (l->standing++ == 0 && l->kind != LOAD_HOLD)
        open_others(l);
    if (l->kind == LOAD_SEND || l->kind == LOAD_RECEIVE) {
        write_byte(l, slot, l->kind == LOAD_SEND ? 'S' : 'G');
        if (l->kind == LOAD_SEND)
            send_more(l, conn);
    } else if (l->kind == LOAD_HOLD) {
        slot->began = 0;
        hold_more(l);
    } else {
        write_byte(l, slot, 'E');
    }
    return slot;
}

static void pinged(struct load *l, struct load_slot *slot) {
    uint64_t now = load_now();
    l->samples[l->finished++ % SAMPLES] = (uint32_t)(now - slot->began);
    if (now >= l->until)
        print(l, now, true);
    else
        write_byte(l, slot, 'E');
}

void *load_data(struct load *l, void *conn, void *user, const uint8_t *data, size_t len) {
    if (l->kind == LOAD_SERVE)
        return len > 0 ? serve(l, conn, user, data, len) : user;
    switch (l->kind) {
    case LOAD_RECEIVE:
        l->bytes += len;
        break;
    case LOAD_PING:
        pinged(l, user);
        break;
    case LOAD_OPEN:
        l->stack.end(l->stack.ctx, conn);
        break;
    case LOAD_HOLD:
        l->finished++;
        l->bytes++;
        ((struct load_slot *)user)->began = 0;
        hold_more(l);
        break;
    default:
        break;
    }
    return user;
}

void load_room(struct load *l, void *conn, void *user) {
    if (l->kind == LOAD_SERVE && (uintptr_t)user == SOURCE)
        pour(l, conn);
    else if (l->kind == LOAD_SEND && load_now() < l->until)
        send_more(l, conn);
}

void load_ended(struct load *l, void *conn, void *user) {
    uint64_t now = load_now();
    if (l->kind == LOAD_SERVE) {
        serve_end(l, conn, user);
    } else if (l->kind == LOAD_OPEN) {
        ((struct load_slot *)user)->conn = NULL;
        l->finished++;
        if (now >= l->until && !l->done)
            print(l, now, true);
        else if (!l->done)
            open_slot(l, user);
    } else if (l->kind == LOAD_SEND) {
        ((struct load_slot *)user)->conn = NULL;
        if (++l->finished == l->streams)
            print(l, now, true);
    } else {
        l->stack.end(l->stack.ctx, conn);
        load_gone(l, user);
    }
}

/* load_expire goes on with the others. */
static void hold_lost(struct load *l, const struct load_slot *slot) {
    if (slot->began == 0)
        l->standing--;
    else if (l->checking)
        l->standing--, l->finished++;
}

void load_gone(struct load *l, void *user) {
    struct load_slot *slot = user;
    if (l->kind == LOAD_SERVE || l->done)
        return;
    slot->conn = NULL;
    l->lost++;
    if (l->kind == LOAD_HOLD)
        return hold_lost(l, slot);
    l->finished++;
    if (l->kind == LOAD_OPEN && load_now() < l->until && l->lost < LOST_MAX)
        return open_slot(l, slot);
    if (l->kind != LOAD_OPEN && l->finished < l->streams)
        return;
    print(l, load_now(), true);
}

/* ---- time ---- */

uint64_t load_deadline(const struct load *l) {
    if (l->kind == LOAD_HOLD && (l->checking || l->until == LOAD_NEVER))
        return l->tick;
    if (l->kind == LOAD_PING || l->kind == LOAD_OPEN)
        return l->until + PATIENCE;
    return l->until;
}

/* The time of sending is over: each stream ends once, and its server has PATIENCE to say that it has got everything. */
static void stop_sending(struct load *l) {
    if (l->checking) {
        l->lost += l->streams - l->finished;
        print(l, l->until - PATIENCE, true);
        return;
    }
    l->checking = true;
    l->until = load_now() + PATIENCE;
    for (uint32_t i = 0; i < l->streams; i++)
        if (l->slots[i].conn != NULL)
            l->stack.end(l->stack.ctx, l->slots[i].conn);
}

/* Waits in vain are ended: for connections to stand, or for their bytes. */
static void expire_hold(struct load *l) {
    uint64_t now = load_now();
    l->tick = now + 10000000;
    if (!l->checking && now >= l->until) {
        l->checking = true;
        l->begun = l->finished = 0;
        l->first = now;
    } else if (now - l->first > PATIENCE * (1 + l->count / 10000)) {
        print(l, now, l->checking || l->until != LOAD_NEVER);
        l->done = true;
    }
    if (!l->done)
        hold_more(l);
}

void load_expire(struct load *l) {
    if (l->done || load_now() < load_deadline(l))
        return;
    if (l->kind == LOAD_HOLD)
        expire_hold(l);
    else if (l->kind == LOAD_SEND && l->standing > 0)
        stop_sending(l);
    else
        print(l, load_now(), true);
}

void load_end(struct load *l) {
    for (uint32_t i = 0; i < l->streams; i++)
        if (l->slots[i].conn != NULL)
            l->stack.reset(l->stack.ctx, l->slots[i].conn);
}
