/* sim-replay FILE [--verbose]: makes the core of a recording (proto/linux/record.h) again, feeds it the same calls, and
 * demands the same outputs, byte for byte. Exits 1 at the first difference, which it describes; run it in a debugger to
 * see how it comes about. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/core/agent.h"
#include "proto/crypto/crypto.h"
#include "proto/linux/record.h"
#include "signpostd/core/server.h"
#include "tests/support/support.h"

#define READS_MAX 4096
#define OUT_MAX   4096

struct replay {
    uint8_t *file;
    size_t len, pos;
    size_t record; /* where the record at hand starts */
    uint64_t number;
    struct spl_record_head head;
    bool verbose;
    struct sp_server *server;
    struct sp_agent *agent;
    struct sp_blk_req reads[READS_MAX];
    unsigned n_reads;
    sp_err err; /* of the newest input */
    size_t taken;
    void **kept; /* data of the newest inputs: outputs may borrow it */
    size_t n_kept;
    uint64_t inputs, outputs, effects;
};

static _Noreturn void differ(struct replay *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void differ(struct replay *r, const char *format, ...) {
    va_list args;
    fflush(stdout);
    fprintf(stderr, "sim-replay: record %" PRIu64 " (at byte %zu): ", r->number, r->record);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    exit(1);
}

/* ---- reading ---- */

static const uint8_t *take(struct replay *r, size_t len) {
    if (r->len - r->pos < len)
        differ(r, "the file ends within a record");
    r->pos += len;
    return r->file + r->pos - len;
}

static void take_into(struct replay *r, void *ret, size_t len) {
    memcpy(ret, take(r, len), len);
}

static uint32_t take_u32(struct replay *r) {
    uint32_t v;
    take_into(r, &v, sizeof v);
    return v;
}

struct clocks {
    sp_instant now;
    sp_wall wall;
};

static struct clocks take_clocks(struct replay *r) {
    struct clocks c;
    take_into(r, &c.now, sizeof c.now);
    take_into(r, &c.wall, sizeof c.wall);
    return c;
}

/* ---- the core ---- */

static void make(struct replay *r) {
    struct clocks c = take_clocks(r);
    if (r->server != NULL || r->agent != NULL)
        differ(r, "the core is made twice");
    if (r->head.core == SPL_RECORD_SERVER) {
        struct sp_server_config config;
        take_into(r, &config, sizeof config);
        config.grant = sp_test_grant();
        config.trace = (struct sp_trace){0};
        if (sp_server_new(&r->server, &config, c.now, c.wall) != SP_OK)
            differ(r, "the server cannot be made");
    } else {
        struct sp_agent_config config;
        take_into(r, &config, sizeof config);
        config.overlay.grant = sp_test_grant();
        config.overlay.aead = (struct sp_aead){0};
        config.trace = (struct sp_trace){0};
        r->agent = calloc(1, sp_agent_size());
        if (sp_agent_init(r->agent, &config, c.now) != SP_OK)
            differ(r, "the agent cannot be made");
    }
}

static void call(struct replay *r) {
    sp_instant now;
    take_into(r, &now, sizeof now);
    uint32_t which = take_u32(r);
    if (r->agent == NULL || which != SPL_RECORD_UP || sp_agent_up(r->agent, now) != SP_OK)
        differ(r, "a call %u that cannot be made", which);
}

/* Data of its own, aligned and writable, as long as outputs may borrow it. */
static uint8_t *keep(struct replay *r, const uint8_t *data, size_t len) {
    void *p = malloc(len + 1);
    memcpy(p, data, len);
    r->kept = realloc(r->kept, (r->n_kept + 1) * sizeof *r->kept);
    r->kept[r->n_kept++] = p;
    return p;
}

static void forget(struct replay *r) {
    for (size_t i = 0; i < r->n_kept; i++)
        free(r->kept[i]);
    r->n_kept = 0;
}

static void complete_read(struct replay *r, struct sp_in *in, const uint8_t *data) {
    for (unsigned i = 0; i < r->n_reads; i++)
        if (r->reads[i].id == in->id) {
            if (in->len > (size_t)r->reads[i].count * SP_BLK_SIZE)
                differ(r, "more was read than asked for");
            memcpy(r->reads[i].buf, data, in->len);
            r->reads[i] = r->reads[--r->n_reads];
            break;
        }
    in->len = 0;
}

static void input(struct replay *r) {
    struct clocks c = take_clocks(r);
    uint32_t n = take_u32(r);
    forget(r);
    struct sp_in *in = calloc(n + 1, sizeof *in);
    for (uint32_t i = 0; i < n; i++) {
        take_into(r, &in[i], sizeof in[i]);
        const uint8_t *data = take(r, in[i].len);
        if (in[i].kind == SP_IN_BLK)
            complete_read(r, &in[i], data);
        else if (in[i].len > 0)
            in[i].data = keep(r, data, in[i].len);
    }
    r->taken = 0;
    r->inputs += n;
    r->err = r->server != NULL ? sp_server_input(r->server, c.now, c.wall, in, n, &r->taken)
                               : sp_agent_input(r->agent, c.now, c.wall, in, n, &r->taken);
    free(in);
}

static void taken(struct replay *r) {
    int32_t err = (int32_t)take_u32(r);
    uint32_t n = take_u32(r);
    if (err != r->err || n != r->taken)
        differ(r, "input took %zu (%s), in the recording %u (%s)", r->taken, sp_err_name(r->err), n,
               sp_err_name((sp_err)err));
}

static void expire(struct replay *r) {
    struct clocks c = take_clocks(r);
    forget(r);
    if (r->server != NULL)
        sp_server_expire(r->server, c.now, c.wall);
    else
        sp_agent_expire(r->agent, c.now, c.wall);
}

/* ---- outputs ---- */

static bool same_addr(const struct sp_addr *a, const struct sp_addr *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static bool same_offload(const struct sp_offload *a, const struct sp_offload *b) {
    return a->gso == b->gso && a->needs_csum == b->needs_csum && a->hdr_len == b->hdr_len &&
           a->gso_size == b->gso_size && a->csum_start == b->csum_start && a->csum_offset == b->csum_offset;
}

static void compare_out(struct replay *r, const struct sp_out *got) {
    struct sp_out want;
    take_into(r, &want, sizeof want);
    const uint8_t *data = take(r, want.len);
    if (got->kind != want.kind || got->id != want.id || got->len != want.len)
        differ(r,
               "an output of kind %d, id %" PRIu64 ", %zu bytes; in the recording kind %d, id %" PRIu64 ", %zu bytes",
               got->kind, got->id, got->len, want.kind, want.id, want.len);
    if (!same_addr(&got->src, &want.src) || !same_addr(&got->dst, &want.dst))
        differ(r, "an output to another address");
    if (got->segment != want.segment || got->ecn != want.ecn || !same_offload(&got->offload, &want.offload))
        differ(r, "an output with another segment size, ECN or offload");
    for (size_t i = 0; i < want.len; i++)
        if (got->data[i] != data[i])
            differ(r, "byte %zu of %zu of an output of kind %d is %02x, in the recording %02x", i, want.len, got->kind,
                   got->data[i], data[i]);
    r->outputs++;
}

static void output(struct replay *r) {
    static struct sp_out out[OUT_MAX];
    struct clocks c = take_clocks(r);
    uint32_t room = take_u32(r), n = take_u32(r);
    if (room > OUT_MAX)
        differ(r, "too many outputs at once");
    size_t got = r->server != NULL ? sp_server_output(r->server, c.now, out, room)
                                   : sp_agent_output(r->agent, c.now, c.wall, out, room);
    if (got != n)
        differ(r, "%zu outputs, in the recording %u", got, n);
    for (uint32_t i = 0; i < n; i++)
        compare_out(r, &out[i]);
}

static void compare_blk(struct replay *r, const struct sp_blk_req *got, const struct sp_blk_req *want) {
    if (got->id != want->id || got->op != want->op || got->block != want->block || got->count != want->count)
        differ(r, "block request: op %d, block %" PRIu64 ", %u of them; in the recording op %d, block %" PRIu64 ", %u",
               got->op, got->block, got->count, want->op, want->block, want->count);
    if (got->op == SP_BLK_WRITE &&
        memcmp(got->buf, take(r, (size_t)got->count * SP_BLK_SIZE), (size_t)got->count * SP_BLK_SIZE) != 0)
        differ(r, "other bytes are written to block %" PRIu64, got->block);
    if (got->op != SP_BLK_READ)
        return;
    if (r->n_reads == READS_MAX)
        differ(r, "too many reads at once");
    r->reads[r->n_reads++] = *got;
}

static void event(struct replay *r) {
    struct sp_event got, want;
    uint32_t some = take_u32(r);
    bool have = r->server != NULL ? sp_server_event(r->server, &got) : sp_agent_event(r->agent, &got);
    if (have != (some != 0))
        differ(r, "%s effect, in the recording %s", have ? "an" : "no", some != 0 ? "one" : "none");
    if (!have)
        return;
    take_into(r, &want, sizeof want);
    if (got.kind != want.kind)
        differ(r, "an effect of kind %d, in the recording %d", got.kind, want.kind);
    r->effects++;
    if (got.kind == SP_EV_BLK)
        compare_blk(r, &got.blk, &want.blk);
    else if ((got.kind == SP_EV_CONNECT || got.kind == SP_EV_FORWARD) && got.id != want.id)
        differ(r, "an effect with another id");
    if (got.kind == SP_EV_CONNECT && !same_addr(&got.addr, &want.addr))
        differ(r, "a connection to another address");
    if (got.kind == SP_EV_FORWARD && (got.len != want.len || memcmp(got.data, take(r, want.len), want.len) != 0))
        differ(r, "another query is forwarded");
}

static void stop(struct replay *r) {
    sp_instant now;
    take_into(r, &now, sizeof now);
    if (r->server != NULL)
        sp_server_stop(r->server, now);
    else
        sp_agent_quit(r->agent, now);
}

/* ---- the file ---- */

static void (*const STEPS[])(struct replay *r) = {
    [SPL_RECORD_MADE] = make,     [SPL_RECORD_CALL] = call,     [SPL_RECORD_INPUT] = input, [SPL_RECORD_TAKEN] = taken,
    [SPL_RECORD_EXPIRE] = expire, [SPL_RECORD_OUTPUT] = output, [SPL_RECORD_EVENT] = event, [SPL_RECORD_STOP] = stop,
};
static const char *const NAMES[] = {"", "made", "call", "input", "taken", "expire", "output", "event", "stop"};

static void step(struct replay *r) {
    r->record = r->pos;
    r->number++;
    uint8_t kind = *take(r, 1);
    uint32_t len = take_u32(r);
    size_t until = r->pos + len;
    if (kind == 0 || kind >= sizeof STEPS / sizeof STEPS[0] || len > r->len - r->pos)
        differ(r, "not a record");
    if (kind != SPL_RECORD_MADE && r->server == NULL && r->agent == NULL)
        differ(r, "a call before the core is made");
    if (r->verbose)
        printf("%8" PRIu64 " %-7s %u bytes\n", r->number, NAMES[kind], len);
    STEPS[kind](r);
    if (r->pos != until)
        differ(r, "the record is longer than its contents");
}

static void check_head(struct replay *r) {
    take_into(r, &r->head, sizeof r->head);
    size_t config =
        r->head.core == SPL_RECORD_SERVER ? sizeof(struct sp_server_config) : sizeof(struct sp_agent_config);
    if (memcmp(r->head.magic, SPL_RECORD_MAGIC, sizeof SPL_RECORD_MAGIC) != 0)
        differ(r, "not a recording");
    if (r->head.config_size != config || r->head.in_size != sizeof(struct sp_in) ||
        r->head.out_size != sizeof(struct sp_out) || r->head.event_size != sizeof(struct sp_event))
        differ(r, "the recording is of another build");
}

int main(int argc, char **argv) {
    struct replay r = {0};
    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "--verbose") != 0) || sp_crypto_init() != SP_OK) {
        fprintf(stderr, "usage: sim-replay FILE [--verbose]\n");
        return 2;
    }
    r.verbose = argc == 3;
    r.file = (uint8_t *)sp_test_read(argv[1], &r.len);
    if (r.file == NULL) {
        fprintf(stderr, "sim-replay: cannot read %s\n", argv[1]);
        return 2;
    }
    check_head(&r);
    while (r.pos < r.len)
        step(&r);
    printf("%" PRIu64 " records: %" PRIu64 " inputs, %" PRIu64 " outputs and %" PRIu64 " effects, all as recorded\n",
           r.number, r.inputs, r.outputs, r.effects);
    forget(&r);
    free(r.kept);
    sp_server_free(r.server);
    if (r.agent != NULL)
        sp_agent_wipe(r.agent);
    free(r.agent);
    free(r.file);
    return 0;
}
