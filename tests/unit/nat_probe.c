#include "tests/unit/cm.h"

#include <string.h>

#include "proto/nat/probe.h"

static void same_probe(const struct sp_probe *p, size_t padding) {
    uint8_t wire[2000];
    struct sp_probe got;
    memset(wire, 0xee, sizeof wire);
    size_t len = sp_probe_write(p, wire, sizeof wire);
    assert_int_not_equal(len, 0);
    for (size_t cap = 0; cap < len; cap++)
        assert_int_equal(sp_probe_write(p, wire, cap), 0);
    assert_int_equal(sp_probe_write(p, wire, sizeof wire), len);
    memset(wire + len, 0, padding);
    assert_int_equal(sp_probe_read(&got, wire, len + padding), SP_OK);
    assert_int_equal(got.kind, p->kind);
    assert_int_equal(got.flags, p->flags);
    assert_int_equal(got.path, p->path);
    assert_int_equal(got.cookie, p->cookie);
    assert_memory_equal(&got.seen, &p->seen, sizeof got.seen);
    assert_int_equal(got.size, p->kind == SP_PROBE_PING ? len + padding : p->size);
    assert_int_equal(got.part, p->part);
    assert_int_equal(got.id, p->id);
    assert_int_equal(got.len, p->len);
    if (p->len != 0)
        assert_memory_equal(got.data, p->data, p->len);
    if (p->kind != SP_PROBE_PING && p->kind != SP_PROBE_CLOSE)
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(sp_probe_read(&got, wire, cut), SP_ERR_SHORT);
}

static void written_and_read(void **state) {
    struct sp_addr four = {{192, 0, 2, 1}, 0, 51820, 4, 0}, six = {{0x20, 1, 0xd, 0xb8, [15] = 1}, 0, 443, 6, 0};
    for (size_t padding = 0; padding < 16; padding += 5) {
        same_probe(
            &(struct sp_probe){
                .kind = SP_PROBE_PING, .flags = SP_PROBE_CHOSEN, .path = 7, .cookie = 0x0123456789abcdef},
            padding);
        same_probe(&(struct sp_probe){.kind = SP_PROBE_PING, .size = SP_PATH_FULL, .cookie = UINT64_MAX}, padding);
        same_probe(&(struct sp_probe){.kind = SP_PROBE_PONG, .path = 65535, .cookie = 1, .size = 1280, .seen = four},
                   padding);
        same_probe(&(struct sp_probe){.kind = SP_PROBE_PONG, .cookie = 1, .size = 16, .seen = six}, padding);
        same_probe(
            &(struct sp_probe){.kind = SP_PROBE_SPLIT, .part = 1, .id = 513, .data = (const uint8_t *)"half", .len = 4},
            padding);
        same_probe(&(struct sp_probe){.kind = SP_PROBE_CLOSE}, padding);
    }
    uint8_t wire[SP_PATH_FULL];
    assert_int_equal(sp_probe_write(&(struct sp_probe){.kind = SP_PROBE_PING, .size = 3}, wire, sizeof wire),
                     SP_PROBE_PING_MIN);
    assert_int_equal(sp_probe_write(&(struct sp_probe){.kind = SP_PROBE_PING, .size = SP_PATH_FULL}, wire, sizeof wire),
                     SP_PATH_FULL);
}

static void other_plaintexts(void **state) {
    struct sp_probe p;
    uint8_t wire[64] = {0};
    for (unsigned first = 0; first < 256; first++) {
        wire[0] = (uint8_t)first;
        sp_err err = sp_probe_read(&p, wire, sizeof wire);
        if (first >> 4 == 4 || first >> 4 == 6) {
            assert_int_equal(err, SP_OK);
            assert_int_equal(p.kind, SP_PROBE_NONE);
        } else if (first == SP_PROBE_PING || first == SP_PROBE_CLOSE) {
            assert_int_equal(err, SP_OK);
        } else {
            assert_int_equal(err, SP_ERR_FORM); /* a PONG of family 0, an empty half among them */
        }
    }
    assert_int_equal(sp_probe_read(&p, wire, 0), SP_ERR_SHORT);
    wire[0] = SP_PROBE_PING;
    assert_int_equal(sp_probe_read(&p, wire, SP_PROBE_PING_MIN - 1), SP_ERR_SHORT);
    wire[0] = SP_PROBE_SPLIT;
    wire[1] = 2;
    wire[5] = 1;
    assert_int_equal(sp_probe_read(&p, wire, 16), SP_ERR_FORM); /* part 2 */
}

/* ---- halves ---- */

static uint8_t packet[SP_SPLIT_PACKET];

static struct sp_probe half(uint16_t id, unsigned part, size_t total) {
    size_t first = (total + 1) / 2;
    packet[0] = 0x60;
    return (struct sp_probe){.kind = SP_PROBE_SPLIT,
                             .id = id,
                             .part = (uint8_t)part,
                             .data = packet + (part ? first : 0),
                             .len = (uint16_t)(part ? total - first : first)};
}

static sp_err join(struct sp_split *s, uint16_t id, unsigned part, size_t total, sp_instant now) {
    uint8_t out[SP_SPLIT_PACKET];
    size_t len = 0;
    struct sp_probe h = half(id, part, total);
    sp_err err = sp_split_join(s, &h, now, out, sizeof out, &len);
    if (err == SP_OK) {
        assert_int_equal(len, total);
        assert_memory_equal(out, packet, total);
    } else {
        assert_int_equal(len, 0);
    }
    return err;
}

static void halves_join_in_any_order(void **state) {
    static struct sp_split s;
    for (size_t i = 0; i < sizeof packet; i++)
        packet[i] = (uint8_t)(i * 7 + i / 256);
    uint16_t id = 0;
    for (size_t total = 2; total <= SP_SPLIT_PACKET; total++, id++) {
        assert_int_equal(join(&s, id, total % 2, total, SP_SEC), SP_ERR_AGAIN);
        assert_int_equal(join(&s, id, 1 - total % 2, total, SP_SEC), SP_OK);
    }
    /* Once joined it is forgotten: a copy waits for its other half like any. */
    assert_int_equal(join(&s, 9, 0, 100, SP_SEC), SP_ERR_AGAIN);
    assert_int_equal(join(&s, 9, 0, 100, SP_SEC), SP_ERR_AGAIN);
    assert_int_equal(join(&s, 9, 1, 100, SP_SEC), SP_OK);
    assert_int_equal(join(&s, 9, 1, 100, SP_SEC), SP_ERR_AGAIN);
}

static void halves_interleave_and_age(void **state) {
    static struct sp_split s;
    memset(&s, 0, sizeof s);
    for (uint16_t id = 0; id < SP_SPLIT_SLOTS; id++)
        assert_int_equal(join(&s, id, 0, 1000, SP_SEC + id), SP_ERR_AGAIN);
    assert_int_equal(join(&s, 3, 1, 1000, SP_SEC + 50), SP_OK);
    assert_int_equal(join(&s, 100, 0, 1000, SP_SEC + 51), SP_ERR_AGAIN); /* into the free slot */
    assert_int_equal(join(&s, 101, 0, 1000, SP_SEC + 52), SP_ERR_AGAIN); /* the oldest, 0, gives way */
    assert_int_equal(join(&s, 1, 1, 1000, SP_SEC + 53), SP_OK);
    assert_int_equal(join(&s, 0, 1, 1000, SP_SEC + 54), SP_ERR_AGAIN);
    /* After two seconds a half is no longer waited for: the same id may be of another packet. */
    assert_int_equal(join(&s, 2, 1, 1000, SP_SEC + 2 + 2 * SP_SEC), SP_ERR_AGAIN);
    assert_int_equal(join(&s, 2, 0, 1000, SP_SEC + 3 + 2 * SP_SEC), SP_OK);
}

static void halves_that_are_refused(void **state) {
    static struct sp_split s;
    static uint8_t out[2 * SP_SPLIT_PACKET], bytes[SP_SPLIT_PACKET];
    size_t len = 0;
    struct sp_probe h = {.kind = SP_PROBE_SPLIT, .data = bytes, .len = sizeof s.slots[0].data[0] + 1};
    assert_int_equal(sp_split_join(&s, &h, 0, out, sizeof out, &len), SP_ERR_RANGE);
    /* Each fits, both together do not. */
    bytes[0] = 0x60;
    h.len = sizeof s.slots[0].data[0];
    assert_int_equal(sp_split_join(&s, &h, 0, out, sizeof out, &len), SP_ERR_AGAIN);
    h.part = 1;
    assert_int_equal(sp_split_join(&s, &h, 0, out, sizeof out, &len), SP_ERR_RANGE);
    /* Too much for the caller. */
    h.len = 100;
    assert_int_equal(sp_split_join(&s, &h, 0, out, 199, &len), SP_ERR_AGAIN);
    h.part = 0;
    assert_int_equal(sp_split_join(&s, &h, 0, out, 199, &len), SP_ERR_RANGE);
    /* A half of halves, or a PING: only IP packets are split. */
    bytes[0] = SP_PROBE_SPLIT;
    assert_int_equal(sp_split_join(&s, &h, 0, out, sizeof out, &len), SP_ERR_AGAIN);
    h.part = 1;
    assert_int_equal(sp_split_join(&s, &h, 0, out, sizeof out, &len), SP_ERR_FORM);
    h.len = 0;
    assert_int_equal(sp_split_join(&s, &h, 0, out, sizeof out, &len), SP_ERR_FORM);
    h = (struct sp_probe){.kind = SP_PROBE_PING, .data = bytes, .len = 5};
    assert_int_equal(sp_split_join(&s, &h, 0, out, sizeof out, &len), SP_ERR_FORM);
    assert_int_equal(len, 0);
}

/* ---- path MTU ---- */

#define RTT (40 * SP_MS)

static struct sp_probe pong(uint64_t cookie, uint16_t size) {
    return (struct sp_probe){.kind = SP_PROBE_PONG, .cookie = cookie, .size = size};
}

static void full_path(void **state) {
    struct sp_pmtu m = {0};
    sp_instant now = SP_SEC;
    assert_false(sp_pmtu_due(&m, now, RTT, 1)); /* not begun */
    sp_pmtu_begin(&m, now);
    assert_true(sp_pmtu_due(&m, now, RTT, 11));
    assert_int_equal(m.cookie, 11);
    assert_false(sp_pmtu_due(&m, now, RTT, 12));
    struct sp_probe p = pong(11, 16), q = pong(99, SP_PATH_FULL);
    assert_false(sp_pmtu_pong(&m, &p, now)); /* of a small one */
    assert_false(sp_pmtu_pong(&m, &q, now)); /* of none of ours */
    assert_int_equal(m.state, SP_PMTU_PROBING);
    /* The answer to the first comes after the repeat. */
    now += 100 * SP_MS;
    assert_int_equal(m.next, now);
    assert_true(sp_pmtu_due(&m, now, RTT, 12));
    p = pong(11, SP_PATH_FULL);
    assert_true(sp_pmtu_pong(&m, &p, now));
    assert_int_equal(m.state, SP_PMTU_FULL);
    assert_false(sp_pmtu_pong(&m, &p, now)); /* twice */
    assert_int_equal(m.next, now + 15 * SP_SEC);
}

/* Sends until it gives up; how many were sent. */
static unsigned all_lost(struct sp_pmtu *m, sp_instant *now, sp_duration rtt, sp_duration every) {
    unsigned sent = 0;
    while (m->state != SP_PMTU_SMALL) {
        *now = m->next;
        if (sp_pmtu_due(m, *now, rtt, 1000 + sent)) {
            sent++;
            assert_int_equal(m->next, *now + every);
        }
    }
    return sent;
}

static void small_path(void **state) {
    struct sp_pmtu m = {0};
    sp_instant now = SP_SEC;
    sp_pmtu_begin(&m, now);
    assert_int_equal(all_lost(&m, &now, RTT, 100 * SP_MS), 4);
    assert_int_equal(m.next, now + 60 * SP_SEC);
    struct sp_probe late = pong(1000, SP_PATH_FULL);
    assert_false(sp_pmtu_pong(&m, &late, now));
    now = m.next;
    assert_true(sp_pmtu_due(&m, now, RTT, 5));
    assert_int_equal(m.state, SP_PMTU_PROBING);
    assert_int_equal(all_lost(&m, &now, 300 * SP_MS, 300 * SP_MS), 3); /* and the one above */
}

static void full_path_that_shrinks(void **state) {
    struct sp_pmtu m = {0};
    sp_instant now = SP_SEC;
    sp_pmtu_begin(&m, now);
    assert_true(sp_pmtu_due(&m, now, RTT, 1));
    struct sp_probe p = pong(1, SP_PATH_FULL);
    assert_true(sp_pmtu_pong(&m, &p, now));
    now = m.next;
    assert_true(sp_pmtu_due(&m, now, RTT, 2));
    assert_int_equal(m.state, SP_PMTU_FULL); /* until it is shown not to be */
    p = pong(2, SP_PATH_FULL);
    assert_true(sp_pmtu_pong(&m, &p, now));
    assert_int_equal(all_lost(&m, &now, RTT, 100 * SP_MS), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_and_read),
        cmocka_unit_test(other_plaintexts),
        cmocka_unit_test(halves_join_in_any_order),
        cmocka_unit_test(halves_interleave_and_age),
        cmocka_unit_test(halves_that_are_refused),
        cmocka_unit_test(full_path),
        cmocka_unit_test(small_path),
        cmocka_unit_test(full_path_that_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
