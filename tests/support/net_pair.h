/* Two interfaces with TCP on one wire that a test holds: frames are given, changed or lost as the test says. The first
 * one may have a core behind the adapter (proto/direct), whose inputs are noted, and which does as the test says. */
#ifndef SP_TESTS_NET_PAIR_H
#define SP_TESTS_NET_PAIR_H

#include "proto/direct/direct.h"

#define NET_PAIR_BYTES  ((size_t)1 << 20)
#define NET_PAIR_INPUTS 4096
#define NET_PAIR_FRAME  SP_NET_FRAME_MAX_TSO

struct net_end {
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_tcp_config tcp;
    struct sp_net_config config;
    struct sp_net *net;
    struct sp_direct *direct; /* NULL: its TCP is the test's */
    /* what TCP's events said */
    struct sp_tcp_conn *conn; /* the last that was opened */
    unsigned opened, ended, closed;
    sp_err err;
    bool keep; /* does not read: nothing is consumed */
    size_t kept;
    uint8_t *got;
    size_t got_len;
    uint64_t frames; /* that it has sent */
};

/* An input of the core. Its bytes are in `got` of the pair's first end. */
struct net_pair_in {
    enum sp_in_kind kind;
    uint64_t id;
    size_t len, credit;
    sp_err err;
    struct sp_addr src, dst;
};

struct net_pair {
    struct net_end end[2];
    struct sp_direct direct;
    sp_instant now;
    /* Sees each frame before it is given; may change it. False: it is lost. NULL: all are given. */
    bool (*wire)(struct net_pair *p, unsigned from, uint8_t *frame, size_t *len, const struct sp_offload *offload);
    void *ctx;
    enum sp_net_csum csum; /* what the devices say of frames */
    /* the core */
    struct net_pair_in in[NET_PAIR_INPUTS];
    size_t in_count, in_max; /* in_max: inputs in one call */
    size_t credit;           /* of all OPEN and CREDIT, less what net_pair_write has sent */
    unsigned refuse;         /* so many of the next inputs it does not take */
    uint64_t busy;           /* a stream that it writes to before it looks at the bytes that it got; 0: none */
    uint8_t frame[NET_PAIR_FRAME];
};

/* 192.0.2.1 and 192.0.2.9, 2001:db8::1 and 2001:db8::9, links down; change the configurations before net_pair_start. */
struct net_pair *net_pair_new(void);
void net_pair_start(struct net_pair *p, bool direct); /* links up, addresses ready */
void net_pair_free(struct net_pair *p);               /* all memory must have come back */

/* Gives frames both ways until there are none. */
void net_pair_run(struct net_pair *p);
void net_pair_frames(struct net_pair *p); /* without a turn of the core's host */
/* Lets time pass, with what it brings about. */
void net_pair_wait(struct net_pair *p, sp_duration d);
/* The second end connects to the first one's port; *ret is its connection. */
void net_pair_connect(struct net_pair *p, uint8_t family, uint16_t port);
/* The second end's bytes. */
void net_pair_send(struct net_pair *p, const void *data, size_t len);
/* The core's outputs; net_pair_write counts credit, of which there must be enough. */
void net_pair_output(struct net_pair *p, const struct sp_out *out);
void net_pair_write(struct net_pair *p, uint64_t id, const void *data, size_t len);
/* How many inputs of this kind there were; the last of them, or NULL. */
size_t net_pair_count(const struct net_pair *p, enum sp_in_kind kind);
const struct net_pair_in *net_pair_last(const struct net_pair *p, enum sp_in_kind kind);

#endif
