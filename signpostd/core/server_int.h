/* Inside the server: its state, and what its files offer each other. Nobody else includes this. */
#ifndef SP_CORE_SERVER_INT_H
#define SP_CORE_SERVER_INT_H

#include "proto/control/operator.h"
#include "proto/log/log.h"
#include "signpostd/core/limits.h"
#include "signpostd/core/outbox.h"
#include "signpostd/core/server.h"
#include "signpostd/core/signing.h"
#include "signpostd/core/stream.h"

/* Signed messages of one call, taken or answered. At 80 us each they go to the disk, and their answers out, in slices: the
 * disk works on one while the next is verified. */
#define SP_SLICE 32

/* Where a message came from, and where its reply goes. */
struct sp_from {
    enum sp_transport via;
    struct sp_addr src, dst;
    uint64_t stream; /* SP_VIA_TCP */
};

/* Something logged that is not durable yet, in the order of the log; with it the reply that waits for it. */
enum sp_pending_kind { SP_PENDING_OWN, SP_PENDING_UPDATE, SP_PENDING_CONTROL };

struct sp_pending_update {
    struct sp_from from;
    struct sp_update up;
    size_t len;
    uint8_t request[];
};

struct sp_pending {
    struct sp_ring ring;
    enum sp_pending_kind kind;
    bool failed;
    uint64_t seq;
    uint32_t zone;
    struct sp_txn *txn; /* to be retired or undone, or NULL */
    sp_instant accepted;
    struct sp_pending_update *update;
    uint64_t control; /* the request's id, and its reply */
    uint8_t *reply;
    size_t reply_len, reply_size;
};

/* A record as `log ZONE` shows it. */
#define SP_RECENT 64
struct sp_recent {
    uint64_t seq, wall_s;
    uint32_t zone, serial, rrsets;
    uint16_t kind;
};

/* A zone's RRsets at one moment, for transfers and exports. What transactions replace meanwhile is kept. */
struct sp_pin_entry {
    struct sp_node *node;
    const struct sp_rrset *set;
};
struct sp_pin {
    struct sp_ring ring;
    uint32_t zone;
    struct sp_pin_entry *entries; /* the SOA is the first */
    size_t count, cap;
    bool lost; /* the zone is gone or too much was kept: not to be used any more */
};

/* Pages of an export or a device list; the continuation that the operator gets names one. */
#define SP_PAGERS 4
struct sp_pager {
    uint64_t token; /* 0: free */
    enum sp_op_verb verb;
    struct sp_pin *pin;
    size_t pos;
    sp_instant expiry;
};

struct sp_import;
struct sp_overlay;

struct sp_server {
    struct sp_mem mem;
    struct sp_server_config cfg;
    struct sp_rng rng;
    uint8_t hash_key[16];
    sp_instant now, started;
    sp_wall wall;

    struct sp_zones *zones;
    struct sp_updater *updater;
    struct sp_view view;
    uint16_t keepalive;
    struct sp_scratch *scratch;
    struct sp_outbox out;
    struct sp_msgw msgw;
    struct sp_signing signing;
    uint32_t tcp_sign_left;
    uint64_t cold; /* UDP queries that needed new signatures, made or refused */
    struct sp_streams streams;
    const struct sp_count *host_counts;
    size_t host_count_n;
    struct sp_overlay *overlay;
    sp_instant cookie_turn;

    /* durable.c */
    struct sp_log *log; /* NULL: no disk */
    enum sp_storage storage;
    bool disk_full;               /* the last append found no room */
    struct sp_ring pending, kept; /* kept: durable, but a pin may still look at what they replaced */
    size_t kept_count;
    uint32_t updates_in_flight;
    unsigned slice; /* updates taken in this call */
    uint64_t last_seq, replayed, replay_skipped, commit_full;
    bool uncommitted, replay_more;
    bool snapshot_on, snapshot_waits;
    sp_instant snapshot_again;
    struct sp_snapshot snapshot;
    const char *fatal;
    bool fatal_told;
    struct sp_recent recent[SP_RECENT];
    uint64_t recent_count;

    /* ctl */
    struct sp_ring pins;
    struct sp_pager pagers[SP_PAGERS];
    uint64_t pager_token;
    struct sp_import *import;
    uint32_t zone_id; /* the last that was given */
    struct sp_addr link[16];
    size_t link_count;

    bool ready, stopping, stopped;
    uint8_t *reply_kept; /* room for a reply of the operator's when the memory is full: ctl.c */
    uint64_t dropped_segments, dropped_port0, not_ready, controls, overflow, transfers, transfers_lost;
};

/* server.c */
void sp_cookies_new(struct sp_server *s); /* the secrets, and none before */

/* limits.c */
bool sp_limits_ok(const struct sp_limits *l);

/* request.c */
/* Answers one message over UDP or TCP; the outbox has room for a whole reply. */
void sp_request_datagram(struct sp_server *s, const struct sp_in *in);
void sp_request_stream(struct sp_server *s, const struct sp_from *from, struct sp_stream *st, const uint8_t *data,
                       size_t len);
/* The place for a reply, and its most bytes by the transport and the request's EDNS size (msg NULL: by the transport
 * alone). */
uint8_t *sp_reply_room(struct sp_server *s, const struct sp_from *from, const struct sp_msg *msg, size_t *ret_cap);
/* Sends len bytes that stand there; 0 sends nothing. */
void sp_reply_send(struct sp_server *s, const struct sp_from *from, size_t len);

/* stream.c, stream_io.c */
void sp_streams_pressure(struct sp_server *s);
void sp_stream_touch(struct sp_server *s, struct sp_stream *st); /* no longer the longest idle */
void sp_stream_go_on(struct sp_server *s, struct sp_stream *st);

/* transfer.c */
/* An AXFR or IXFR whose signer has been verified. */
void sp_transfer_request(struct sp_server *s, const struct sp_from *from, struct sp_stream *st,
                         const struct sp_msg *msg, struct sp_signer *signer);
void sp_transfer_go_on(struct sp_server *s, struct sp_stream *st);
void sp_transfer_drop(struct sp_server *s, struct sp_stream *st);

/* pin.c */
SP_CHECK sp_err sp_pin_new(struct sp_server *s, struct sp_zone *z, bool sorted, struct sp_pin **ret);
void sp_pin_free(struct sp_server *s, struct sp_pin *pin);
void sp_pins_lose(struct sp_server *s, uint32_t zone);       /* 0: of all zones */
bool sp_pins_hold(const struct sp_server *s, uint32_t zone); /* a pin looks at what its transactions replace */

/* durable.c */
SP_CHECK sp_err sp_durable_open(struct sp_server *s);
void sp_durable_free(struct sp_server *s);
/* Why nothing can be stored now: OK, ERR_IO (failed), ERR_AGAIN (opening). */
sp_err sp_durable_state(const struct sp_server *s);
/* A change goes into the log, commits, and waits for the disk; on error it is aborted. Without a body it does nothing.
 */
SP_CHECK sp_err sp_durable_change(struct sp_server *s, const struct sp_change *c);
/* The two halves of it, for changes of several records: append one; then settle what the last one completes (p owns the
 * transaction). */
SP_CHECK sp_err sp_durable_append(struct sp_server *s, const struct sp_change *c);
void sp_durable_taken(struct sp_server *s, const struct sp_change *c, struct sp_pending *p);
/* Queues a reply that waits for all that was appended up to now. p is from sp_pending_new. */
struct sp_pending *sp_pending_new(struct sp_server *s, enum sp_pending_kind kind);
void sp_pending_free(struct sp_server *s, struct sp_pending *p);
void sp_durable_wait(struct sp_server *s, struct sp_pending *p);
/* Transactions of a zone that goes away can no longer be undone. */
void sp_durable_settle(struct sp_server *s, uint32_t zone);
void sp_durable_commit(struct sp_server *s);
void sp_durable_completed(struct sp_server *s, const struct sp_in *in);
/* Replays, releases and snapshots as far as it goes; at the end of every input and expire. */
void sp_durable_work(struct sp_server *s);
bool sp_durable_busy(const struct sp_server *s);  /* sp_durable_work would do something now */
void sp_durable_kept_retire(struct sp_server *s); /* the last pin is gone */
void sp_durable_expire_leases(struct sp_server *s);

/* remote.c */
/* Ids of an operator's requests from afar: no host's are like these. */
#define SP_REMOTE_ID (UINT64_C(3) << 62)
/* The reply to a request with an id of SP_REMOTE_ID. */
void sp_remote_replied(struct sp_server *s, uint64_t id, const uint8_t *data, size_t len);
/* Whether that request came through a session in this zone. */
bool sp_remote_came_by(const struct sp_server *s, uint64_t id, const struct sp_zone *z);

/* ctl.c */
void sp_ctl_request(struct sp_server *s, const struct sp_in *in);
/* Sends a reply to whoever asked: takes over buf of `size` bytes, or NULL; the outbox has a slot. */
void sp_ctl_send(struct sp_server *s, uint64_t id, uint8_t *buf, size_t size, size_t len);
void sp_ctl_send_error(struct sp_server *s, uint64_t id, const char *error, const char *hint);
void sp_import_go_on(struct sp_server *s);
bool sp_import_busy(const struct sp_server *s);
bool sp_import_runs(const struct sp_server *s); /* and does not wait for the disk */
void sp_import_free(struct sp_server *s);
void sp_pagers_expire(struct sp_server *s, bool all);
sp_instant sp_pagers_deadline(const struct sp_server *s);

#endif
