/* Writing messages, with name compression. RFC 1035 4.1.4, RFC 3597 4. */
#include "proto/dns/msg.h"
#include "proto/dns/rdata.h"

#define POINTER_LIMIT 0x4000

void sp_msgw_begin(struct sp_msgw *w, void *buf, size_t cap, uint16_t id, uint16_t flags) {
    w->wr = sp_wr_init(buf, cap < SP_MSG_MAX ? cap : SP_MSG_MAX);
    w->first_len = w->first_labels = 0;
    w->filed = false;
    memset(w->count, 0, sizeof w->count);
    uint8_t *p = sp_wr_reserve(&w->wr, SP_MSG_HEADER);
    if (p == NULL)
        return;
    memset(p, 0, SP_MSG_HEADER);
    sp_put_u16(p, id);
    sp_put_u16(p + 2, flags);
}

static inline uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Hash of a suffix, from its first label and the hash of the rest. */
static uint32_t label_hash(const uint8_t *label, uint32_t rest) {
    uint32_t h = rest ^ UINT32_C(0x811C9DC5);
    for (unsigned i = 0; i <= label[0]; i++)
        h = (h ^ lower(label[i])) * UINT32_C(0x01000193);
    return h ^ h >> 15;
}

/* Whether the name written at `at` is the wire name `suffix`, case aside. What was written is ours, but a slot may be
 * stale, so every step is bounded as a reader bounds it. */
static bool written_equal(const struct sp_msgw *w, size_t at, const uint8_t *suffix) {
    const uint8_t *base = w->wr.base;
    size_t run = at, len = sp_wr_len(&w->wr);
    while (at < len) {
        unsigned n = base[at];
        if (n >= 0xC0) {
            if (len - at < 2)
                return false;
            size_t target = (n & 0x3Fu) << 8 | base[at + 1];
            if (target >= run)
                return false;
            len = run;
            run = at = target;
            continue;
        }
        if (n != suffix[0] || len - at <= n)
            return false;
        if (n == 0)
            return true;
        for (unsigned i = 1; i <= n; i++) {
            if (lower(base[at + i]) != lower(suffix[i]))
                return false;
        }
        at += n + 1;
        suffix += n + 1;
    }
    return false;
}

/* Where the labels of a name begin, and the slot of the suffix at each. */
struct suffixes {
    unsigned n;
    uint8_t starts[127], slot[127];
};

static void suffixes_of(const uint8_t *wire, unsigned labels, struct suffixes *ret) {
    unsigned at = 0;
    ret->n = labels;
    for (unsigned i = 0; i < labels; i++) {
        ret->starts[i] = (uint8_t)at;
        at += wire[at] + 1u;
    }
    uint32_t h = 0;
    for (unsigned i = labels; i-- > 0;) {
        h = label_hash(wire + ret->starts[i], h);
        ret->slot[i] = (uint8_t)(h % SP_MSGW_SLOTS);
    }
}

/* Remembers the first `fresh` suffixes of a name that is written at `here`. */
static void file(struct sp_msgw *w, const struct suffixes *s, unsigned fresh, size_t here) {
    for (unsigned i = 0; i < fresh; i++) {
        if (here + s->starts[i] < POINTER_LIMIT)
            w->slots[s->slot[i]] = (uint16_t)(here + s->starts[i]);
    }
}

static void file_first(struct sp_msgw *w) {
    struct suffixes s;
    memset(w->slots, 0, sizeof w->slots);
    w->filed = true;
    if (w->first_len == 0)
        return;
    suffixes_of(w->wr.base + SP_MSG_HEADER, w->first_labels, &s);
    file(w, &s, s.n, SP_MSG_HEADER);
}

/* Finds the longest suffix of name that was written before; *ret_at is where. Returns the number of labels before it
 * and files the new suffixes, as the name is about to be written at the writer's place. */
static unsigned compress(struct sp_msgw *w, const struct sp_name *name, size_t *ret_at) {
    struct suffixes s;
    if (!w->filed)
        file_first(w);
    suffixes_of(name->wire, name->labels, &s);
    unsigned fresh = 0;
    for (; fresh < s.n; fresh++) {
        size_t known = w->slots[s.slot[fresh]];
        if (known != 0 && written_equal(w, known, name->wire + s.starts[fresh])) {
            *ret_at = known;
            break;
        }
    }
    file(w, &s, fresh, sp_wr_len(&w->wr));
    return fresh;
}

/* The message's first name, which most others repeat, is neither looked for nor filed until another differs from it. */
static bool first_name(struct sp_msgw *w, const struct sp_name *name, bool may_compress) {
    if (sp_wr_len(&w->wr) == SP_MSG_HEADER) {
        sp_name_write(&w->wr, name);
        if (w->wr.err == SP_OK) {
            w->first_len = name->len;
            w->first_labels = name->labels;
        }
        return true;
    }
    if (!may_compress || name->len != w->first_len || name->labels == 0 ||
        !sp_name_equal_bytes(name->wire, w->wr.base + SP_MSG_HEADER, name->len))
        return false;
    sp_wr_u16(&w->wr, 0xC000 | SP_MSG_HEADER);
    return true;
}

void sp_msgw_name(struct sp_msgw *w, const struct sp_name *name, bool may_compress) {
    if (first_name(w, name, may_compress))
        return;
    size_t known = 0;
    unsigned fresh = compress(w, name, &known);
    if (!may_compress || fresh == name->labels) {
        sp_name_write(&w->wr, name);
        return;
    }
    unsigned len = 0;
    for (unsigned i = 0; i < fresh; i++)
        len += name->wire[len] + 1u;
    uint8_t *p = sp_wr_reserve(&w->wr, len + 2);
    if (p == NULL)
        return;
    memcpy(p, name->wire, len);
    sp_put_u16(p + len, (uint16_t)(0xC000 | known));
}

void sp_msgw_question(struct sp_msgw *w, const struct sp_name *name, uint16_t type, uint16_t rclass) {
    sp_msgw_name(w, name, true);
    sp_wr_u16(&w->wr, type);
    sp_wr_u16(&w->wr, rclass);
    w->count[0]++;
}

/* Rdata of types whose names may be compressed holds integers and names alone. */
static void write_compressed(struct sp_msgw *w, const char *layout, const uint8_t *rdata, size_t len) {
    struct sp_rd rd = sp_rd_init(rdata, len);
    struct sp_name name;
    for (; *layout != 0; layout++) {
        if (*layout == SP_F_NAME) {
            if (sp_name_read_plain(&rd, &name) != SP_OK)
                break;
            sp_msgw_name(w, &name, true);
        } else {
            const uint8_t *start = rd.pos;
            sp_field_skip(*layout, &rd, rdata);
            sp_wr_bytes(&w->wr, start, (size_t)(rd.pos - start));
        }
    }
    if (sp_rd_finish(&rd) != SP_OK)
        sp_wr_fail(&w->wr, SP_ERR_FORM);
}

static void write_rdata(struct sp_msgw *w, uint16_t type, const uint8_t *rdata, size_t len) {
    const char *layout = sp_type_row(type)->layout;
    size_t at = sp_wr_len16_begin(&w->wr);
    bool names = layout != NULL && (layout[0] == SP_F_NAME || layout[1] == SP_F_NAME);
    if (names && len > 0)
        write_compressed(w, layout, rdata, len);
    else
        sp_wr_bytes(&w->wr, rdata, len);
    sp_wr_len16_end(&w->wr, at);
}

static void write_fixed(struct sp_msgw *w, uint16_t type, uint16_t rclass, uint32_t ttl) {
    uint8_t *p = sp_wr_reserve(&w->wr, 8);
    if (p == NULL)
        return;
    sp_put_u16(p, type);
    sp_put_u16(p + 2, rclass);
    sp_put_u32(p + 4, ttl);
}

/* Takes back what was written since `len`. Slots that lie behind it go stale, which written_equal() bears. */
static sp_err take_back(struct sp_msgw *w, size_t len) {
    sp_err err = w->wr.err;
    w->wr.pos = w->wr.base + len;
    w->wr.err = SP_OK;
    if (len == SP_MSG_HEADER)
        w->first_len = w->first_labels = 0;
    return err;
}

sp_err sp_msgw_rr(struct sp_msgw *w, unsigned section, const struct sp_name *owner, uint16_t type, uint16_t rclass,
                  uint32_t ttl, const uint8_t *rdata, size_t len) {
    SP_ASSERT(section >= 1 && section <= 3);
    if (w->wr.err != SP_OK)
        return w->wr.err;
    size_t before = sp_wr_len(&w->wr);
    sp_msgw_name(w, owner, true);
    write_fixed(w, type, rclass, ttl);
    write_rdata(w, type, rdata, len);
    if (w->wr.err != SP_OK)
        return take_back(w, before);
    w->count[section]++;
    return SP_OK;
}

sp_err sp_msgw_rrs(struct sp_msgw *w, unsigned section, const struct sp_name *owner, const struct sp_rrs *rrs) {
    SP_ASSERT(section >= 1 && section <= 3);
    if (w->wr.err != SP_OK)
        return w->wr.err;
    size_t before = sp_wr_len(&w->wr);
    struct sp_rd rd = sp_rd_init(rrs->data, rrs->len);
    const uint8_t *rdata;
    size_t len, first = before;
    unsigned count = 0;
    for (; sp_rrs_next(&rd, &rdata, &len); count++) {
        if (count == 0 || first >= POINTER_LIMIT || owner->labels == 0)
            sp_msgw_name(w, owner, true);
        else
            sp_wr_u16(&w->wr, (uint16_t)(0xC000 | first));
        /* If the first owner became a bare pointer, the others copy it. */
        if (count == 0 && w->wr.err == SP_OK && sp_wr_len(&w->wr) - before == 2 && w->wr.base[before] >= 0xC0)
            first = sp_get_u16(w->wr.base + before) & 0x3FFF;
        write_fixed(w, rrs->type, rrs->rclass, rrs->ttl);
        write_rdata(w, rrs->type, rdata, len);
        if (w->wr.err != SP_OK)
            return take_back(w, before);
    }
    w->count[section] = (uint16_t)(w->count[section] + count); /* a message has no room for 65,536 records */
    return SP_OK;
}

void sp_msgw_opt_begin(struct sp_msgw *w, struct sp_optw *o, uint16_t udp_size, uint16_t rcode, uint8_t version,
                       uint16_t flags) {
    sp_wr_u8(&w->wr, 0);
    uint32_t ttl = (uint32_t)(rcode >> 4) << 24 | (uint32_t)version << 16 | flags;
    write_fixed(w, SP_TYPE_OPT, udp_size, ttl);
    o->len_at = sp_wr_len16_begin(&w->wr);
}

void sp_msgw_opt_add(struct sp_msgw *w, uint16_t code, const void *data, size_t len) {
    if (len > UINT16_MAX)
        sp_wr_fail(&w->wr, SP_ERR_RANGE);
    sp_wr_u16(&w->wr, code);
    sp_wr_u16(&w->wr, (uint16_t)len);
    sp_wr_bytes(&w->wr, data, len);
}

void sp_msgw_opt_end(struct sp_msgw *w, struct sp_optw *o) {
    sp_wr_len16_end(&w->wr, o->len_at);
    w->count[3]++;
}

size_t sp_msgw_end(struct sp_msgw *w) {
    if (w->wr.err != SP_OK)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        sp_put_u16(w->wr.base + 4 + 2 * i, w->count[i]);
    return sp_wr_len(&w->wr);
}
