/* Keys: reading their files, and finding the zone that is meant. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proto/linux/file.h"
#include "signpostd/ctl/ctl.h"
#include "signpostd/ctl/keyfile.h"

static int read_key(const char *path, struct spl_key *ret) {
    struct spl_error err;
    uint8_t *text;
    size_t len;
    if (spl_file_read(AT_FDCWD, path, SPL_KEYFILE_MAX, &text, &len, &err) != SP_OK) {
        spl_say("%s", err.text);
        return CTL_FAILED;
    }
    unsigned line = 0;
    const char *what = "no key";
    sp_err e = spl_key_read(ret, (const char *)text, len, &line, &what);
    spl_file_free(text, len);
    if (e == SP_OK)
        return CTL_OK;
    explicit_bzero(ret, sizeof *ret);
    spl_say("%s:%u: %s", path, line, what);
    return CTL_FAILED;
}

/* The zone that a name lies in; for a TSIG key's name, which may be any, the only zone there is. */
static int find_zone(struct ctl *c, const struct sp_name *name, char ret[SP_NAME_TEXT_MAX]) {
    struct ctl_request r;
    int status;
    if (c->zone != NULL) {
        if (strlen(c->zone) >= SP_NAME_TEXT_MAX) {
            spl_say("the zone's name is too long");
            return CTL_USAGE;
        }
        strcpy(ret, c->zone);
        return CTL_OK;
    }
    ctl_request_begin(&r, SP_OP_ZONE_LIST, 16);
    json_t *reply = ctl_send(c, &r, NULL, &status), *row;
    if (reply == NULL)
        return status;
    const json_t *zones = json_object_get(reply, "zones");
    size_t i;
    int labels = -1;
    ret[0] = 0;
    json_array_foreach(zones, i, row) {
        const char *text = json_string_value(json_object_get(row, "zone"));
        struct sp_name apex;
        if (text == NULL || sp_name_from_text(&apex, text, strlen(text), NULL) != SP_OK)
            continue;
        bool holds =
            name == NULL ? json_array_size(zones) == 1 : sp_name_under(name, &apex) || json_array_size(zones) == 1;
        if (holds && apex.labels > labels) {
            labels = apex.labels;
            sp_name_to_text(&apex, ret);
        }
    }
    json_decref(reply);
    if (labels >= 0)
        return CTL_OK;
    spl_say("which zone is meant? Say it with --zone ZONE; `signpostctl zone list` shows them");
    return CTL_FAILED;
}

int ctl_key_add(struct ctl *c) {
    struct spl_key key;
    struct ctl_request r;
    char zone[SP_NAME_TEXT_MAX], name[SP_NAME_TEXT_MAX];
    int status = read_key(c->args[0], &key);
    if (status != CTL_OK)
        return status;
    status = find_zone(c, &key.name, zone);
    json_t *reply = NULL;
    if (status == CTL_OK) {
        sp_name_to_text(&key.name, name);
        ctl_request_begin(&r, SP_OP_KEY_ADD, 4 * SP_NAME_TEXT_MAX + key.len);
        ctl_request_text(&r, zone);
        ctl_request_text(&r, key.kind == SPL_KEY_TSIG ? "tsig" : "key");
        ctl_request_text(&r, name);
        ctl_request_text(&r, key.algorithm);
        ctl_request_arg(&r, key.bytes, key.len);
        ctl_request_text(&r, c->policy != NULL ? c->policy : "");
        reply = ctl_send(c, &r, NULL, &status);
    }
    explicit_bzero(&key, sizeof key);
    return reply == NULL ? status : ctl_show(c, reply);
}

int ctl_key_remove(struct ctl *c) {
    struct spl_key key = {0};
    struct ctl_request r;
    char zone[SP_NAME_TEXT_MAX], name[SP_NAME_TEXT_MAX];
    const char *what = c->args[0];
    int status = CTL_OK;
    if (access(what, F_OK) == 0)
        status = read_key(what, &key);
    else if (sp_name_from_text(&key.name, what, strlen(what), NULL) != SP_OK) {
        spl_say("'%s' is neither a key file nor the name of a key", what);
        status = CTL_FAILED;
    }
    if (status == CTL_OK)
        status = find_zone(c, &key.name, zone);
    json_t *reply = NULL;
    if (status == CTL_OK) {
        sp_name_to_text(&key.name, name);
        ctl_request_begin(&r, SP_OP_KEY_REMOVE, 2 * SP_NAME_TEXT_MAX);
        ctl_request_text(&r, zone);
        ctl_request_text(&r, name);
        reply = ctl_send(c, &r, NULL, &status);
    }
    explicit_bzero(&key, sizeof key);
    return reply == NULL ? status : ctl_show(c, reply);
}

int ctl_key_list(struct ctl *c) {
    struct ctl_request r;
    char zone[SP_NAME_TEXT_MAX];
    if (c->arg_count > 0)
        c->zone = c->args[0];
    int status = find_zone(c, NULL, zone);
    if (status != CTL_OK)
        return status;
    ctl_request_begin(&r, SP_OP_KEY_LIST, SP_NAME_TEXT_MAX);
    ctl_request_text(&r, zone);
    json_t *reply = ctl_send(c, &r, NULL, &status);
    return reply == NULL ? status : ctl_show(c, reply);
}
