/* The signpost's part in the overlay: what comes to its port besides DNS (demux.c), a WireGuard device for each zone (realm.c),
 * control sessions (session.c) and what is said in them (inside.c), plans for pairs (plan.c, rendezvous.c), pushes (push.c), the
 * relay. Nothing here outlives the process: agents come again. DESIGN: "The control session", "Choosing a path". */
#ifndef SP_CORE_OVERLAY_H
#define SP_CORE_OVERLAY_H

#include "proto/control/remote.h"
#include "proto/control/session.h"
#include "proto/control/tunnel.h"
#include "proto/nat/probe.h"
#include "proto/nat/stun.h"
#include "proto/relay/relay.h"
#include "proto/wg/wg.h"
#include "signpostd/core/budget.h"
#include "signpostd/core/server_int.h"

/* A realm's indices carry its slot above their lowest byte, so that one look tells whose device a message is for. */
#define SP_REALMS       1024u
#define SP_SLOT_SHIFT   8
#define SP_SLOT_MASK    ((SP_REALMS - 1) << SP_SLOT_SHIFT)
/* A sealed packet of a control session. */
#define SP_SEALED_MAX   (SP_WG_HEAD + SP_TUNNEL_MAX + SP_WG_PAD + SP_AEAD_TAG)
#define SP_HINTS        4096u
#define SP_PUSHES       16u     /* a session's, unanswered */
#define SP_PUSH_TRIES   7u      /* the first and six more */
#define SP_PUSH_WAIT    (250 * SP_MS)
#define SP_PUSH_ZONE    256u    /* with more sessions than these, changes of a zone are told by a jump of the sequence alone */
#define SP_WANTED_EACH  16u     /* a session's, asked for in vain */
#define SP_WANTED_MAX   16384u
#define SP_ROSTER_MAX   16384u  /* names of a zone that hands out pages of its peers */
#define SP_HALF_OPEN    (15 * SP_SEC) /* a session that was begun and never confirmed */
#define SP_EVICTABLE    SP_MIN  /* a session that was silent for so long may give way to a new one */
#define SP_REMOTES      8u      /* sessions of operators, those that were not confirmed yet included */
#define SP_REMOTE_AWAY  SP_MIN  /* an operator's session that was silent for so long ends, and its reply is forgotten */
#define SP_REMOTE_PER_S 8000u   /* messages of an operator's session and pieces that it pulls */

#define SP_OVERLAY_DROPS(X)                                                        \
    X(stun_budget)                 \
    X(initiation_budget)                                                           \
    X(index)           /* WireGuard data for no session */                         \
    X(stranger)        /* a sound handshake of a key that no zone lists */         \
    X(sessions_full)                                                               \
    X(request_budget)  /* a session's requests */                                  \
    X(connect_budget)                                                              \
    X(inside_source)   /* inside a session, but not from the device's address */   \
    X(inside_form)                                                                 \
    X(remote_form)     /* an operator's message that is none, or comes late */     \
    X(remote_budget)   /* an operator's messages */                                \
    X(remote_reply)    /* to an operator who is gone */                            \
    X(remotes_full)                                                                \
    X(push_full)       /* a session's queue; its sequence jumps */                 \
    X(push_lost)       /* never answered */                                        \
    X(slow_reader)     /* a stream that takes nothing */              \
    X(no_realm)        /* zones beyond SP_REALMS, or no memory */

struct sp_overlay_counts {
    uint64_t stun, connects, plans, pushes, acks, profiles, pages, queries, probes, echoes, unreachable;
    uint64_t begun, ended, evicted, away, revoked, roamed, contended;
    uint64_t remote_begun, remote_requests; /* operators' */
#define X(name) uint64_t dropped_##name;
    SP_OVERLAY_DROPS(X)
#undef X
};

/* The devices of a zone in canonical order, for pages. */
struct sp_roster {
    uint32_t count;
    size_t size; /* of this, for giving it back */
    struct sp_roster_entry {
        uint8_t pub[SP_ED25519_PUB];
        const uint8_t *name; /* wire, behind the entries */
        uint8_t len, labels;
    } entries[];
};

struct sp_realm {
    struct sp_zone *zone; /* as long as the overlay's generation is the zones' */
    uint32_t id, slot;
    struct sp_wg *wg;
    uint8_t overlay[16]; /* the signpost's own address in this zone */
    struct sp_timer timer;
    struct sp_ring sessions, busy; /* busy: its device may have something to send */
    uint32_t count;
    uint32_t jumps; /* pushes to all of its sessions that were not made */
    struct sp_roster *roster;
};

/* Both ends of a pair that was brought together. */
struct sp_pair {
    struct sp_link link;
    struct sp_pair_end {
        struct sp_pair *pair;
        struct sp_ring ring; /* of the session's pairs, the newest last */
        struct sp_ctlsession *session;
        uint32_t channel;
    } end[2];
    struct sp_bucket pushes;
};

struct sp_push {
    struct sp_ring ring;
    sp_instant due, sent; /* due: to be sent (again) */
    uint32_t channel;     /* whose end the answer consents to; 0: none */
    uint16_t id, len;
    uint8_t tries;
    uint8_t data[];
};

/* What an operator's session has, and a device's has not. */
struct sp_remote {
    struct sp_ring ring; /* of all */
    struct sp_ctlsession *session;
    struct sp_remote_end end;
    struct sp_bucket budget;
    uint64_t control; /* the id of the request that runs */
    bool run;         /* a request is whole: to be executed */
};

struct sp_ctlsession {
    struct sp_remote *remote; /* an operator's; NULL: a device's */
    struct sp_link link; /* by zone and key */
    struct sp_ring age;  /* of all, longest silent first */
    struct sp_ring kin;  /* of its realm */
    struct sp_ring ready;
    struct sp_ring pushes, pairs, wanted;
    struct sp_timer timer;
    struct sp_realm *realm;
    struct sp_wg_peer *peer;
    uint64_t number; /* at the relay */
    struct sp_relay_where where;
    sp_instant heard;
    struct sp_bucket requests, connects;
    struct sp_profile *profile;
    uint32_t sequence; /* less the realm's jumps */
    uint16_t push_id, push_count, pair_count, wanted_count, rtt_ms;
    bool up;      /* an authenticated message came */
    bool stale;   /* pushes are not answered, or its stream is gone: until it is heard again */
    bool relayed; /* the relay knows it */
    uint8_t pub[SP_ED25519_PUB];
    uint8_t overlay[16];
    uint8_t name_len, name_labels;
    uint8_t name[]; /* wire, lower case */
};

/* A source that had a session lately: its zone is tried first, and its handshakes are taken under load. */
struct sp_hint {
    uint32_t tag;
    uint16_t slot;
    bool used;
};

struct sp_overlay {
    struct sp_realm *realms[SP_REALMS];
    uint32_t realm_count;
    uint64_t generation; /* of the zones that the realms follow */
    struct sp_table sessions, pairs, wanted;
    struct sp_ring age, ready, busy, wanted_age, remotes;
    uint32_t remote_count;
    uint8_t operators[SP_OPERATORS][SP_X25519]; /* the X25519 images of their keys */
    struct sp_timers timers, realm_timers;
    struct sp_relay *relay;
    struct sp_budget gate; /* strangers by prefix */
    struct sp_bucket stun, searches, known_searches, handshakes, rosters;
    uint64_t number, epoch;
    struct sp_aead aead;
    struct sp_hint hints[SP_HINTS];
    struct sp_overlay_counts counts;
    uint8_t plain[SP_MSG_MAX + 1];
};

SP_CHECK sp_err sp_overlay_new(struct sp_server *s);
void sp_overlay_free(struct sp_server *s);
/* After a resume: all sessions end without a word, and the zones' devices are made anew when they are next needed. */
void sp_overlay_resumed(struct sp_server *s);
/* What goes on beside the inputs: pushes, handshakes of our own, news of devices; as far as the outbox has room. */
void sp_overlay_work(struct sp_server *s);
bool sp_overlay_busy(const struct sp_server *s); /* sp_overlay_work would do something */
void sp_overlay_expire(struct sp_server *s);
sp_instant sp_overlay_deadline(const struct sp_server *s);

/* Whether the device has a session that was heard lately. */
bool sp_overlay_online(const struct sp_server *s, const struct sp_zone *z, const uint8_t pub[SP_ED25519_PUB]);

/* ---- demux.c ---- */

/* Whether a message may be something else than DNS: a small type and three zeros, or STUN's cookie. */
static inline bool sp_demux_maybe(const uint8_t *data, size_t len) {
    if (len < SP_MSG_HEADER)
        return false;
    uint32_t first = sp_get_u32(data);
    bool typed = (first & 0xffffffu) == 0 && first - 0x01000000u <= 0x04000000u;
    return __builtin_expect(typed || sp_get_u32(data + 4) == SP_STUN_COOKIE, 0);
}
/* Takes a message that is none of DNS'; false: it is DNS. The outbox has room for one answer. */
bool sp_demux_take(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len);
/* The same for the joined datagrams at pos of an input: how many bytes were taken, 0: DNS. */
size_t sp_demux_joined(struct sp_server *s, const struct sp_in *in, size_t pos);

/* ---- where things go ---- */

/* Where a message of at most cap bytes for that place is written (NULL: no room), and its sending. */
uint8_t *sp_overlay_room(struct sp_server *s, const struct sp_relay_where *to, size_t cap);
void sp_overlay_send(struct sp_server *s, const struct sp_relay_where *to, size_t len);

/* ---- realm.c ---- */

/* Follows the zones: devices for new ones, the sessions of removed ones end. Cheap when nothing changed. */
void sp_realms_sync(struct sp_server *s);
void sp_realms_free(struct sp_server *s);
struct sp_realm *sp_realm_by_id(const struct sp_overlay *o, uint32_t id); /* of the zone with this number; NULL */
/* The realm whose mac1 an initiation carries; NULL: none, or the budget for searching is used up. */
struct sp_realm *sp_realm_search(struct sp_server *s, const struct sp_from *from, const uint8_t *data, size_t len);
/* The realm that a response's, cookie's or data message's index names, alive; NULL. */
struct sp_realm *sp_realm_of_index(struct sp_server *s, const uint8_t *data, size_t len);
void sp_realm_hint(struct sp_server *s, const struct sp_addr *src, const struct sp_realm *r);
bool sp_realm_hinted(const struct sp_server *s, const struct sp_addr *src, const struct sp_realm *r);
/* Its device is to be looked after, at the end of this call. */
void sp_realm_touch(struct sp_server *s, struct sp_realm *r);
void sp_realms_work(struct sp_server *s);
/* The zone's devices in order. ERR_FULL: too many, or no memory; ERR_BUDGET. */
SP_CHECK sp_err sp_realm_roster(struct sp_server *s, struct sp_realm *r, const struct sp_roster **ret);
void sp_realm_roster_drop(struct sp_server *s, struct sp_realm *r);

/* ---- ctlsession.c ---- */

/* A message of WireGuard for this realm. */
void sp_ctlsession_message(struct sp_server *s, struct sp_realm *r, const struct sp_from *from, const uint8_t *data, size_t len);
void sp_ctlsession_end(struct sp_server *s, struct sp_ctlsession *ses);
/* By an Ed25519 key, its sign aside; NULL. */
struct sp_ctlsession *sp_ctlsession_find(const struct sp_server *s, const struct sp_realm *r, const uint8_t pub[SP_ED25519_PUB]);
void sp_ctlsession_name(const struct sp_ctlsession *ses, struct sp_name *ret);
void sp_ctlsession_seq(const struct sp_server *s, const struct sp_ctlsession *ses, struct sp_seq *ret);
/* Seals the packet of len bytes that stands at room + SP_WG_HEAD, and sends it. */
void sp_ctlsession_send(struct sp_server *s, struct sp_ctlsession *ses, uint8_t *room, size_t len);
/* Whether the zone lists this device still, by this name and key. */
bool sp_ctlsession_listed(const struct sp_server *s, const struct sp_ctlsession *ses);
void sp_ctlsession_rearm(struct sp_server *s, struct sp_ctlsession *ses);
void sp_ctlsession_stream_gone(struct sp_server *s, struct sp_stream *st);
void sp_ctlsessions_expire(struct sp_server *s);

/* ---- inside.c ---- */

/* A packet from the device, authenticated. */
void sp_inside(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *packet, size_t len);

/* ---- remote.c ---- */

/* The number of the operator with this X25519 key; false: none's. */
bool sp_remote_knows(const struct sp_server *s, const uint8_t wg_pub[SP_X25519], unsigned *ret);
/* Room for one more operator's session, at the cost of one that nobody has confirmed. */
bool sp_remote_make_room(struct sp_server *s);
SP_CHECK sp_err sp_remote_begin(struct sp_server *s, struct sp_ctlsession *ses);
void sp_remote_end(struct sp_server *s, struct sp_ctlsession *ses);
/* A session that is confirmed: others of the same operator end. */
void sp_remote_confirmed(struct sp_server *s, struct sp_ctlsession *ses);
void sp_remotes_realm_end(struct sp_server *s, const struct sp_realm *r);
/* A message of an operator's, authenticated; the session may end. */
void sp_remote_inside(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *data, size_t len);
void sp_remotes_work(struct sp_server *s);
bool sp_remotes_busy(const struct sp_server *s);

/* ---- plan.c ---- */

/* One side of a pair, as the plan sees it. */
struct sp_side {
    const uint8_t *pub;
    struct sp_profile profile; /* what was told, and the address that its session is seen at */
    bool stream;               /* its session is on a stream */
    uint32_t channel;
    uint16_t rtt_ms;
};
/* The plan that `me` gets for reaching `peer`. Pure. */
void sp_plan_make(struct sp_plan *ret, const struct sp_side *me, const struct sp_side *peer, bool asked);
/* Whether two NATs let a simultaneous opening through. RFC 4787 4.1, 5; OVERLAYS' matrix. */
bool sp_plan_punches(const struct sp_profile *a, const struct sp_profile *b);

/* ---- rendezvous.c ---- */

/* The pair's plan for a's request; pushes b's. Returns the rcode, *ret_why the EDE's text (NULL: none). */
uint16_t sp_rendezvous(struct sp_server *s, struct sp_ctlsession *a, const struct sp_session_msg *m, struct sp_plan *ret, const char **ret_why);
/* A device's network has changed: its peers get plans anew. */
void sp_rendezvous_renew(struct sp_server *s, struct sp_ctlsession *a);
void sp_pairs_end(struct sp_server *s, struct sp_ctlsession *ses);

/* A device that was asked for in vain is there: its askers, and it, get their plans. */
void sp_rendezvous_found(struct sp_server *s, struct sp_ctlsession *found);

/* ---- wanted.c ---- */

/* The asker would reach the device with this key, which has no session now. Kept for 30 s. */
void sp_wanted_note(struct sp_server *s, struct sp_ctlsession *asker, const uint8_t pub[SP_ED25519_PUB]);
/* The next session that asked for this one, once; NULL: none is left. */
struct sp_ctlsession *sp_wanted_take(struct sp_server *s, const struct sp_ctlsession *found);
void sp_wanted_end(struct sp_server *s, struct sp_ctlsession *asker);

/* ---- push.c ---- */

/* Takes a push's records: begin, records, then queue it. */
struct sp_pusher {
    struct sp_session_writer w;
    uint8_t data[SP_SESSION_MSG];
};
/* False: the queue is full; the sequence has jumped. */
bool sp_push_begin(struct sp_server *s, struct sp_ctlsession *ses, struct sp_pusher *p);
void sp_push_end(struct sp_server *s, struct sp_ctlsession *ses, struct sp_pusher *p, uint32_t channel);
void sp_push_answered(struct sp_server *s, struct sp_ctlsession *ses, uint16_t id);
void sp_pushes_drop(struct sp_server *s, struct sp_ctlsession *ses);
void sp_pushes_work(struct sp_server *s);
/* When the session's next push is to be sent again; SP_NEVER. */
sp_instant sp_pushes_due(const struct sp_server *s, const struct sp_ctlsession *ses);
void sp_pushes_expire(struct sp_server *s, struct sp_ctlsession *ses);
/* A device was listed or is no more: every session of the realm learns of it. */
void sp_push_device(struct sp_server *s, struct sp_realm *r, const struct sp_name *name, const uint8_t pub[SP_ED25519_PUB], bool gone);

#endif
