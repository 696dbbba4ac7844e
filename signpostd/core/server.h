/* The signpost: the server core behind the host contract (proto/base/host.h). */
#ifndef SP_CORE_SERVER_H
#define SP_CORE_SERVER_H

#include "proto/base/count.h"
#include "proto/base/host.h"
#include "proto/base/rng.h"
#include "proto/base/trace.h"
#include "signpostd/core/update.h"

#define SP_OPERATORS 4

struct sp_limits {
    uint32_t zones, names, devices, leases, keys, invites;
    uint32_t streams, streams_per_prefix; /* open TCP connections */
    uint32_t updates_in_flight;           /* accepted, not yet durable */
    uint32_t sessions;                    /* control sessions */
    uint32_t channels;                    /* of the relay */
    uint32_t channels_per_session;        /* peers that one session is brought together with at a time */
    uint32_t operator_request;            /* bytes of an operator's request from afar */
    uint32_t prefixes;                    /* strangers' networks whose budgets are told apart: a power of two, 8 or more */
    uint32_t outbox;                      /* bytes of answers that wait to be sent, at least 128 KiB */
    uint32_t reply;                       /* bytes of a reply to an operator, at least 64 KiB */
    uint32_t log_blocks;                  /* written to the log at once, SP_LOG_GROUP_MIN to SP_LOG_GROUP_MAX */
    size_t memory;                        /* bytes of chunks */
};
void sp_limits_default(struct sp_limits *ret);
/* What fits into so many bytes: tables such that three quarters of what the buffers leave are for names, each with a KEY, an address,
 * a leased one and a signature, and a quarter is for sessions. Below 64 MiB the least of buffers. ERR_FULL: too little for any. */
SP_CHECK sp_err sp_limits_for(struct sp_limits *ret, size_t memory);

struct sp_server_config {
    struct sp_limits limits;
    struct sp_budgets budgets;
    struct sp_grant grant;
    uint8_t seed[SP_RNG_SEED];
    uint64_t disk_blocks; /* 0: no disk, serve from memory */
    bool disk_format;     /* the disk is new and blank */
    sp_duration tcp_idle, tcp_first, tcp_stall; /* idle connection; first message; a reader that takes nothing */
    uint16_t udp_size_max;
    uint8_t nsid[64];
    uint8_t nsid_len;
    uint8_t operators[SP_OPERATORS][SP_ED25519_PUB]; /* who may operate it from afar */
    uint8_t operator_count;
    bool wildcard_ok; /* reserved, false */
    struct sp_trace trace;
};
void sp_server_config_default(struct sp_server_config *ret);

/* Where what changes is kept: MEMORY, there is no disk; OPENING, its log is being replayed; DURABLE; FAILED, updates are
 * refused and queries answered from what was durable. */
enum sp_storage { SP_STORAGE_MEMORY, SP_STORAGE_OPENING, SP_STORAGE_DURABLE, SP_STORAGE_FAILED };

struct sp_storage_state {
    enum sp_storage storage;
    bool full;          /* the last change that would have made the state larger found no room, and was refused */
    uint64_t blocks;    /* of the disk, that the log was laid out for; 0 before it is known */
    uint64_t written;   /* the last record that is durable */
    uint64_t unwritten; /* records after it; of a disk that failed: taken back */
};

struct sp_server;
SP_CHECK sp_err sp_server_new(struct sp_server **ret, const struct sp_server_config *config, sp_instant now, sp_wall wall);
/* Wipes keys and gives all chunks back. */
void sp_server_free(struct sp_server *s);

SP_CHECK sp_err sp_server_input(struct sp_server *s, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken);
void sp_server_expire(struct sp_server *s, sp_instant now, sp_wall wall);
sp_instant sp_server_deadline(const struct sp_server *s);
size_t sp_server_output(struct sp_server *s, sp_instant now, struct sp_out *out, size_t n);
bool sp_server_event(struct sp_server *s, struct sp_event *ret);

/* The log has been replayed and queries are answered from it; before, they get SERVFAIL with EDE Not Ready. */
bool sp_server_ready(const struct sp_server *s);
/* Asks for a clean end: pending updates are made durable and acknowledged, then SP_EV_STOP. */
void sp_server_stop(struct sp_server *s, sp_instant now);
/* The host's own counters, which the metrics tell as well. The list, its texts and counters are borrowed until another is given. */
void sp_server_counts(struct sp_server *s, const struct sp_count *counts, size_t n);
/* For the host to tell its operator. */
void sp_server_storage(const struct sp_server *s, struct sp_storage_state *ret);

/* The machine was saved and goes on, elsewhere or later, and perhaps more than once from the same save: to be called
 * before anything else, when the host has new randomness. `now` goes on from where it stood, whatever the clock of the
 * machine says; `wall` is the new wall time.
 * Ended: all control sessions with their keys, their pairs, channels and pushes; agents come again, as after a restart.
 * New: the generator (from `seed` and its old state), the secrets of cookies, the indices and secrets of the zones'
 * WireGuard devices, the epoch of sequences. Every lease starts again with its granted length, as nobody could refresh
 * it meanwhile. Kept: zones, streams (the host closes those that it has lost), and what is on its way to the disk, with
 * the replies that wait for it: the host does block requests again that were not completed. The keys of hash tables stay
 * too: nothing that is sent is made with them. */
void sp_server_resumed(struct sp_server *s, sp_instant now, sp_wall wall, const uint8_t seed[SP_RNG_SEED]);

#endif
