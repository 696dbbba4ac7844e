/* How much a server may hold. */
#include "signpostd/core/budget.h"
#include "signpostd/core/ctl.h"
#include "signpostd/core/server_int.h"

void sp_limits_default(struct sp_limits *ret) {
    *ret = (struct sp_limits){
        .zones = 1024,
        .names = 2000000,
        .devices = 1000000,
        .leases = 2000000,
        .keys = 10000,
        .invites = 10000,
        .streams = 4096,
        .streams_per_prefix = 256,
        .updates_in_flight = 4096,
        .sessions = 100000,
        .channels = 200000,
        .channels_per_session = 256,
        .operator_request = 1u << 20,
        .prefixes = 8192,
        .outbox = 512u << 10,
        .reply = 256u << 10,
        .log_blocks = SP_LOG_GROUP_MAX,
        .memory = (size_t)4 << 30,
    };
}

bool sp_limits_ok(const struct sp_limits *l) {
    return l->channels_per_session > 0 && l->zones > 0 && l->names > 0 && l->updates_in_flight > 0 &&
           l->prefixes >= SP_PREFIX_WAYS && (l->prefixes & (l->prefixes - 1)) == 0 && l->outbox >= SP_OUTBOX_MIN &&
           l->reply >= SP_CTL_REPLY_MIN && l->log_blocks >= SP_LOG_GROUP_MIN && l->log_blocks <= SP_LOG_GROUP_MAX;
}

/* Measured (64-bit, in the size classes of sp_mem): the server without a zone, and its zone. What a device takes: KEY
 * and overlay address with their place in the tables (415), a leased address (190), a signature (113), and a third of
 * what is kept of a signed update for a quarter of an hour (340). A session with two keypairs and a profile. */
#define FIXED        ((size_t)2264 << 10)
#define FIXED_LARGE  ((size_t)5 << 20)
#define A_NAME       832
#define A_SESSION    4608
#define LARGE        ((size_t)64 << 20)
#define NAMES_MAX    2000000u
#define SESSIONS_MAX 100000u

static uint32_t at_most(size_t n, uint32_t most) {
    return n < most ? (uint32_t)n : most;
}

sp_err sp_limits_for(struct sp_limits *ret, size_t memory) {
    size_t fixed = memory < LARGE ? FIXED : FIXED_LARGE;
    if (memory < fixed + fixed / 8)
        return SP_ERR_FULL;
    struct sp_limits l;
    sp_limits_default(&l);
    if (memory < LARGE) {
        l.prefixes = 1024;
        l.outbox = SP_OUTBOX_MIN;
        l.reply = SP_CTL_REPLY_MIN;
        l.log_blocks = SP_LOG_GROUP_MIN;
        l.operator_request = 64u << 10;
    }
    l.names = at_most((memory - fixed) / 4 * 3 / A_NAME, NAMES_MAX);
    l.sessions = at_most((memory - fixed) / 4 / A_SESSION, SESSIONS_MAX);
    l.devices = l.names;
    l.leases = 2 * l.names;
    l.channels = 2 * l.sessions;
    l.keys = l.invites = at_most(16 + l.names / 32, 10000);
    l.zones = at_most(4 + memory / LARGE * 16, 1024);
    l.streams = l.streams_per_prefix = at_most(memory >> 19, 4096);
    l.updates_in_flight = at_most(memory >> 16, 4096);
    l.memory = memory;
    *ret = l;
    return SP_OK;
}

bool sp_limits_left(const struct sp_mem *mem, enum sp_left what) {
    static const uint8_t part[] = {
        [SP_LEFT_FOR_CHANGES] = 32, [SP_LEFT_FOR_SESSIONS] = 16, [SP_LEFT_FOR_SIGNATURES] = 8};
    return sp_mem_left(mem) >= mem->limit / part[what];
}
