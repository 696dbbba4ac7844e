#define _GNU_SOURCE
#include "client/linux/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/core/stored.h"
#include "proto/linux/file.h"

sp_err spl_state_default(char *ret, size_t cap, struct spl_error *err) {
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (geteuid() == 0)
        n = snprintf(ret, cap, "/var/lib/signpost-agent");
    else if (xdg != NULL && xdg[0] == '/')
        n = snprintf(ret, cap, "%s/signpost-agent", xdg);
    else if (home != NULL && home[0] == '/')
        n = snprintf(ret, cap, "%s/.local/state/signpost-agent", home);
    else
        return spl_error_set(err, SP_ERR_NOENT, "no home directory to keep state in; give one with --state DIR");
    if (n < 0 || (size_t)n >= cap)
        return spl_error_set(err, SP_ERR_RANGE,
                             "the path of the state directory is too long; give another with --state DIR");
    return SP_OK;
}

/* What is missing above the directory, like mkdir -p. */
static void make_parents(const char *path) {
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = strchr(part + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = 0;
        (void)mkdir(part, 0755); /* if it fails, opening the directory says why */
        *p = '/';
    }
}

sp_err spl_state_open(struct spl_state *ret, const char *path, bool create, struct spl_error *err) {
    ret->dirfd = -1;
    bool standard = path == NULL;
    if (standard) {
        SP_TRY(spl_state_default(ret->path, sizeof ret->path, err));
    } else if (strlen(path) >= sizeof ret->path) {
        return spl_error_set(err, SP_ERR_RANGE, "the path of the state directory is too long");
    } else {
        snprintf(ret->path, sizeof ret->path, "%s", path);
    }
    struct stat st;
    if (!create && stat(ret->path, &st) != 0 && errno == ENOENT)
        return spl_error_set(err, SP_ERR_NOENT,
                             "this device has not joined a zone: there is no state in %s; run: signpost-agent join",
                             ret->path);
    if (standard && create)
        make_parents(ret->path);
    return spl_dir_open(&ret->dirfd, ret->path, err);
}

void spl_state_close(struct spl_state *s) {
    if (s->dirfd >= 0)
        close(s->dirfd);
    s->dirfd = -1;
}

sp_err spl_state_lock(struct spl_state *s, struct spl_error *err) {
    return spl_dir_lock(s->dirfd, s->path, err);
}

sp_err spl_state_identity_read(const struct spl_state *s, struct sp_agent_identity *ret, struct spl_error *err) {
    uint8_t *data;
    size_t len;
    struct spl_error why;
    sp_err e = spl_file_read(s->dirfd, "identity", SP_STORED_MAX, &data, &len, &why);
    if (e == SP_ERR_NOENT)
        return spl_error_set(
            err, e, "this device has not joined a zone: there is no identity in %s; run: signpost-agent join", s->path);
    if (e == SP_ERR_FULL)
        e = SP_ERR_FORM;
    else if (e != SP_OK)
        return spl_error_set(err, e, "%s/%.300s", s->path, why.text);
    else {
        e = sp_stored_identity_read(ret, data, len);
        spl_file_free(data, len);
    }
    switch (e) {
    case SP_OK:
        return SP_OK;
    case SP_ERR_UNSUP:
        return spl_error_set(err, e, "%s/identity was written by a newer signpost-agent; upgrade this one", s->path);
    case SP_ERR_FORM:
        return spl_error_set(err, e, "%s/identity is not an identity of signpost-agent; is --state right?", s->path);
    default:
        return spl_error_set(
            err, e, "%s/identity is damaged; restore it from a backup, or remove it and join again with a new invite",
            s->path);
    }
}

sp_err spl_state_identity_write(const struct spl_state *s, const struct sp_agent_identity *id, struct spl_error *err) {
    uint8_t data[SP_STORED_MAX];
    size_t len = sp_stored_identity_write(id, data);
    sp_err e = spl_file_write(s->dirfd, "identity", data, len, err);
    explicit_bzero(data, sizeof data);
    return e;
}

/* File systems may keep old blocks; what can be overwritten is. */
static void overwrite(int fd) {
    static const uint8_t zeros[SP_STORED_MAX];
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    off_t len = st.st_size < (off_t)sizeof zeros ? st.st_size : (off_t)sizeof zeros;
    if (pwrite(fd, zeros, (size_t)len, 0) == len)
        (void)fsync(fd);
}

sp_err spl_state_forget(const struct spl_state *s, struct spl_error *err) {
    int fd = openat(s->dirfd, "identity", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        overwrite(fd);
        close(fd);
    }
    if ((unlinkat(s->dirfd, "identity", 0) != 0 && errno != ENOENT) ||
        (unlinkat(s->dirfd, "memory", 0) != 0 && errno != ENOENT))
        return spl_error_errno(err, "cannot remove the identity in %s; remove it by hand", s->path);
    if (fsync(s->dirfd) != 0)
        return spl_error_errno(err, "cannot write the directory %s to the disk", s->path);
    return SP_OK;
}

void spl_state_memory_read(const struct spl_state *s, struct sp_agent_memory *ret) {
    uint8_t *data;
    size_t len;
    struct spl_error why;
    memset(ret, 0, sizeof *ret);
    sp_err e = spl_file_read(s->dirfd, "memory", SP_STORED_MAX, &data, &len, &why);
    if (e == SP_ERR_NOENT)
        return;
    if (e == SP_OK) {
        e = sp_stored_memory_read(ret, data, len);
        spl_file_free(data, len);
    }
    if (e != SP_OK)
        spl_say("warning: %s/memory is not readable (%s); addresses published before stay until their lease ends",
                s->path, sp_err_text(e));
}

sp_err spl_state_memory_write(const struct spl_state *s, const struct sp_agent_memory *memory, struct spl_error *err) {
    uint8_t data[SP_STORED_MAX];
    return spl_file_write(s->dirfd, "memory", data, sp_stored_memory_write(memory, data), err);
}
