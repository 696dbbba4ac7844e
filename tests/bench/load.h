/* Loads on a TCP stack, and the server for them: the same ones for every stack that `tests/bench/run tcp` compares. A program
 * is this and a stack below it: sockd.c (the kernel's), lwipd.c, ownd.c.
 *
 *   PROGRAM [STACK'S SETTING]... serve   port=P [ports=N]
 *   PROGRAM [STACK'S SETTING]... send    to=IPV4 port=P [seconds=S] [streams=N]     the server confirms the last byte
 *   PROGRAM [STACK'S SETTING]... receive to=IPV4 port=P [seconds=S] [streams=N]
 *   PROGRAM [STACK'S SETTING]... ping    to=IPV4 port=P [seconds=S]                 1 byte there and back, one after another
 *   PROGRAM [STACK'S SETTING]... open    to=IPV4 port=P [seconds=S] [window=N]      open, 1 byte each way, close; N at a time
 *   PROGRAM [STACK'S SETTING]... hold    to=IPV4 port=P [ports=N] [seconds=S] [window=N] count=N
 *
 * A server prints "ready"; the others print a line of JSON and end. hold prints one when all connections stand, and another
 * when S seconds later each of them has carried 1 byte each way.
 *
 * A client's first byte names the service: S takes what comes and answers the end with a byte, G sends without end, anything
 * else is echoed, and so is what follows it. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_NEVER UINT64_MAX
#define LOAD_PORTS 8

/* What the stack does for a load. A connection whose two halves have ended is the stack's to release, without a word. */
struct load_stack {
    void *ctx;
    void *(*connect)(void *ctx, uint32_t ip, uint16_t port, void *user); /* network order, host order; NULL: it cannot */
    size_t (*write)(void *ctx, void *conn, const uint8_t *data, size_t len); /* less than len: load_room is called later */
    void (*end)(void *ctx, void *conn);                                   /* no more bytes from us */
    void (*reset)(void *ctx, void *conn); /* no call for this connection comes after it */
    size_t (*accounted)(void *ctx);       /* bytes that the stack has in use by its own account; NULL: it keeps none */
};

enum load_kind { LOAD_NONE, LOAD_SERVE, LOAD_SEND, LOAD_RECEIVE, LOAD_PING, LOAD_OPEN, LOAD_HOLD };

/* A connection of the client's. */
struct load_slot {
    void *conn;
    uint64_t began;
};

struct load {
    struct load_stack stack;
    enum load_kind kind;
    uint32_t to;
    uint16_t port;
    uint32_t ports, streams, window, count;
    double seconds;

    struct load_slot *slots;
    uint32_t *samples; /* ping: ns */
    uint32_t begun, standing, finished, lost;
    uint64_t bytes, first, until;
    uint64_t tick;  /* hold: when to look again */
    bool checking;  /* hold: the bytes are under way; send: so are the confirmations */
    bool done;      /* the line is printed */
};

uint64_t load_now(void); /* ns */

/* Takes "serve", "send", ... or NAME=VALUE; false: not one of those above. */
bool load_argument(struct load *l, const char *argument);
/* What the load lacks, or NULL; then it can begin. */
const char *load_ready(struct load *l);
void load_begin(struct load *l);

/* What the stack tells. `user` is what connect was given, or what the last of these calls returned; NULL for a connection that a peer
 * has opened. All of `data` is taken. */
void *load_opened(struct load *l, void *conn, void *user);
void *load_data(struct load *l, void *conn, void *user, const uint8_t *data, size_t len);
void load_room(struct load *l, void *conn, void *user);
void load_ended(struct load *l, void *conn, void *user); /* the peer sends no more */
void load_gone(struct load *l, void *user);              /* reset, refused or given up */

/* When to call load_expire, by load_now. The program's loop ends when `done`. */
uint64_t load_deadline(const struct load *l);
void load_expire(struct load *l);
/* Resets what is left. */
void load_end(struct load *l);

#endif
