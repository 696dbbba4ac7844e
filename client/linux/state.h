/* The agent's state directory: the identity, what is remembered, the lock, the control socket. */
#ifndef SPL_AGENT_STATE_H
#define SPL_AGENT_STATE_H

#include "client/core/agent.h"
#include "proto/linux/error.h"

struct spl_state {
    int dirfd; /* -1: not open */
    char path[4096];
};

/* Where the state stands when nobody says: /var/lib/signpost-agent for root, else $XDG_STATE_HOME/signpost-agent, else
 * ~/.local/state/signpost-agent. ERR_NOENT: no home; ERR_RANGE: too long. */
SP_CHECK sp_err spl_state_default(char *ret, size_t cap, struct spl_error *err);

/* Opens a directory (NULL: the default). With create it is made (0700) when missing, its parents too if it is the
 * default one; else a missing one is ERR_NOENT. */
SP_CHECK sp_err spl_state_open(struct spl_state *ret, const char *path, bool create, struct spl_error *err);
void spl_state_close(struct spl_state *s);
/* One agent a directory. ERR_EXIST. */
SP_CHECK sp_err spl_state_lock(struct spl_state *s, struct spl_error *err);

/* ERR_NOENT: no identity, this device has not joined. Damaged, foreign and newer files are told apart in err. */
SP_CHECK sp_err spl_state_identity_read(const struct spl_state *s, struct sp_agent_identity *ret,
                                        struct spl_error *err);
SP_CHECK sp_err spl_state_identity_write(const struct spl_state *s, const struct sp_agent_identity *id,
                                         struct spl_error *err);
/* Overwrites the identity, then removes it and the memory. */
SP_CHECK sp_err spl_state_forget(const struct spl_state *s, struct spl_error *err);

/* A missing memory is an empty one; so is a damaged one, with a warning: it can be learnt again. */
void spl_state_memory_read(const struct spl_state *s, struct sp_agent_memory *ret);
SP_CHECK sp_err spl_state_memory_write(const struct spl_state *s, const struct sp_agent_memory *memory,
                                       struct spl_error *err);

#endif
