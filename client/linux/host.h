/* The agent on Linux: its core on a loop, with UDP sockets, the memory kept on disk, secrets kept out of swap and
 * dumps. */
#ifndef SPL_AGENT_HOST_H
#define SPL_AGENT_HOST_H

#include "client/linux/dns_hook.h"
#include "client/linux/state.h"
#include "proto/linux/loop.h"

/* For the whole process, first thing: no core dumps, no tracing by other processes of the user. */
void spl_secrets_protect(void);

struct spl_agent;

/* What the core need not know. */
struct spl_agent_options {
    const char *interface; /* of the overlay; NULL: signpost0 */
    uint16_t port;         /* of our UDP sockets; 0: any */
    enum spl_dns_mode dns; /* how local programs come to the resolver */
    const char *record;    /* builds with -Drecord=true: a file to record the core in; NULL: none */
};

/* An agent over an open state directory, with the memory read from it. config->memory, config->seed and, with the overlay on, its
 * grant, engine, and what the network device can do are filled in here; the caller wipes config. options may be NULL.
 * ERR_DENIED: the overlay needs CAP_NET_ADMIN. */
SP_CHECK sp_err spl_agent_new(struct spl_agent **ret, const struct spl_state *state, struct sp_agent_config *config,
                              const struct spl_agent_options *options, struct spl_error *err);
/* Wipes the core. */
void spl_agent_free(struct spl_agent *h);
struct sp_agent *spl_agent_core(struct spl_agent *h);
/* sp_agent_up; it is recorded. */
SP_CHECK sp_err spl_agent_up(struct spl_agent *h);

/* For `up`: the network is watched, packets are read, verbs are taken on the control socket, changes of state are said on stderr;
 * privileges that are needed no more are given up. */
SP_CHECK sp_err spl_agent_serve(struct spl_agent *h, struct spl_error *err);
/* Runs until the core stops, or SIGTERM or SIGINT; the exit status. *ret (may be NULL) is the status at the end. */
int spl_agent_run(struct spl_agent *h, struct sp_agent_status *ret);

#define SPL_AGENT_SOCKET "control"

#endif
