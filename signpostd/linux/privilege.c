#define _GNU_SOURCE
#include "signpostd/linux/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_USER "signpost"

sp_err spl_identity_find(struct spl_identity *ret, const char *user, const char *group, struct spl_error *err) {
    *ret = (struct spl_identity){0};
    bool root = geteuid() == 0;
    if (!root && user == NULL && group == NULL)
        return SP_OK;
    const struct passwd *pw = getpwnam(user != NULL ? user : DEFAULT_USER);
    if (pw == NULL && user != NULL)
        return spl_error_set(err, SP_ERR_NOENT, "there is no user '%s'; create it with: adduser --system --group %s",
                             user, user);
    if (pw == NULL && group == NULL)
        return SP_OK;
    ret->uid = pw != NULL ? pw->pw_uid : geteuid();
    ret->gid = pw != NULL ? pw->pw_gid : getegid();
    if (group != NULL) {
        const struct group *gr = getgrnam(group);
        if (gr == NULL)
            return spl_error_set(err, SP_ERR_NOENT, "there is no group '%s'; create it with: addgroup --system %s",
                                 group, group);
        ret->gid = gr->gr_gid;
    }
    if (!root && (ret->uid != geteuid() || ret->gid != getegid()))
        return spl_error_set(
            err, SP_ERR_DENIED,
            "only root can become user '%s'; start as root, or remove user and group from the configuration",
            user != NULL ? user : group);
    ret->change = root && (ret->uid != 0 || ret->gid != 0);
    return SP_OK;
}

sp_err spl_identity_trusts(const struct spl_identity *who, int dirfd, const char *path, struct spl_error *err) {
    struct stat st;
    if (fstat(dirfd, &st) != 0)
        return spl_error_errno(err, "cannot look at the directory %s", path);
    if (st.st_uid == 0 || st.st_uid == geteuid() || (who->change && st.st_uid == who->uid))
        return SP_OK;
    uid_t owner = who->change ? who->uid : geteuid();
    return spl_error_set(err, SP_ERR_DENIED, "the directory %s belongs to user %ld; run: chown -R %ld %s", path,
                         (long)st.st_uid, (long)owner, path);
}

sp_err spl_identity_own(const struct spl_identity *who, int dirfd, const char *path, struct spl_error *err) {
    static const char *const files[] = {"lock", "log", "control.sock"};
    if (!who->change)
        return SP_OK;
    if (fchown(dirfd, who->uid, who->gid) != 0)
        return spl_error_errno(err, "cannot give the directory %s to the user", path);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (fchownat(dirfd, files[i], who->uid, who->gid, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
            return spl_error_errno(err, "cannot give %s/%s to the user", path, files[i]);
    return SP_OK;
}

static int drop_capabilities(void) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    return (int)syscall(SYS_capset, &head, none);
}

sp_err spl_identity_become(const struct spl_identity *who, struct spl_error *err) {
    bool root = geteuid() == 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return spl_error_errno(err, "cannot give up new privileges");
    if (root)
        for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0,
                        0); /* a container may have taken the right to; capset is what counts */
    if (who->change && (setgroups(1, &who->gid) != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
                        setresuid(who->uid, who->uid, who->uid) != 0))
        return spl_error_errno(err, "cannot become user %ld, group %ld", (long)who->uid, (long)who->gid);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (drop_capabilities() != 0)
        return spl_error_errno(err, "cannot drop capabilities");
    if (who->change && who->uid != 0 && setuid(0) == 0)
        return spl_error_set(err, SP_ERR_STATE, "could become root again after giving it up");
    return SP_OK;
}
