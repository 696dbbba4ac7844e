/* The loop that drives a core: waits in libevent, delivers input, expires, drains output and effects, re-arms. Decides
 * nothing.
 *
 * One thread. Sockets, disk and control socket are opened on a loop and closed by spl_loop_free. Every delivery ends
 * with a turn: the core's outputs are sent, its effects carried out, its deadline armed. */
#ifndef SPL_LOOP_H
#define SPL_LOOP_H

#include "proto/base/host.h"
#include "proto/linux/error.h"

struct event_base;

/* Ids of SP_IN_CONTROL inputs that the host itself delivers have this bit; those of the control socket do not. */
#define SPL_OWN_ID (UINT64_C(1) << 63)

struct spl_loop;

/* A core as the loop sees it: the five calls of the host contract, and what the host is told. */
struct spl_core {
    void *ctx;
    sp_err (*input)(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken);
    void (*expire)(void *ctx, sp_instant now, sp_wall wall);
    sp_instant (*deadline)(void *ctx);
    size_t (*output)(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t n);
    bool (*event)(void *ctx, struct sp_event *ret);
    void (*stop)(void *ctx,
                 sp_instant now); /* SIGTERM or SIGINT; NULL: the loop just ends with 0. A second one always ends it */
    void (*turned)(void *ctx);    /* after each turn: look at the core's state; may be NULL. Must not re-enter */
    void (*refused)(void *ctx, sp_err err, const struct sp_in *in); /* an input that the core refused; may be NULL */
    void (*replied)(void *ctx, uint64_t id, const uint8_t *data,
                    size_t len); /* to an SP_IN_CONTROL of the host's own; may be NULL */
    void (*given)(void *ctx, const struct sp_out *out);   /* SP_OUT_PACKET, SP_OUT_RESOLVED; may be NULL */
    void (*effect)(void *ctx, const struct sp_event *ev); /* SP_EV_CONNECT, SP_EV_FORWARD; may be NULL */
};

SP_CHECK sp_err spl_loop_new(struct spl_loop **ret, const struct spl_core *core, struct spl_error *err);
void spl_loop_free(struct spl_loop *loop);
struct event_base *spl_loop_base(struct spl_loop *loop); /* for timers, netlink, c-ares, HTTP of the host's own */

/* Runs until SP_EV_STOP (0), SP_EV_FATAL (1, said on stderr) or spl_loop_end (its status). Takes SIGTERM, SIGINT; notes
 * SIGHUP; ignores SIGPIPE. */
int spl_loop_run(struct spl_loop *loop);
void spl_loop_end(struct spl_loop *loop, int status);

/* Gives inputs of the host's own to the core (SP_IN_LINK, SP_IN_CONTROL, ...) and takes a turn. Returns how many were
 * taken: fewer than n only if the core takes no more even after a drain. Not from within a core's callback. */
size_t spl_loop_deliver(struct spl_loop *loop, const struct sp_in *in, size_t n);
/* A turn without input: after the host called the core directly (sp_agent_up, ...). */
void spl_loop_turn(struct spl_loop *loop);

#endif
