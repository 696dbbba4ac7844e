/* Operators' keys in files, and the file that says how to reach a signpost. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/linux/clock.h"
#include "proto/linux/file.h"
#include "signpostd/ctl/afar.h"

#define KEY_FILE_MAX 4096u
#define KEY_WORD     "signpost-operator-key-1"

/* ---- keys ---- */

static sp_err write_new(const char *path, const char *text, size_t len, struct spl_error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return spl_error_set(err, SP_ERR_EXIST, "%s is there already, and is left as it is; name another file", path);
    if (fd < 0)
        return spl_error_errno(err, "cannot make %s", path);
    bool ok = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    sp_err e = ok ? SP_OK : spl_error_errno(err, "cannot write %s", path);
    close(fd);
    if (!ok)
        unlink(path);
    return e;
}

sp_err ctl_opkey_make(const char *path, char ret_pub[CTL_KEY_TEXT + 1], struct spl_error *err) {
    struct sp_ed25519 key;
    uint8_t seed[SP_ED25519_SEED];
    char text[512], secret[CTL_KEY_TEXT + 1] = "";
    spl_seed(seed, sizeof seed);
    sp_ed25519_from_seed(&key, seed);
    sp_base64_encode(seed, sizeof seed, secret, CTL_KEY_TEXT);
    ret_pub[sp_base64_encode(key.pub, sizeof key.pub, ret_pub, CTL_KEY_TEXT)] = 0;
    int n = snprintf(text, sizeof text,
                     "# An operator's key for signpostctl: a secret. Its public half is for signpostd --operator and a "
                     "guest's operator=:\n# %s\n" KEY_WORD " %s\n",
                     ret_pub, secret);
    sp_err e = write_new(path, text, (size_t)n, err);
    sp_wipe(&key, sizeof key);
    sp_wipe(seed, sizeof seed);
    sp_wipe(secret, sizeof secret);
    sp_wipe(text, sizeof text);
    return e;
}

static sp_err private_only(const char *path, struct spl_error *err) {
    struct stat st;
    if (stat(path, &st) != 0)
        return spl_error_errno(err, "cannot read the operator's key %s", path);
    if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0)
        return spl_error_set(err, SP_ERR_DENIED,
                             "others may read the operator's key %s; make it yours alone: chmod 600 %s", path, path);
    return SP_OK;
}

/* The word behind KEY_WORD. */
static bool read_seed(const char *text, uint8_t ret[SP_ED25519_SEED]) {
    const char *line = text;
    size_t len = strlen(KEY_WORD), got;
    for (; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, KEY_WORD " ", len + 1) == 0)
            return sp_base64_decode(line + len + 1, strcspn(line + len + 1, "\r\n"), ret, SP_ED25519_SEED, &got) ==
                       SP_OK &&
                   got == SP_ED25519_SEED;
    }
    return false;
}

sp_err ctl_opkey_read(const char *path, struct sp_ed25519 *ret, struct spl_error *err) {
    uint8_t *text, seed[SP_ED25519_SEED];
    size_t len;
    SP_TRY(private_only(path, err));
    SP_TRY(spl_file_read(AT_FDCWD, path, KEY_FILE_MAX, &text, &len, err));
    bool ok = read_seed((const char *)text, seed);
    spl_file_free(text, len);
    if (ok)
        sp_ed25519_from_seed(ret, seed);
    sp_wipe(seed, sizeof seed);
    return ok ? SP_OK
              : spl_error_set(err, SP_ERR_FORM, "%s is no operator's key; `signpostctl operator-key FILE` makes one",
                              path);
}

/* ---- the place ---- */

void ctl_place_free(struct ctl_place *p) {
    free(p->at);
    free(p->key);
    free(p->signpost);
    *p = (struct ctl_place){0};
}

/* A file named in another one is beside that. */
static char *beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    char *ret;
    if (name[0] == '/' || slash == NULL)
        return strdup(name);
    return asprintf(&ret, "%.*s/%s", (int)(slash - path), path, name) < 0 ? NULL : ret;
}

static bool set(struct ctl_place *p, const char *path, const char *name, const char *value) {
    char **to = strcmp(name, "at") == 0         ? &p->at
                : strcmp(name, "key") == 0      ? &p->key
                : strcmp(name, "signpost") == 0 ? &p->signpost
                                                : NULL;
    if (to == NULL)
        return false;
    if (*to == NULL)
        *to = to == &p->key ? beside(path, value) : strdup(value);
    return true;
}

static sp_err read_line(struct ctl_place *p, const char *path, unsigned number, char *line, struct spl_error *err) {
    char name[16] = "", value[512] = "";
    line[strcspn(line, "#\r")] = 0;
    if (line[strspn(line, " \t")] == 0)
        return SP_OK;
    if (sscanf(line, " %15[a-z] = %511s", name, value) == 2 && set(p, path, name, value))
        return SP_OK;
    return spl_error_set(err, SP_ERR_FORM, "%s:%u: this is none of: at = ADDR[:PORT], key = FILE, signpost = KEY", path,
                         number);
}

sp_err ctl_place_read(struct ctl_place *p, const char *path, struct spl_error *err) {
    uint8_t *text;
    size_t len;
    unsigned number = 1;
    SP_TRY(spl_file_read(AT_FDCWD, path, KEY_FILE_MAX, &text, &len, err));
    sp_err e = SP_OK;
    for (char *at = (char *)text, *line; e == SP_OK && (line = strsep(&at, "\n")) != NULL; number++)
        e = read_line(p, path, number, line, err);
    spl_file_free(text, len);
    return e;
}
