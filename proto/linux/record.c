#define _GNU_SOURCE
#include "proto/linux/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/bytes.h"

#ifdef SPL_RECORD

#define READS_MAX 4096

struct spl_record {
    FILE *file;
    struct spl_core core; /* the one that is recorded */
    size_t config_size;
    uint8_t *body; /* of the record being made */
    size_t len, cap;
    struct sp_blk_req reads[READS_MAX]; /* asked for, not completed */
    unsigned n_reads;
};

/* ---- writing ---- */

static void put(struct spl_record *r, const void *data, size_t len) {
    if (r->len + len > r->cap) {
        r->cap = (r->len + len) * 2;
        r->body = realloc(r->body, r->cap);
        SP_ASSERT(r->body != NULL);
    }
    if (len > 0)
        memcpy(r->body + r->len, data, len);
    r->len += len;
}

static void put_u32(struct spl_record *r, uint32_t v) {
    put(r, &v, sizeof v);
}

static void put_clocks(struct spl_record *r, sp_instant now, sp_wall wall) {
    put(r, &now, sizeof now);
    put(r, &wall, sizeof wall);
}

/* In the file before the core is called, so that a crash finds its cause there. */
static void end(struct spl_record *r, enum spl_record_kind kind) {
    uint8_t tag = (uint8_t)kind;
    uint32_t len = (uint32_t)r->len;
    if (fwrite(&tag, 1, 1, r->file) != 1 || fwrite(&len, sizeof len, 1, r->file) != 1 ||
        (len > 0 && fwrite(r->body, len, 1, r->file) != 1) || fflush(r->file) != 0)
        spl_say("cannot write the recording: it is of no use any more");
    r->len = 0;
}

/* ---- between loop and core ---- */

/* A completed read: what the host has put into the core's buffer. */
static void put_read(struct spl_record *r, uint64_t id) {
    for (unsigned i = 0; i < r->n_reads; i++)
        if (r->reads[i].id == id) {
            put(r, r->reads[i].buf, (size_t)r->reads[i].count * SP_BLK_SIZE);
            r->reads[i] = r->reads[--r->n_reads];
            return;
        }
}

static sp_err on_input(void *ctx, sp_instant now, sp_wall wall, const struct sp_in *in, size_t n, size_t *taken) {
    struct spl_record *r = ctx;
    put_clocks(r, now, wall);
    put_u32(r, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        struct sp_in bare = in[i];
        size_t at = r->len;
        put(r, &bare, sizeof bare);
        put(r, in[i].data, in[i].data != NULL ? in[i].len : 0);
        if (in[i].kind == SP_IN_BLK) {
            size_t before = r->len;
            put_read(r, in[i].id);
            bare.len = r->len - before;
        }
        bare.data = NULL;
        memcpy(r->body + at, &bare, sizeof bare);
    }
    end(r, SPL_RECORD_INPUT);
    sp_err err = r->core.input(r->core.ctx, now, wall, in, n, taken);
    int32_t code = err;
    put(r, &code, sizeof code);
    put_u32(r, (uint32_t)*taken);
    end(r, SPL_RECORD_TAKEN);
    return err;
}

static void on_expire(void *ctx, sp_instant now, sp_wall wall) {
    struct spl_record *r = ctx;
    put_clocks(r, now, wall);
    end(r, SPL_RECORD_EXPIRE);
    r->core.expire(r->core.ctx, now, wall);
}

static sp_instant on_deadline(void *ctx) {
    struct spl_record *r = ctx;
    return r->core.deadline(r->core.ctx);
}

static size_t on_output(void *ctx, sp_instant now, sp_wall wall, struct sp_out *out, size_t room) {
    struct spl_record *r = ctx;
    size_t n = r->core.output(r->core.ctx, now, wall, out, room);
    put_clocks(r, now, wall);
    put_u32(r, (uint32_t)room);
    put_u32(r, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        struct sp_out bare = out[i];
        bare.data = NULL;
        put(r, &bare, sizeof bare);
        put(r, out[i].data, out[i].len);
    }
    end(r, SPL_RECORD_OUTPUT);
    return n;
}

static void put_event(struct spl_record *r, const struct sp_event *ev) {
    struct sp_event bare = *ev;
    bare.blk.buf = NULL;
    bare.text = NULL;
    bare.data = NULL;
    put(r, &bare, sizeof bare);
    if (ev->kind == SP_EV_FORWARD)
        put(r, ev->data, ev->len);
    if (ev->kind != SP_EV_BLK)
        return;
    if (ev->blk.op == SP_BLK_WRITE)
        put(r, ev->blk.buf, (size_t)ev->blk.count * SP_BLK_SIZE);
    if (ev->blk.op == SP_BLK_READ) {
        SP_ASSERT(r->n_reads < READS_MAX);
        r->reads[r->n_reads++] = ev->blk;
    }
}

static bool on_event(void *ctx, struct sp_event *ret) {
    struct spl_record *r = ctx;
    bool some = r->core.event(r->core.ctx, ret);
    put_u32(r, some);
    if (some)
        put_event(r, ret);
    end(r, SPL_RECORD_EVENT);
    return some;
}

static void on_stop(void *ctx, sp_instant now) {
    struct spl_record *r = ctx;
    put(r, &now, sizeof now);
    end(r, SPL_RECORD_STOP);
    r->core.stop(r->core.ctx, now);
}

/* ---- what the core's host hears: passed on ---- */

static void on_turned(void *ctx) {
    struct spl_record *r = ctx;
    r->core.turned(r->core.ctx);
}

static void on_refused(void *ctx, sp_err err, const struct sp_in *in) {
    struct spl_record *r = ctx;
    r->core.refused(r->core.ctx, err, in);
}

static void on_replied(void *ctx, uint64_t id, const uint8_t *data, size_t len) {
    struct spl_record *r = ctx;
    r->core.replied(r->core.ctx, id, data, len);
}

static void on_given(void *ctx, const struct sp_out *out) {
    struct spl_record *r = ctx;
    r->core.given(r->core.ctx, out);
}

static void on_effect(void *ctx, const struct sp_event *ev) {
    struct spl_record *r = ctx;
    r->core.effect(r->core.ctx, ev);
}

void spl_record_wrap(struct spl_record *r, struct spl_core *core) {
    if (r == NULL)
        return;
    r->core = *core;
    core->ctx = r;
    core->input = on_input;
    core->expire = on_expire;
    core->deadline = on_deadline;
    core->output = on_output;
    core->event = on_event;
    core->stop = core->stop != NULL ? on_stop : NULL;
    core->turned = core->turned != NULL ? on_turned : NULL;
    core->refused = core->refused != NULL ? on_refused : NULL;
    core->replied = core->replied != NULL ? on_replied : NULL;
    core->given = core->given != NULL ? on_given : NULL;
    core->effect = core->effect != NULL ? on_effect : NULL;
}

/* ---- the file ---- */

sp_err spl_record_open(struct spl_record **ret, const char *path, enum spl_record_core core, size_t config_size,
                       struct spl_error *err) {
    struct spl_record_head head = {
        SPL_RECORD_MAGIC,        core, (uint32_t)config_size, sizeof(struct sp_in), sizeof(struct sp_out),
        sizeof(struct sp_event), 0};
    *ret = NULL;
    if (path == NULL)
        return SP_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return spl_error_errno(err, "cannot create the recording %s", path);
    struct spl_record *r = calloc(1, sizeof *r);
    FILE *file = fdopen(fd, "wb");
    if (r == NULL || file == NULL || fwrite(&head, sizeof head, 1, file) != 1) {
        close(fd);
        free(r);
        return spl_error_set(err, SP_ERR_IO, "cannot write the recording %s", path);
    }
    r->file = file;
    r->config_size = config_size;
    *ret = r;
    return SP_OK;
}

void spl_record_made(struct spl_record *r, const void *config, sp_instant now, sp_wall wall) {
    if (r == NULL)
        return;
    put_clocks(r, now, wall);
    put(r, config, r->config_size);
    end(r, SPL_RECORD_MADE);
}

void spl_record_called(struct spl_record *r, enum spl_record_call which, sp_instant now) {
    if (r == NULL)
        return;
    put(r, &now, sizeof now);
    put_u32(r, (uint32_t)which);
    end(r, SPL_RECORD_CALL);
}

void spl_record_close(struct spl_record *r) {
    if (r == NULL)
        return;
    fclose(r->file);
    explicit_bzero(r->body, r->cap);
    free(r->body);
    free(r);
}

#endif
