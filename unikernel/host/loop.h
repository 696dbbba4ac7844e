/* The loop between the server's core and its devices: waits for an event or the deadline, samples the clocks once,
 * gives the core frames and completions, expires what is due, takes its datagrams, bytes of streams, replies and block
 * requests, and waits again. */
#ifndef SPX_LOOP_H
#define SPX_LOOP_H

#include "proto/direct/direct.h"
#include "signpostd/core/server.h"
#include "unikernel/dev/blkfront_xs.h"
#include "unikernel/dev/netfront_xs.h"
#include "unikernel/host/report.h"

#define SPX_LOOP_OUT   16
#define SPX_LOOP_REPLY 4096

enum { SPX_TOKEN_SHUTDOWN, SPX_TOKEN_NET, SPX_TOKEN_DISK }; /* of watches */

struct spx_loop {
    /* The caller's, open and set before spx_loop_start; a loop of zeros else. */
    struct sp_server *server;
    struct sp_direct direct;
    struct spx_xs store;
    struct spx_netdev net;
    struct spx_blkdev disk;
    bool has_disk;
    struct spx_grants *grants; /* with their table: after a suspend they are made anew */
    void *grant_table;
    size_t grant_frames;
    struct sp_rng *net_rng; /* the interface's */

    struct sp_storage_state told; /* storage.h's: what the console says of the disk */
    sp_instant full_again;
    bool stopping;
    sp_instant stop_at;  /* when it ends without what the disk has not taken */
    uint64_t stop_after; /* what was durable when that moment was set */
    bool store_lost;

    bool ended;
    unsigned reason; /* to end the domain for: SPX_POWEROFF, SPX_REBOOT, SPX_CRASH */
    sp_instant now;  /* of this turn */
    sp_wall wall;
    bool more; /* the last turn has left something to do */
    struct sp_out out[SPX_LOOP_OUT];
    bool net_up, stalled; /* stalled: the backend has taken no frame for a while, so no more time is spent on it */
    bool held;            /* a request that the disk had no room for, or refused with held_err */
    struct sp_blk_req request;
    sp_err held_err;
    bool replied;
    size_t reply_len;
    uint8_t reply[SPX_LOOP_REPLY];
    struct spx_report report; /* what the console says */
};

/* Says in the xenstore what the toolstack may ask for, and sets the watches that are not a device's. At the start, and
 * again after a suspend. */
SP_CHECK sp_err spx_loop_watch_store(struct spx_loop *l);
/* Watches control/shutdown and brings the link up. */
SP_CHECK sp_err spx_loop_start(struct spx_loop *l);
/* Waits for what comes next and does it. */
void spx_loop_step(struct spx_loop *l);
/* Steps until the core's reply to an operator's request is in `reply`, serving meanwhile. False: the loop has ended, or
 * the core takes no request. */
SP_CHECK bool spx_loop_ask(struct spx_loop *l, const uint8_t *request, size_t len);
/* Sends a datagram of the host's own; what the network does not take is lost. */
void spx_loop_send(struct spx_loop *l, const struct sp_out *datagram);

#endif
