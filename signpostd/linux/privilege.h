/* Giving up what only starting needed. */
#ifndef SPL_PRIVILEGE_H
#define SPL_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/linux/error.h"

struct spl_identity {
    bool change; /* false: stay who we are */
    uid_t uid;
    gid_t gid;
};

/* Whom to become: the configured user and group (may be NULL), else the system user "signpost", if we are root and it
 * exists. ERR_NOENT: no such user or group. ERR_DENIED: a user is configured, and we are not root. */
SP_CHECK sp_err spl_identity_find(struct spl_identity *ret, const char *user, const char *group, struct spl_error *err);
/* Refuses a state directory that belongs to somebody else: root would act on files that its owner exchanges under it. */
SP_CHECK sp_err spl_identity_trusts(const struct spl_identity *who, int dirfd, const char *path, struct spl_error *err);
/* The state directory and what lies in it becomes theirs. */
SP_CHECK sp_err spl_identity_own(const struct spl_identity *who, int dirfd, const char *path, struct spl_error *err);
/* Becomes them, for good: groups, user, no new privileges, no capabilities. Before any thread is started. */
SP_CHECK sp_err spl_identity_become(const struct spl_identity *who, struct spl_error *err);

#endif
