/* What the files of this room share; not for others. */
#ifndef SPL_ROOM_H
#define SPL_ROOM_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "proto/linux/clock.h"
#include "proto/linux/loop.h"

struct spl_udp;
struct spl_tcp;
struct spl_disk;
struct spl_control;

#define SPL_OUT_BATCH 256
#define SPL_IN_BATCH  128

struct spl_loop {
    struct event_base *base;
    struct spl_core core;
    struct event *timer, *again, *term, *intr, *hup;
    sp_instant now, armed; /* clock of this turn; what the timer is set to */
    sp_wall wall;
    int status;
    bool stopping, ended;
    struct spl_udp *udp;
    struct spl_tcp *tcp;
    struct spl_disk *disk;
    struct spl_control *control;
    struct sp_in in[SPL_IN_BATCH]; /* inputs that a turn itself gives rise to: credit, completed writes */
    struct sp_out out[SPL_OUT_BATCH];
};

/* Outputs of the core, one by one; flush sends what was gathered, before the core is called again. */
void spl_udp_send(struct spl_udp *u, const struct sp_out *out);
void spl_udp_flush(struct spl_udp *u);
void spl_udp_free(struct spl_udp *u);

void spl_tcp_output(struct spl_tcp *t, const struct sp_out *out);
/* Writes what it can; fills in with up to cap inputs (credit given back, streams that broke); returns how many. */
size_t spl_tcp_flush(struct spl_tcp *t, struct sp_in *in, size_t cap);
void spl_tcp_free(struct spl_tcp *t);

void spl_disk_request(struct spl_disk *d, const struct sp_blk_req *req);
size_t spl_disk_done(struct spl_disk *d, struct sp_in *in, size_t cap);
void spl_disk_free(struct spl_disk *d);

void spl_control_free(struct spl_control *c);

#endif
