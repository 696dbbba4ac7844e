/* Peers: devices that we talk to, or that talk to us. Made when wanted, forgotten when others need the place. */
#ifndef SP_AGENT_PEER_H
#define SP_AGENT_PEER_H

#include "client/core/directory.h"
#include "client/core/hop.h"
#include "client/core/path.h"
#include "client/core/stage.h"
#include "proto/base/timers.h"
#include "proto/control/session.h"
#include "proto/wg/wg.h"

#define SP_PEER_PATHS  12 /* the relay and the candidates */
#define SP_PATH_RELAY  0  /* its place among them */
#define SP_PATH_NONE   0xff
#define SP_PEER_IDLE   (60 * SP_SEC)       /* without traffic for so long it may give way */
#define SP_PEER_ACTIVE (5 * SP_SEC)        /* traffic so recent keeps its paths watched */
#define SP_PEER_KEEP   (3 * SP_MIN)        /* and so recent the mappings in front of them */
#define SP_PEER_CHANNEL (8 * SP_MIN)       /* a channel that rested for longer may be closed: it is asked for again before use */
#define SP_PEER_CHANNEL_KEEP (4 * SP_MIN)  /* while traffic goes another way it is kept open, to be there at once */
#define SP_PEER_RESTED  (30 * SP_SEC)      /* a direct way that was not heard from for so long may be gone */
#define SP_PEER_STAGED (8 * SP_SEC)        /* packets wait no longer for a path */

/* Why there is no path, for who asks. */
enum sp_peer_trouble {
    SP_PEER_FINE,
    SP_PEER_UPLINK,  /* no control session with the signpost */
    SP_PEER_AWAY,    /* the peer has none */
    SP_PEER_DENIED,  /* policy or budget of the signpost */
    SP_PEER_UNKNOWN, /* the signpost does not know the name */
    SP_PEER_SILENT,  /* plan and relay are there, the peer does not answer */
};
const char *sp_peer_trouble_text(unsigned trouble);

struct sp_peer {
    struct sp_dir_entry *entry;
    struct sp_wg_peer *wg;
    struct sp_peer *newer, *older;
    struct sp_timer timer;
    sp_instant due; /* of the timer; SP_NEVER: not set */
    uint32_t channel; /* of the relay; 0: none */
    sp_instant channel_at; /* it was given to us, or used */
    uint8_t chosen;   /* path that data takes, or SP_PATH_NONE */
    uint8_t interest, trouble;
    bool asking;      /* a CONNECT is under way or waits for the uplink */
    bool renew;       /* another one is wanted as soon as the uplink has been heard again */
    bool spray;       /* no relay: handshakes go to the candidates themselves */
    sp_instant ask_at;        /* not asked again before */
    unsigned asks;            /* in a row, without a session or a direct path */
    sp_instant again_at;      /* on the relay: when to try for a direct way again */
    unsigned agains;
    sp_instant shake_at;      /* when to repeat the handshake; SP_NEVER */
    unsigned shakes;
    sp_instant want_at;       /* when it was wanted first, while there is no session; SP_NEVER */
    sp_instant sent_at, got_at, heard_at; /* inner packets; anything authentic; 0: never */
    sp_instant unheard_since; /* data went over the chosen path, nothing came from there; SP_NEVER */
    sp_instant since;         /* the chosen path is in use */
    struct sp_stage_queue staged;
    struct sp_split *split;
    uint16_t split_id;
    struct sp_path paths[SP_PEER_PATHS];
};

struct sp_mesh;
/* The peer of a device, made if need be. NULL: the table is full of peers with traffic. */
struct sp_peer *sp_peer_get(struct sp_mesh *mesh, struct sp_dir_entry *e);
void sp_peer_drop(struct sp_mesh *mesh, struct sp_peer *p);
/* Somebody wants to talk to it: starts what is missing. */
void sp_peer_want(struct sp_mesh *mesh, struct sp_peer *p, enum sp_interest interest);
bool sp_peer_up(const struct sp_mesh *mesh, const struct sp_peer *p);
/* The way that data takes now. False: none. */
bool sp_peer_hop(const struct sp_mesh *mesh, const struct sp_peer *p, struct sp_hop *ret);
bool sp_peer_relay(const struct sp_mesh *mesh, const struct sp_peer *p, struct sp_hop *ret);
/* A message of the handshake that WireGuard wants sent. */
void sp_peer_handshake(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *msg, size_t len);

/* Before data goes out: a way that rested for long is asked first, and its data waits or takes the relay. */
void sp_peer_resume(struct sp_mesh *mesh, struct sp_peer *p);

/* What happens to it. */
void sp_peer_planned(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_plan *plan);
void sp_peer_refused(struct sp_mesh *mesh, struct sp_peer *p, enum sp_peer_trouble trouble);
void sp_peer_keyed(struct sp_mesh *mesh, struct sp_peer *p); /* there is a keypair to send with, a new one */
/* Something authentic came by this hop. */
void sp_peer_heard(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from);
void sp_peer_sent_data(struct sp_mesh *mesh, struct sp_peer *p);
void sp_peer_got_data(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from);
void sp_peer_probe(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_hop *from, const struct sp_probe *probe);
void sp_peer_expire(struct sp_mesh *mesh, struct sp_peer *p);
void sp_peer_moved(struct sp_mesh *mesh, struct sp_peer *p); /* our addresses have changed */
void sp_peer_uplink_heard(struct sp_mesh *mesh, struct sp_peer *p);
void sp_peer_channel_lost(struct sp_mesh *mesh, struct sp_peer *p); /* the signpost restarted */
/* Looks at it again no later than at `at`. */
void sp_peer_wake(struct sp_mesh *mesh, struct sp_peer *p, sp_instant at);


/* ---- between peer.c, peer_wish.c and peer_heard.c ---- */
void sp_peer_use(struct sp_mesh *mesh, struct sp_peer *p); /* it is the newest */
sp_instant sp_peer_traffic_at(const struct sp_peer *p);
void sp_peer_set_channel(struct sp_mesh *mesh, struct sp_peer *p, uint32_t channel);
/* A CONNECT, if none is under way and it is not too soon. first: a handshake that is made already, or NULL. */
void sp_peer_ask(struct sp_mesh *mesh, struct sp_peer *p, const uint8_t *first, size_t first_len);

#endif
