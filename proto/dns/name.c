#include "proto/dns/name.h"

/* Pointers in one name: no encoder needs more than labels, and a chain of bare pointers would cost quadratic work. */
#define POINTERS_MAX 128
/* The lowest offset at which a name can stand in a message. */
#define OFFSET_MIN 12

void sp_name_root(struct sp_name *ret) {
    ret->len = 1;
    ret->labels = 0;
    ret->wire[0] = 0;
}

/* Walks the labels of one name, from the reader's place and through its pointers (RFC 1035 4.1.4). Copies runs of
 * labels to ret unless that is NULL. A label run is bounded by the reader's end; a pointer's target by where the run
 * began. */
static sp_err walk(struct sp_rd *rd, struct sp_name *ret, bool pointers) {
    const uint8_t *run = rd->pos, *p = run, *end = rd->end, *after = NULL;
    unsigned len = 0, labels = 0, hops = 0;
    for (;;) {
        if (p >= end)
            goto ends;
        unsigned n = *p;
        if (n == 0 || n > SP_LABEL_MAX) {
            size_t got = (size_t)(p - run);
            if (len + got >= SP_NAME_MAX)
                goto malformed;
            if (ret != NULL)
                memcpy(ret->wire + len, run, got);
            len += (unsigned)got;
            if (n == 0)
                break;
            if (n < 0xC0 || !pointers || ++hops > POINTERS_MAX)
                goto malformed;
            if (end - p < 2)
                goto ends;
            size_t target = (size_t)(n & 0x3F) << 8 | p[1];
            if (after == NULL)
                after = p + 2;
            if (target < OFFSET_MIN || target >= (size_t)(run - rd->base))
                goto malformed;
            end = run;
            run = p = rd->base + target;
            continue;
        }
        if (end - p <= (ptrdiff_t)n)
            goto ends;
        p += n + 1;
        if ((size_t)(p - run) >= SP_NAME_MAX)
            goto malformed;
        labels++;
    }
    if (ret != NULL) {
        ret->wire[len] = 0;
        ret->len = (uint8_t)(len + 1);
        ret->labels = (uint8_t)labels;
    }
    rd->pos = after != NULL ? after : p + 1;
    return SP_OK;
ends:
    sp_rd_fail(rd, after == NULL ? SP_ERR_SHORT : SP_ERR_FORM);
    return rd->err;
malformed:
    sp_rd_fail(rd, SP_ERR_FORM);
    return rd->err;
}

/* A failed reader stands at its end, so that walk() keeps its first error. */
sp_err sp_name_read(struct sp_rd *rd, struct sp_name *ret) {
    sp_err err = walk(rd, ret, true);
    if (err != SP_OK)
        sp_name_root(ret);
    return err;
}

sp_err sp_name_read_plain(struct sp_rd *rd, struct sp_name *ret) {
    sp_err err = walk(rd, ret, false);
    if (err != SP_OK)
        sp_name_root(ret);
    return err;
}

sp_err sp_name_skip(struct sp_rd *rd) {
    return walk(rd, NULL, true);
}

void sp_name_write(struct sp_wr *wr, const struct sp_name *name) {
    sp_wr_bytes(wr, name->wire, name->len);
}

/* Lower case of eight ASCII bytes at once. Length bytes (0..63) lie below 'A', so whole wire names may be lowered. */
static inline uint64_t lower8(uint64_t w) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low7 = w & 0x7F * ones;
    uint64_t above_z = low7 + (0x7F - 'Z') * ones;
    uint64_t from_a = low7 + (0x80 - 'A') * ones;
    uint64_t upper = (from_a ^ above_z) & ~w & 0x80 * ones;
    return w | upper >> 2;
}

static inline uint8_t lower1(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static inline uint64_t load8(const uint8_t *p) {
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

bool sp_name_equal_bytes(const uint8_t *a, const uint8_t *b, size_t len) {
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        if (lower8(load8(a + i)) != lower8(load8(b + i)))
            return false;
    }
    for (; i < len; i++) {
        if (lower1(a[i]) != lower1(b[i]))
            return false;
    }
    return true;
}

void sp_name_lower_bytes(uint8_t *wire, size_t len) {
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t w = lower8(load8(wire + i));
        memcpy(wire + i, &w, 8);
    }
    for (; i < len; i++)
        wire[i] = lower1(wire[i]);
}

void sp_name_lower(struct sp_name *name) {
    sp_name_lower_bytes(name->wire, name->len);
}

bool sp_name_equal(const struct sp_name *a, const struct sp_name *b) {
    return a->len == b->len && a->labels == b->labels && sp_name_equal_bytes(a->wire, b->wire, a->len);
}

/* Where each label begins; returns how many. */
static unsigned label_starts(const struct sp_name *name, uint8_t starts[127]) {
    unsigned at = 0, n = 0;
    while (n < name->labels) {
        starts[n++] = (uint8_t)at;
        at += name->wire[at] + 1u;
    }
    return n;
}

static int label_cmp(const uint8_t *a, const uint8_t *b) {
    unsigned n = a[0] < b[0] ? a[0] : b[0];
    for (unsigned i = 1; i <= n; i++) {
        int d = lower1(a[i]) - lower1(b[i]);
        if (d != 0)
            return d;
    }
    return a[0] - b[0];
}

int sp_name_cmp(const struct sp_name *a, const struct sp_name *b) {
    uint8_t sa[127], sb[127];
    unsigned na = label_starts(a, sa), nb = label_starts(b, sb);
    while (na > 0 && nb > 0) {
        int d = label_cmp(a->wire + sa[--na], b->wire + sb[--nb]);
        if (d != 0)
            return d;
    }
    return (int)na - (int)nb;
}

/* Offset of the label after the first n. */
static unsigned offset_of(const struct sp_name *name, unsigned n) {
    unsigned at = 0;
    while (n-- > 0)
        at += name->wire[at] + 1u;
    return at;
}

bool sp_name_under(const struct sp_name *name, const struct sp_name *top) {
    if (name->len < top->len || name->labels < top->labels)
        return false;
    unsigned at = offset_of(name, name->labels - top->labels);
    return name->len - at == top->len && sp_name_equal_bytes(name->wire + at, top->wire, top->len);
}

bool sp_name_is_wildcard(const struct sp_name *name) {
    return name->wire[0] == 1 && name->wire[1] == '*';
}

void sp_name_strip(const struct sp_name *name, unsigned n, struct sp_name *ret) {
    SP_ASSERT(n <= name->labels);
    unsigned at = offset_of(name, n);
    uint8_t len = (uint8_t)(name->len - at), labels = (uint8_t)(name->labels - n);
    memmove(ret->wire, name->wire + at, len);
    ret->len = len;
    ret->labels = labels;
}

sp_err sp_name_prepend(struct sp_name *ret, const void *label, size_t label_len, const struct sp_name *name) {
    if (label_len == 0 || label_len > SP_LABEL_MAX || name->len + label_len + 1 > SP_NAME_MAX)
        return SP_ERR_RANGE;
    uint8_t len = (uint8_t)(name->len + label_len + 1), labels = (uint8_t)(name->labels + 1);
    memmove(ret->wire + label_len + 1, name->wire, name->len);
    memcpy(ret->wire + 1, label, label_len);
    ret->wire[0] = (uint8_t)label_len;
    ret->len = len;
    ret->labels = labels;
    return SP_OK;
}

sp_err sp_name_resuffix(struct sp_name *ret, const struct sp_name *name, const struct sp_name *from,
                        const struct sp_name *to) {
    if (!sp_name_under(name, from))
        return SP_ERR_NOENT;
    unsigned keep = name->len - from->len;
    if (keep + to->len > SP_NAME_MAX)
        return SP_ERR_RANGE;
    unsigned labels = name->labels - from->labels + to->labels;
    struct sp_name made;
    memcpy(made.wire, name->wire, keep);
    memcpy(made.wire + keep, to->wire, to->len);
    memcpy(ret->wire, made.wire, keep + to->len);
    ret->len = (uint8_t)(keep + to->len);
    ret->labels = (uint8_t)labels;
    return SP_OK;
}
