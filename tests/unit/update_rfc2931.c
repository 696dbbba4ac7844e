/* RFC 2931: SIG(0) on updates: time window, wrong key, altered bytes, replays, signed replies. */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/update_rig.h"

static const char add[] = "add laptop 60 A 192.0.2.1";

struct world {
    struct upd *r;
    struct sp_ed25519 key;
};

static struct world world(void) {
    struct world w = {upd_new(), upd_key(1)};
    upd_device(w.r, "laptop", &w.key);
    return w;
}

static uint16_t send_at(struct world *w, const char *line, int64_t inception, int64_t expiration) {
    int64_t now = (int64_t)sp_wall_sec(w->r->wall);
    upd_begin(w->r);
    upd_line(w->r, line);
    upd_opt(w->r, 0, 0, 0);
    upd_sign_at(w->r, "laptop", &w->key, (uint32_t)(now + inception), (uint32_t)(now + expiration));
    return upd_send(w->r);
}

static void time_window(void **state) {
    struct world w = world();
    static const struct {
        int64_t inception, expiration;
        enum sp_refusal why;
        int ede;
    } rows[] = {
        {-600, -1, SP_REFUSED_sig0_expired, SP_EDE_SIG_EXPIRED},
        {1, 301, SP_REFUSED_sig0_early, SP_EDE_SIG_NOT_YET},
        {-1, 86401, SP_REFUSED_sig0_long, SP_EDE_INVALID},
        {-300, 300, SP_REFUSED_none, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint16_t rcode = send_at(&w, add, rows[i].inception, rows[i].expiration);
        assert_int_equal(rcode, rows[i].why == SP_REFUSED_none ? SP_RCODE_NOERROR : SP_RCODE_REFUSED);
        assert_int_equal(w.r->up.why, rows[i].why);
        assert_int_equal(w.r->ede, rows[i].ede);
    }
    const struct sp_update_counts *n = sp_updater_counts(w.r->u);
    assert_int_equal(n->by_reason[SP_REFUSED_sig0_expired], 1);
    assert_int_equal(n->sig0_failed, 3);
    assert_int_equal(n->sig0_ok, 1);
    upd_free(w.r);
}

static void verify_reply(struct world *w) {
    static uint8_t scratch[SP_SCRATCH];
    struct sp_sig0 sig;
    assert_int_equal(w->r->msg.auth, SP_AUTH_SIG0);
    assert_int_equal(sp_sig0_peek(&w->r->msg, &sig), SP_OK);
    struct sp_name signpost = upd_name("signpost");
    const struct sp_zone_info *info = sp_zone_info(w->r->zone);
    assert_true(sp_name_equal(&sig.signer, &signpost));
    assert_int_equal(sig.tag, info->signpost_tag);
    assert_int_equal(sp_sig0_time(&sig, w->r->wall), SP_OK);
    assert_int_equal(
        sp_sig0_verify(&w->r->msg, &sig, info->signpost_key.pub, w->r->out, w->r->out_len, scratch, sizeof scratch),
        SP_OK);
    /* It covers the request: it is no answer to another. */
    w->r->out[SP_MSG_HEADER + 3] ^= 1;
    assert_int_equal(
        sp_sig0_verify(&w->r->msg, &sig, info->signpost_key.pub, w->r->out, w->r->out_len, scratch, sizeof scratch),
        SP_ERR_BADSIG);
    w->r->out[SP_MSG_HEADER + 3] ^= 1;
}

static void replies_are_signed(void **state) {
    struct world w = world();
    assert_int_equal(send_at(&w, add, -300, 300), SP_RCODE_NOERROR);
    verify_reply(&w);
    /* A refusal too, once the signer is known; a wrong clock learns the time from it. */
    assert_int_equal(send_at(&w, "add phone 60 A 192.0.2.1", -299, 300), SP_RCODE_REFUSED);
    verify_reply(&w);
    assert_int_equal(send_at(&w, add, 500, 800), SP_RCODE_REFUSED);
    verify_reply(&w);
    /* A key that is not listed (any more): an agent believes only what is signed. A bad signature gets none. */
    struct sp_ed25519 stranger = upd_key(2);
    assert_int_equal(upd_update(w.r, "laptop", &stranger, add), SP_RCODE_REFUSED);
    verify_reply(&w);
    upd_begin(w.r);
    upd_line(w.r, add);
    upd_sign(w.r, "laptop", &w.key);
    w.r->out[w.r->out_len - 1] ^= 1;
    assert_int_equal(upd_send(w.r), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_sig0_badsig);
    assert_int_equal(w.r->msg.auth, SP_AUTH_NONE);
    upd_free(w.r);
}

static void wrong_key(void **state) {
    struct world w = world();
    struct sp_ed25519 other = upd_key(2), third = upd_key(3);
    assert_int_equal(upd_update(w.r, "laptop", &other, add), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_sig0_badkey);
    assert_int_equal(upd_update(w.r, "nobody", &w.key, "add nobody 60 A 192.0.2.1"), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_sig0_badkey);
    assert_int_equal(upd_update(w.r, "host.elsewhere.", &w.key, add), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_sig0_badkey);
    /* Two keys at a name: either signs. */
    upd_device(w.r, "laptop", &third);
    assert_int_equal(upd_update(w.r, "laptop", &third, add), 0);
    assert_int_equal(upd_update(w.r, "laptop", &w.key, "add laptop 60 A 192.0.2.2"), 0);
    upd_free(w.r);
}

static void altered_bytes(void **state) {
    struct world w = world();
    upd_begin(w.r);
    upd_line(w.r, add);
    upd_opt(w.r, 0, 0, 0);
    upd_sign(w.r, "laptop", &w.key);
    char *before = upd_dump(w.r);
    unsigned refused = 0;
    struct sp_msg whole;
    assert_int_equal(sp_msg_parse(&whole, w.r->out, w.r->out_len), SP_OK);
    for (size_t i = 0; i < w.r->out_len; i++) {
        /* Class and TTL of the SIG record itself, which nothing covers and nobody looks at (RFC 2931 3). */
        if (i >= whole.auth_offset + 3u && i < whole.auth_offset + 9u)
            continue;
        for (unsigned bit = 0; bit < 8; bit += 3) {
            w.r->out[i] ^= (uint8_t)(1 << bit);
            struct sp_update up;
            struct sp_msg msg;
            if (sp_msg_parse(&msg, w.r->out, w.r->out_len) == SP_OK && SP_OPCODE_OF(msg.flags) == SP_OPCODE_UPDATE) {
                sp_updater_message(w.r->u, &msg, SP_VIA_UDP, &w.r->src, w.r->now, w.r->wall, &up);
                assert_null(up.change.body);
                assert_int_not_equal(up.rcode, SP_RCODE_NOERROR);
                refused++;
            }
            w.r->out[i] ^= (uint8_t)(1 << bit);
            upd_pass(w.r, SP_MS * 50); /* for the budget */
        }
    }
    assert_true(refused > 100);
    char *after = upd_dump(w.r);
    assert_string_equal(before, after);
    assert_int_equal(upd_send(w.r), SP_RCODE_NOERROR); /* unaltered it is good */
    free(before);
    free(after);
    upd_free(w.r);
}

static void replays(void **state) {
    struct world w = world();
    static uint8_t first[SP_MSG_MAX];
    /* Several within one second, as nsupdate sends them. */
    assert_int_equal(send_at(&w, add, -300, 300), 0);
    memcpy(first, w.r->out, w.r->out_len);
    size_t first_len = w.r->out_len;
    assert_int_equal(send_at(&w, "add laptop 60 A 192.0.2.2", -300, 300), 0);
    assert_int_equal(send_at(&w, "delete laptop A", -300, 300), 0);
    uint32_t serial = upd_serial(w.r);
    size_t records = w.r->records;
    /* A retransmission of the newest is answered as before; so is a replay of the first. Nothing is done again. */
    assert_int_equal(upd_send(w.r), 0);
    assert_int_equal(w.r->up.why, SP_REFUSED_repeated);
    assert_true(w.r->up.wait_log);
    memcpy(w.r->out, first, first_len);
    w.r->out_len = first_len;
    assert_int_equal(upd_send(w.r), 0);
    assert_int_equal(w.r->up.why, SP_REFUSED_repeated);
    verify_reply(&w);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "");
    assert_int_equal(upd_serial(w.r), serial);
    assert_int_equal(w.r->records, records);
    assert_int_equal(sp_updater_counts(w.r->u)->repeated, 2);
    /* A little late is fine, once; before the window nothing is. */
    upd_pass(w.r, 60 * SP_SEC);
    assert_int_equal(send_at(&w, "add laptop 60 A 192.0.2.3", -300, 300), 0);
    assert_int_equal(send_at(&w, "add laptop 60 A 192.0.2.4", -300 - SP_REPLAY_WINDOW_S, 300), 0);
    assert_int_equal(send_at(&w, "add laptop 60 A 192.0.2.5", -301 - SP_REPLAY_WINDOW_S, 300), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_replay);
    memcpy(w.r->out, first, first_len);
    w.r->out_len = first_len;
    assert_int_equal(upd_send(w.r), SP_RCODE_REFUSED);
    assert_int_equal(w.r->up.why, SP_REFUSED_replay);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "60 192.0.2.3 | 192.0.2.4");
    upd_free(w.r);
}

/* A refused update must not come true later, by a replay when its prerequisite holds. */
static void refused_stays_refused(void **state) {
    struct world w = world();
    static uint8_t first[SP_MSG_MAX];
    assert_int_equal(upd_update(w.r, "laptop", &w.key, "yxdomain phone\nadd laptop 60 A 192.0.2.66"),
                     SP_RCODE_NXDOMAIN);
    memcpy(first, w.r->out, w.r->out_len);
    size_t first_len = w.r->out_len;
    struct sp_ed25519 phone = upd_key(2);
    upd_device(w.r, "phone", &phone);
    memcpy(w.r->out, first, first_len);
    w.r->out_len = first_len;
    assert_int_equal(upd_send(w.r), SP_RCODE_NXDOMAIN);
    assert_int_equal(w.r->up.why, SP_REFUSED_repeated);
    assert_string_equal(upd_rrset(w.r, "laptop", "A"), "");
    upd_free(w.r);
}

static void replays_after_a_restart(void **state) {
    struct world w = world();
    static uint8_t first[SP_MSG_MAX], last[SP_MSG_MAX];
    assert_int_equal(send_at(&w, add, -300, 300), 0);
    memcpy(first, w.r->out, w.r->out_len);
    size_t first_len = w.r->out_len;
    assert_int_equal(send_at(&w, "delete laptop A", -299, 300), 0);
    memcpy(last, w.r->out, w.r->out_len);
    size_t last_len = w.r->out_len;
    struct upd *again[2] = {upd_replayed(w.r, w.r->records), upd_restored(w.r)};
    for (unsigned i = 0; i < 2; i++) {
        struct world b = {again[i], w.key};
        memcpy(b.r->out, first, first_len);
        b.r->out_len = first_len;
        assert_int_equal(upd_send(b.r), SP_RCODE_REFUSED);
        assert_int_equal(b.r->up.why, SP_REFUSED_replay);
        /* The newest is still known by its signature. */
        memcpy(b.r->out, last, last_len);
        b.r->out_len = last_len;
        assert_int_equal(upd_send(b.r), 0);
        assert_int_equal(b.r->up.why, SP_REFUSED_repeated);
        /* The window is closed: the same second does not count, the next does. */
        assert_int_equal(send_at(&b, add, -299, 300), SP_RCODE_REFUSED);
        assert_string_equal(upd_rrset(b.r, "laptop", "A"), "");
        assert_int_equal(send_at(&b, add, -298, 300), 0);
        upd_free(b.r);
    }
    upd_free(w.r);
}

static void memory_of_signatures_is_bounded(void **state) {
    struct world w = world();
    struct sp_use *use;
    char line[64];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(line, sizeof line, "add laptop 60 A 192.0.%u.%u", i / 250 % 4, i % 250);
        assert_int_equal(send_at(&w, line, -300, 300), 0);
        if (i % 1000 == 999)
            upd_pass(w.r, SP_REPLAY_WINDOW_S * SP_SEC + SP_SEC);
    }
    struct sp_name name = upd_name("laptop");
    use = sp_use_find(w.r->u, 1, SP_AUTH_SIG0, &name, w.key.pub);
    assert_non_null(use);
    assert_true(use->seen_cap <= 4096); /* of the last window, not of all */
    /* When the last signature has expired, nothing is kept. */
    upd_pass(w.r, SP_DAY);
    upd_expire(w.r);
    assert_null(sp_use_find(w.r->u, 1, SP_AUTH_SIG0, &name, w.key.pub));
    assert_int_equal(w.r->u->seen_slots, 0);
    upd_free(w.r);
}

/* Not the key's fault, and over when there is memory again. */
static void without_memory_for_signatures_that_is_said(void **state) {
    struct piece {
        struct piece *next;
    } *held = NULL, *p;
    struct world w = world();
    char line[64];
    for (unsigned i = 1; i <= 3; i++) {
        snprintf(line, sizeof line, "add laptop 60 A 192.0.2.%u", i);
        assert_int_equal(send_at(&w, line, 0, 300), 0);
    }
    const size_t next = 8 * sizeof(struct sp_seen), limit = w.r->mem.limit;
    w.r->mem.limit = w.r->mem.granted;
    for (; (p = sp_mem_alloc(&w.r->mem, next)) != NULL; held = p)
        p->next = held;
    assert_int_equal(send_at(&w, "add laptop 60 A 192.0.2.4", 0, 300), SP_RCODE_SERVFAIL);
    assert_non_null(strstr(w.r->ede_text, "memory of the signpost is full"));
    for (; (p = held) != NULL; sp_mem_free(&w.r->mem, p, next))
        held = p->next;
    w.r->mem.limit = limit;
    assert_int_equal(send_at(&w, "add laptop 60 A 192.0.2.4", 0, 300), 0);
    upd_free(w.r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_window),
        cmocka_unit_test(replies_are_signed),
        cmocka_unit_test(wrong_key),
        cmocka_unit_test(altered_bytes),
        cmocka_unit_test(replays),
        cmocka_unit_test(refused_stays_refused),
        cmocka_unit_test(replays_after_a_restart),
        cmocka_unit_test(memory_of_signatures_is_bounded),
        cmocka_unit_test(without_memory_for_signatures_that_is_said),
    };
    return cmocka_run_group_tests_name("update_rfc2931", tests, setup, NULL);
}
