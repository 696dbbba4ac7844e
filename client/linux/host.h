/* The agent on Linux: its core on a loop, with UDP sockets, the memory kept on disk, secrets kept out of swap and
 * dumps. */
#ifndef SPL_AGENT_HOST_H
#define SPL_AGENT_HOST_H

#include "client/linux/state.h"
#include "proto/linux/loop.h"

/* For the whole process, first thing: no core dumps, no tracing by other processes of the user. */
void spl_secrets_protect(void);

struct spl_agent;

/* An agent over an open state directory, with the memory read from it. config->memory and config->seed are filled in
 * here; the caller wipes config. */
SP_CHECK sp_err spl_agent_new(struct spl_agent **ret, const struct spl_state *state, struct sp_agent_config *config,
                              struct spl_error *err);
/* Wipes the core. */
void spl_agent_free(struct spl_agent *h);
struct sp_agent *spl_agent_core(struct spl_agent *h);

/* For `up`: the network is watched, verbs are taken on the control socket, changes of state are said on stderr. */
SP_CHECK sp_err spl_agent_serve(struct spl_agent *h, struct spl_error *err);
/* Runs until the core stops, or SIGTERM or SIGINT; the exit status. *ret (may be NULL) is the status at the end. */
int spl_agent_run(struct spl_agent *h, struct sp_agent_status *ret);

#define SPL_AGENT_SOCKET "control"

#endif
