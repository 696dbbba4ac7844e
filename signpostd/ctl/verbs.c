/* The verbs of signpostctl, keys and conf-check aside. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/linux/file.h"
#include "proto/linux/unix.h"
#include "signpostd/ctl/ctl.h"
#include "signpostd/linux/prometheus.h"

/* A request of the command line's arguments as they are, its reply printed. */
static int plain(struct ctl *c, enum sp_op_verb verb, const char *text_key) {
    struct ctl_request r;
    int status;
    ctl_request_begin(&r, verb, 256);
    for (unsigned i = 0; i < c->arg_count; i++)
        ctl_request_text(&r, c->args[i]);
    json_t *reply = ctl_send(c, &r, NULL, &status);
    if (reply == NULL)
        return status;
    return text_key != NULL ? ctl_show_text(c, reply, text_key) : ctl_show(c, reply);
}

static int run_status(struct ctl *c) {
    return plain(c, SP_OP_STATUS, NULL);
}

static int run_zone_add(struct ctl *c) {
    struct ctl_request r;
    int status;
    ctl_request_begin(&r, SP_OP_ZONE_ADD, 256);
    ctl_request_text(&r, c->args[0]);
    ctl_request_text(&r, c->ns != NULL ? c->ns : "");
    for (unsigned i = 0; i < c->address_count; i++)
        ctl_request_text(&r, c->addresses[i]);
    json_t *reply = ctl_send(c, &r, NULL, &status);
    return reply == NULL ? status : ctl_show(c, reply);
}

static int run_zone_list(struct ctl *c) {
    return plain(c, SP_OP_ZONE_LIST, NULL);
}

static int run_zone_import(struct ctl *c) {
    struct spl_error err;
    struct ctl_request r;
    uint8_t *text;
    size_t len;
    int status;
    const char *path = c->args[1];
    if (spl_file_read(AT_FDCWD, path, SP_OP_REQUEST_MAX - 4096, &text, &len, &err) != SP_OK) {
        spl_say("%s", err.text);
        return CTL_FAILED;
    }
    char what[300];
    snprintf(what, sizeof what, "%.280s: ", strcmp(path, "-") == 0 ? "standard input" : path);
    ctl_request_begin(&r, SP_OP_ZONE_IMPORT, len + 512);
    ctl_request_text(&r, c->args[0]);
    ctl_request_arg(&r, text, len);
    spl_file_free(text, len);
    json_t *reply = ctl_send(c, &r, what, &status);
    return reply == NULL ? status : ctl_show(c, reply);
}

/* Joins the pages of a reply: texts one behind the other, lists into one. False: no memory. */
static bool join(json_t *all, json_t *page) {
    const char *key;
    json_t *v;
    json_object_foreach(page, key, v) {
        json_t *have = json_object_get(all, key);
        if (json_is_array(have)) {
            if (json_array_extend(have, v) != 0)
                return false;
        } else if (json_is_string(have) && strcmp(key, "text") == 0) {
            json_t *both = json_sprintf("%s%s", json_string_value(have), json_string_value(v));
            if (both == NULL || json_object_set_new(all, key, both) != 0)
                return false;
        } else if (json_object_set(all, key, v) != 0) {
            return false;
        }
    }
    return true;
}

/* Asks page by page, by the continuation "more". stream: text is printed as it comes instead of being joined. */
static int pages(struct ctl *c, enum sp_op_verb verb, bool stream, json_t **ret) {
    json_t *all = json_object();
    char more[256] = "";
    do {
        struct ctl_request r;
        int status;
        ctl_request_begin(&r, verb, 512);
        ctl_request_text(&r, c->args[0]);
        ctl_request_text(&r, more);
        json_t *page = ctl_send(c, &r, NULL, &status);
        if (page == NULL) {
            json_decref(all);
            return status;
        }
        const char *next = json_string_value(json_object_get(page, "more"));
        snprintf(more, sizeof more, "%s", next != NULL ? next : "");
        json_object_del(page, "more");
        if (stream && json_is_string(json_object_get(page, "text"))) {
            fputs(json_string_value(json_object_get(page, "text")), stdout);
            json_object_del(page, "text");
        }
        bool joined = join(all, page);
        json_decref(page);
        if (!joined) {
            json_decref(all);
            spl_say("no memory for the reply");
            return CTL_FAILED;
        }
    } while (more[0] != 0);
    *ret = all;
    return CTL_OK;
}

static int run_zone_export(struct ctl *c) {
    json_t *all;
    int status = pages(c, SP_OP_ZONE_EXPORT, !c->json, &all);
    return status != CTL_OK ? status : ctl_show_text(c, all, "text");
}

static int run_zone_ds(struct ctl *c) {
    return plain(c, SP_OP_ZONE_DS, "ds");
}

static int run_zone_remove(struct ctl *c) {
    return plain(c, SP_OP_ZONE_REMOVE, NULL);
}

static int run_invite(struct ctl *c) {
    struct ctl_request r;
    int status;
    char ttl[24];
    snprintf(ttl, sizeof ttl, "%" PRIu64, c->ttl_s);
    ctl_request_begin(&r, SP_OP_INVITE, 512);
    ctl_request_text(&r, c->args[0]);
    ctl_request_text(&r, c->args[1]);
    ctl_request_text(&r, ttl);
    for (unsigned i = 0; i < c->address_count; i++)
        ctl_request_text(&r, c->addresses[i]);
    json_t *reply = ctl_send(c, &r, NULL, &status);
    if (reply == NULL)
        return status;
    if (!c->json && isatty(STDERR_FILENO))
        spl_say("give this token to the device, once and in private; there: signpost-agent join, and paste it");
    return ctl_show_text(c, reply, "token");
}

static int run_device_list(struct ctl *c) {
    json_t *all;
    int status = pages(c, SP_OP_DEVICE_LIST, false, &all);
    return status != CTL_OK ? status : ctl_show(c, all);
}

static int run_device_revoke(struct ctl *c) {
    return plain(c, SP_OP_DEVICE_REVOKE, NULL);
}

static int run_log(struct ctl *c) {
    return plain(c, SP_OP_LOG, NULL);
}

static int run_metrics(struct ctl *c) {
    if (c->json)
        return plain(c, SP_OP_METRICS, NULL);
    struct ctl_request r;
    uint8_t *reply;
    size_t len;
    ctl_request_begin(&r, SP_OP_METRICS, 64);
    int status = ctl_send_raw(c, &r, NULL, &reply, &len);
    if (status != CTL_OK)
        return status;
    char *text;
    size_t text_len;
    sp_err e = spl_prometheus_text(reply, len, &text, &text_len);
    spl_file_free(reply, len);
    if (e != SP_OK) {
        spl_say("the reply of signpostd is not understood (%s)", sp_err_text(e));
        return CTL_FAILED;
    }
    size_t put = fwrite(text, 1, text_len, stdout);
    free(text);
    return put == text_len && fflush(stdout) == 0 ? CTL_OK : CTL_FAILED;
}

/* Whether nobody listens on the control socket any more, waiting for at most 20 s. */
static bool gone(const char *dir) {
    int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; dirfd >= 0 && i < 1000; i++) {
        int fd;
        if (spl_unix_connect(dirfd, "control.sock", &fd, NULL) != SP_OK) {
            close(dirfd);
            return true;
        }
        close(fd);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    if (dirfd >= 0)
        close(dirfd);
    return dirfd < 0;
}

static int run_stop(struct ctl *c) {
    int status = plain(c, SP_OP_STOP, NULL);
    if (status != CTL_OK || c->place.at != NULL || gone(c->data))
        return status;
    spl_say("signpostd on %s has not ended after 20 s", c->data);
    return CTL_FAILED;
}

const struct ctl_verb ctl_verbs[] = {
    {"status", "", "how the server does", 0, 0, 0, run_status},
    {"zone add", "ZONE [--ns NAME] [--address ADDR]...", "make a zone with keys of its own, and print its DS", 1, 1,
     TAKES_NS | TAKES_ADDRESS, run_zone_add},
    {"zone list", "", "the zones", 0, 0, 0, run_zone_list},
    {"zone import", "ZONE FILE", "replace a zone's imported records by those of a zone file (- is standard input)", 2,
     2, 0, run_zone_import},
    {"zone export", "ZONE", "a zone as zone text", 1, 1, 0, run_zone_export},
    {"zone ds", "ZONE", "the DS record for the parent zone", 1, 1, 0, run_zone_ds},
    {"zone remove", "ZONE", "remove a zone, its devices and its keys", 1, 1, 0, run_zone_remove},
    {"invite", "ZONE NAME [--ttl 1d] [--address ADDR[:PORT]]...", "print a one-use token with which a device joins", 2,
     2, TAKES_TTL | TAKES_ADDRESS, run_invite},
    {"device list", "ZONE", "the devices of a zone", 1, 1, 0, run_device_list},
    {"device revoke", "ZONE NAME", "remove a device: its key, address and what it published", 2, 2, 0,
     run_device_revoke},
    {"key add", "FILE [--zone ZONE] [--policy TEXT]", "let a key of tsig-keygen or dnssec-keygen write", 1, 1,
     TAKES_ZONE | TAKES_POLICY, ctl_key_add},
    {"key remove", "FILE|NAME [--zone ZONE]", "take a key away", 1, 1, TAKES_ZONE, ctl_key_remove},
    {"key list", "[ZONE]", "keys and invites", 0, 1, TAKES_ZONE, ctl_key_list},
    {"log", "ZONE", "the end of a zone's history", 1, 1, 0, run_log},
    {"metrics", "", "counters, as Prometheus text", 0, 0, 0, run_metrics},
    {"stop", "", "stop the server", 0, 0, 0, run_stop},
    {"conf-check", "[FILE]", "check a configuration file (default: /etc/signpost/signpostd.conf)", 0, 1, NEEDS_NO_DATA,
     ctl_conf_check},
    {"operator-key", "FILE", "make an operator's key, and print its public half for --operator and operator=", 1, 1,
     NEEDS_NO_DATA, ctl_operator_key},
    {NULL, NULL, NULL, 0, 0, 0, NULL},
};
