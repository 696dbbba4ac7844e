#include "tests/support/server_rig.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct sp_addr rig_client = {.ip = {192, 0, 2, 7}, .port = 4242, .family = 4};
const struct sp_addr rig_server = {.ip = {198, 51, 100, 2}, .port = 53, .family = 4};

/* ---- beginning and end ---- */

void rig_init(struct rig *r, uint64_t blocks) {
    memset(r, 0, sizeof *r);
    if (sp_crypto_init() != SP_OK)
        sp_panic(__FILE__, __LINE__, "crypto");
    r->now = 1000 * SP_SEC;
    r->wall = sp_wall_from_sec(1790000000);
    r->blocks = blocks;
    r->next_id = 1;
    if (blocks > 0) {
        r->cache = calloc(blocks, SP_BLK_SIZE);
        r->safe = calloc(blocks, SP_BLK_SIZE);
    }
    sp_server_config_default(&r->config);
    r->config.grant = sp_test_grant();
    r->config.disk_blocks = blocks;
    r->config.disk_format = blocks > 0;
    r->config.limits.memory = (size_t)256 << 20;
    memset(r->config.seed, 5, sizeof r->config.seed);
}

void rig_start(struct rig *r) {
    if (sp_server_new(&r->s, &r->config, r->now, r->wall) != SP_OK)
        sp_panic(__FILE__, __LINE__, "server");
    rig_turn(r);
}

void rig_forget(struct rig *r) {
    for (size_t i = 0; i < r->count; i++)
        free(r->outs[i].data);
    r->forgotten += r->count;
    r->count = 0;
}

void rig_end(struct rig *r) {
    sp_server_free(r->s);
    rig_forget(r);
    free(r->cache);
    free(r->safe);
    free(r->reply);
    r->s = NULL;
    r->cache = r->safe = r->reply = NULL;
}

void rig_power_cut(struct rig *r) {
    sp_server_free(r->s);
    rig_forget(r);
    memcpy(r->cache, r->safe, r->blocks * SP_BLK_SIZE);
    r->queued = 0;
    r->fail = r->hold_flush = r->stopped = false;
    r->config.disk_format = false;
    r->config.seed[0]++;
    rig_start(r);
}

/* ---- the host's part ---- */

static void keep(struct rig *r, const struct sp_out *o) {
    if (o->kind == SP_OUT_CONTROL) {
        free(r->reply);
        r->reply = malloc(o->len + 1);
        if (o->len > 0)
            memcpy(r->reply, o->data, o->len);
        r->reply_len = o->len;
        r->replied = true;
    }
    if (r->count == RIG_OUTS)
        sp_panic(__FILE__, __LINE__, "rig_forget what was sent");
    struct rig_out *to = &r->outs[r->count++];
    *to = (struct rig_out){o->kind, o->id, o->src, o->dst, malloc(o->len + 1), o->len, o->segment};
    if (o->len > 0)
        memcpy(to->data, o->data, o->len);
}

static void drain(struct rig *r) {
    struct sp_out out[32];
    for (size_t n; (n = sp_server_output(r->s, r->now, out, 32)) > 0;)
        for (size_t i = 0; i < n; i++)
            keep(r, &out[i]);
}

static void events(struct rig *r) {
    struct sp_event ev;
    while (sp_server_event(r->s, &ev)) {
        if (ev.kind == SP_EV_STOP)
            r->stopped = true;
        else if (ev.kind == SP_EV_FATAL)
            r->fatal = ev.text;
        else if (r->queued < sizeof r->queue / sizeof *r->queue)
            r->queue[r->queued++] = ev.blk;
        else
            sp_panic(__FILE__, __LINE__, "too many block requests");
    }
}

static void disk_do(struct rig *r, const struct sp_blk_req *q) {
    if (q->op == SP_BLK_FLUSH) {
        memcpy(r->safe, r->cache, r->blocks * SP_BLK_SIZE);
        return;
    }
    if (q->block + q->count > r->blocks)
        sp_panic(__FILE__, __LINE__, "a request beyond the disk");
    uint8_t *at = r->cache + q->block * SP_BLK_SIZE;
    if (q->op == SP_BLK_READ)
        memcpy(q->buf, at, (size_t)q->count * SP_BLK_SIZE);
    else
        memcpy(at, q->buf, (size_t)q->count * SP_BLK_SIZE);
}

/* Does the first request that may be done. */
static bool disk_step(struct rig *r) {
    for (size_t i = 0; i < r->queued; i++) {
        struct sp_blk_req q = r->queue[i];
        if (q.op == SP_BLK_FLUSH && r->hold_flush)
            continue;
        memmove(&r->queue[i], &r->queue[i + 1], (r->queued - i - 1) * sizeof q);
        r->queued--;
        if (!r->fail)
            disk_do(r, &q);
        struct sp_in in = {.kind = SP_IN_BLK, .id = q.id, .err = r->fail ? SP_ERR_IO : SP_OK};
        size_t taken;
        if (sp_server_input(r->s, r->now, r->wall, &in, 1, &taken) != SP_OK || taken != 1)
            sp_panic(__FILE__, __LINE__, "a completion was not taken");
        return true;
    }
    return false;
}

void rig_turn(struct rig *r) {
    for (unsigned i = 0; i < 100000; i++) {
        drain(r);
        events(r);
        if (disk_step(r))
            continue;
        drain(r);
        if (sp_server_deadline(r->s) > r->now)
            return;
        sp_server_expire(r->s, r->now, r->wall);
    }
    sp_panic(__FILE__, __LINE__, "the server does not come to rest");
}

void rig_disk_go_on(struct rig *r) {
    r->hold_flush = false;
    rig_turn(r);
}

void rig_in(struct rig *r, const struct sp_in *in, size_t n) {
    while (n > 0) {
        size_t taken = 0;
        if (sp_server_input(r->s, r->now, r->wall, in, n, &taken) != SP_OK || taken == 0)
            sp_panic(__FILE__, __LINE__, "nothing was taken");
        in += taken;
        n -= taken;
        drain(r);
    }
    rig_turn(r);
}

void rig_wait(struct rig *r, sp_duration d) {
    sp_instant end = r->now + d;
    for (;;) {
        sp_instant due = sp_server_deadline(r->s);
        sp_instant to = due < end ? due : end;
        if (to > r->now) {
            r->wall.ns += to - r->now;
            r->now = to;
        }
        if (due <= r->now)
            sp_server_expire(r->s, r->now, r->wall);
        rig_turn(r);
        if (r->now >= end)
            return;
    }
}

/* ---- datagrams and streams ---- */

const struct rig_out *rig_sent(const struct rig *r, enum sp_out_kind kind, uint64_t id, size_t i) {
    for (size_t k = 0; k < r->count; k++)
        if (r->outs[k].kind == kind && (id == 0 || r->outs[k].id == id) && i-- == 0)
            return &r->outs[k];
    return NULL;
}

size_t rig_sent_count(const struct rig *r, enum sp_out_kind kind, uint64_t id) {
    size_t n = 0;
    for (size_t k = 0; k < r->count; k++)
        n += r->outs[k].kind == kind && (id == 0 || r->outs[k].id == id);
    return n;
}

const struct rig_out *rig_udp(struct rig *r, const void *msg, size_t len) {
    rig_forget(r);
    struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = msg, .len = len, .src = rig_client, .dst = rig_server};
    rig_in(r, &in, 1);
    return rig_sent(r, SP_OUT_DATAGRAM, 0, 0);
}

void rig_open(struct rig *r, uint64_t id, const struct sp_addr *peer, size_t credit) {
    struct sp_in in = {.kind = SP_IN_STREAM_OPEN, .id = id, .src = *peer, .dst = rig_server, .credit = credit};
    rig_in(r, &in, 1);
}

void rig_data(struct rig *r, uint64_t id, const void *data, size_t len) {
    struct sp_in in = {.kind = SP_IN_STREAM_DATA, .id = id, .data = data, .len = len};
    rig_in(r, &in, 1);
}

void rig_message(struct rig *r, uint64_t id, const void *msg, size_t len) {
    uint8_t *buf = malloc(len + 2);
    sp_put_u16(buf, (uint16_t)len);
    memcpy(buf + 2, msg, len);
    rig_data(r, id, buf, len + 2);
    free(buf);
}

void rig_credit(struct rig *r, uint64_t id, size_t credit) {
    struct sp_in in = {.kind = SP_IN_STREAM_CREDIT, .id = id, .credit = credit};
    rig_in(r, &in, 1);
}

void rig_close(struct rig *r, uint64_t id) {
    struct sp_in in = {.kind = SP_IN_STREAM_CLOSE, .id = id};
    rig_in(r, &in, 1);
}

uint8_t *rig_stream_bytes(const struct rig *r, uint64_t id, size_t *len) {
    uint8_t *all = malloc(1);
    *len = 0;
    for (size_t k = 0; k < r->count; k++) {
        const struct rig_out *o = &r->outs[k];
        if (o->kind != SP_OUT_STREAM_DATA || o->id != id)
            continue;
        all = realloc(all, *len + o->len + 1);
        memcpy(all + *len, o->data, o->len);
        *len += o->len;
    }
    return all;
}

uint8_t *rig_stream_message(const struct rig *r, uint64_t id, size_t i, size_t *len) {
    size_t all_len;
    uint8_t *all = rig_stream_bytes(r, id, &all_len), *ret = NULL;
    struct sp_rd rd = sp_rd_init(all, all_len);
    for (;; i--) {
        *len = sp_rd_u16(&rd);
        const uint8_t *p = sp_rd_bytes(&rd, *len);
        if (p == NULL || *len == 0)
            break;
        if (i == 0) {
            ret = malloc(*len + 1);
            memcpy(ret, p, *len);
            break;
        }
    }
    free(all);
    return ret;
}

/* ---- messages ---- */

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    if (sp_name_from_text(&n, text, strlen(text), NULL) != SP_OK)
        sp_panic(__FILE__, __LINE__, text);
    return n;
}

static void end_opt(struct sp_msgw *w, uint16_t flags) {
    struct sp_optw o;
    sp_msgw_opt_begin(w, &o, 1232, 0, 0, flags);
    sp_msgw_opt_end(w, &o);
}

size_t rig_query(uint8_t *buf, size_t cap, uint16_t id, const char *name, uint16_t type, bool edns,
                 uint16_t edns_flags) {
    struct sp_msgw w;
    struct sp_name n = name_of(name);
    sp_msgw_begin(&w, buf, cap, id, 0);
    sp_msgw_question(&w, &n, type, SP_CLASS_IN);
    if (edns)
        end_opt(&w, edns_flags);
    return sp_msgw_end(&w);
}

size_t rig_update_a(uint8_t *buf, size_t cap, uint16_t id, const char *zone, const char *owner, const char *address) {
    struct sp_msgw w;
    struct sp_name z = name_of(zone), n = name_of(owner);
    uint8_t ip[4];
    struct sp_wr wr = sp_wr_init(ip, sizeof ip);
    if (sp_rdata_from_text(SP_TYPE_A, address, strlen(address), NULL, &wr) != SP_OK)
        sp_panic(__FILE__, __LINE__, address);
    sp_msgw_begin(&w, buf, cap, id, SP_OPCODE_UPDATE << 11);
    sp_msgw_question(&w, &z, SP_TYPE_SOA, SP_CLASS_IN);
    if (sp_msgw_rr(&w, 2, &n, SP_TYPE_A, SP_CLASS_IN, 300, ip, 4) != SP_OK)
        return 0;
    end_opt(&w, 0);
    return sp_msgw_end(&w);
}

size_t rig_sign_sig0(struct rig *r, uint8_t *buf, size_t len, size_t cap, const char *signer,
                     const struct sp_ed25519 *key) {
    struct sp_name n = name_of(signer);
    uint8_t rdata[SP_KEY_RDATA], scratch[4096];
    sp_key_rdata(key->pub, rdata);
    struct sp_wr wr = sp_wr_init(buf, cap);
    wr.pos += len;
    if (sp_sig0_sign(&wr, &n, key, sp_key_tag(rdata, sizeof rdata), r->wall, 300, NULL, 0, scratch, sizeof scratch) !=
        SP_OK)
        sp_panic(__FILE__, __LINE__, "sign");
    return sp_wr_len(&wr);
}

unsigned rig_rcode(const void *data, size_t len) {
    struct sp_msg msg;
    if (sp_msg_parse(&msg, data, len) != SP_OK)
        return 999;
    return SP_RCODE_OF(msg.flags) | (unsigned)msg.edns.ext_rcode << 4;
}

int rig_ede(const void *data, size_t len, char text[256]) {
    struct sp_msg msg;
    struct sp_rd value;
    if (sp_msg_parse(&msg, data, len) != SP_OK || !sp_edns_find(&msg.edns, SP_EDNS_EDE, &value))
        return -1;
    int code = sp_rd_u16(&value);
    size_t n = sp_rd_left(&value) < 255 ? sp_rd_left(&value) : 255;
    memcpy(text, value.pos, n);
    text[n] = 0;
    return code;
}

size_t rig_answers(const void *data, size_t len, uint16_t type) {
    struct sp_msg msg;
    struct sp_rr rr;
    size_t n = 0;
    if (sp_msg_parse(&msg, data, len) != SP_OK)
        return 0;
    struct sp_rd rd = sp_msg_section(&msg, 1);
    for (unsigned i = 0; i < msg.count[1] && sp_msg_rr(&rd, &rr) == SP_OK; i++)
        n += rr.type == type;
    return n;
}

/* ---- control ---- */

int rig_ctl_status(const struct rig *r) {
    struct sp_rd rd = sp_rd_init(r->reply, r->replied ? r->reply_len : 0);
    enum sp_op_status status;
    if (!r->replied)
        return -1;
    return sp_op_reply_read(&rd, &status) == SP_OK ? (int)status : -2;
}

int rig_ctl_bytes(struct rig *r, const void *data, size_t len) {
    struct sp_in in = {.kind = SP_IN_CONTROL, .id = r->next_id++, .data = data, .len = len};
    r->replied = false;
    rig_in(r, &in, 1);
    return rig_ctl_status(r);
}

int rig_ctl(struct rig *r, enum sp_op_verb verb, ...) {
    size_t cap = 1024;
    va_list args;
    va_start(args, verb);
    for (const char *a; (a = va_arg(args, const char *)) != NULL;)
        cap += strlen(a) + 4;
    va_end(args);
    uint8_t *buf = malloc(cap);
    struct sp_wr wr = sp_wr_init(buf, cap);
    sp_op_request_begin(&wr, verb);
    va_start(args, verb);
    for (const char *a; (a = va_arg(args, const char *)) != NULL;)
        sp_op_arg_text(&wr, a);
    va_end(args);
    int status = rig_ctl_bytes(r, buf, sp_wr_len(&wr));
    free(buf);
    return status;
}

static bool item(const struct rig *r, const char *key, struct sp_op_item *ret) {
    struct sp_rd rd = sp_rd_init(r->reply, r->reply_len);
    enum sp_op_status status;
    if (!r->replied || sp_op_reply_read(&rd, &status) != SP_OK)
        return false;
    while (sp_op_next(&rd, ret) == SP_OK)
        if (strcmp(ret->key, key) == 0)
            return true;
    return false;
}

const char *rig_ctl_text(const struct rig *r, const char *key, char *buf, size_t cap) {
    struct sp_op_item it;
    if (!item(r, key, &it) || it.kind != SP_OP_STR || it.len >= cap)
        return NULL;
    memcpy(buf, it.data, it.len);
    buf[it.len] = 0;
    return buf;
}

bool rig_ctl_number(const struct rig *r, const char *key, uint64_t *ret) {
    struct sp_op_item it;
    if (!item(r, key, &it))
        return false;
    *ret = it.number;
    return true;
}

/* ---- a zone ---- */

void rig_tsig(struct sp_tsig_key *ret) {
    *ret = (struct sp_tsig_key){.name = name_of("admin."), .hash = SP_SHA256, .secret_len = 32};
    memset(ret->secret, 7, 32);
}

void rig_zone(struct rig *r) {
    static const char secret[] = "\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7";
    if (rig_ctl(r, SP_OP_ZONE_ADD, RIG_ZONE, "", "198.51.100.2", NULL) != SP_OP_OK ||
        rig_ctl(r, SP_OP_KEY_ADD, RIG_ZONE, "tsig", "admin.", "hmac-sha256", secret, "names=* axfr", NULL) != SP_OP_OK)
        sp_panic(__FILE__, __LINE__, "zone");
    rig_forget(r);
}
