/* RFC 8945: TSIG on updates: BADKEY, BADSIG, BADTIME with the server's time, truncated MACs, replays, signed replies.
 */
#include "tests/unit/cm.h"

#include "tests/support/update_rig.h"

static const char add[] = "add host 60 A 192.0.2.99";

struct world {
    struct upd *r;
    struct sp_tsig_key key;
};

static struct world world(enum sp_hash hash) {
    struct world w = {upd_new(), upd_tsig_key("router.")};
    struct sp_change c;
    const char *what;
    w.key.hash = hash;
    assert_int_equal(sp_updater_tsig_add(w.r->u, w.r->zone, &w.key, "names=* axfr", 12, &c, &what), SP_OK);
    assert_true(upd_commit(w.r, &c));
    return w;
}

/* The reply's TSIG as the client checks it. */
static sp_err check(struct world *w, sp_wall now) {
    struct sp_tsig_state state = {0};
    assert_int_equal(w->r->msg.auth, SP_AUTH_TSIG);
    return sp_tsig_verify(&w->r->msg, &w->key, now, &w->r->tsig, &state);
}

/* Error and other length of the reply's TSIG, read by hand. */
static uint16_t tsig_error(struct world *w, uint64_t *server_time) {
    struct sp_rd rd = {w->r->reply, w->r->reply + w->r->msg.auth_offset, w->r->reply + w->r->reply_len, SP_OK};
    struct sp_rr rr;
    struct sp_name alg;
    assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
    assert_int_equal(sp_name_read_plain(&rr.rdata, &alg), SP_OK);
    (void)sp_rd_bytes(&rr.rdata, 8);
    (void)sp_rd_bytes(&rr.rdata, sp_rd_u16(&rr.rdata));
    assert_int_equal(sp_rd_u16(&rr.rdata), 4711);
    uint16_t error = sp_rd_u16(&rr.rdata);
    *server_time = sp_rd_u16(&rr.rdata) == 6 ? sp_rd_u48(&rr.rdata) : 0;
    return error;
}

static void each_algorithm(void **state) {
    static const enum sp_hash hashes[] = {SP_SHA256, SP_SHA384, SP_SHA512};
    for (size_t i = 0; i < 3; i++) {
        struct world w = world(hashes[i]);
        assert_int_equal(upd_update_tsig(w.r, &w.key, add), SP_RCODE_NOERROR);
        assert_int_equal(check(&w, w.r->wall), SP_OK);
        w.r->reply[3] ^= 1; /* the answer altered on its way */
        assert_int_equal(sp_msg_parse(&w.r->msg, w.r->reply, w.r->reply_len), SP_OK);
        assert_int_equal(check(&w, w.r->wall), SP_ERR_BADSIG);
        assert_string_equal(upd_rrset(w.r, "host", "A"), "60 192.0.2.10 | 192.0.2.11 | 192.0.2.99");
        upd_free(w.r);
    }
}

static void badkey(void **state) {
    struct world w = world(SP_SHA256);
    struct sp_tsig_key other = upd_tsig_key("stranger.");
    uint64_t t;
    assert_int_equal(upd_update_tsig(w.r, &other, add), SP_RCODE_NOTAUTH);
    assert_int_equal(w.r->up.why, SP_REFUSED_tsig_badkey);
    assert_int_equal(tsig_error(&w, &t), SP_RCODE_BADKEY);
    /* The right name with another algorithm. */
    other = w.key;
    other.hash = SP_SHA512;
    assert_int_equal(upd_update_tsig(w.r, &other, add), SP_RCODE_NOTAUTH);
    assert_int_equal(tsig_error(&w, &t), SP_RCODE_BADKEY);
    upd_free(w.r);
}

static void badsig(void **state) {
    struct world w = world(SP_SHA256);
    struct sp_tsig_key other = w.key;
    uint64_t t;
    other.secret[0] ^= 1;
    assert_int_equal(upd_update_tsig(w.r, &other, add), SP_RCODE_NOTAUTH);
    assert_int_equal(w.r->up.why, SP_REFUSED_tsig_badsig);
    assert_int_equal(tsig_error(&w, &t), SP_RCODE_BADSIG);
    assert_int_equal(sp_updater_counts(w.r->u)->tsig_failed, 1);
    /* An altered byte. */
    assert_int_equal(upd_update_tsig(w.r, &w.key, "nxdomain nothing"), 0);
    upd_begin(w.r);
    upd_line(w.r, add);
    upd_sign_tsig(w.r, &w.key);
    assert_int_equal(sp_msg_parse(&w.r->sent, w.r->out, w.r->out_len), SP_OK);
    w.r->out[w.r->sent.auth_offset - 1] ^= 1; /* the address */
    assert_int_equal(upd_send(w.r), SP_RCODE_NOTAUTH);
    upd_free(w.r);
}

static void badtime(void **state) {
    struct world w = world(SP_SHA256);
    uint64_t t;
    sp_wall server = w.r->wall, client = sp_wall_from_sec(UPD_WALL - 1000);
    upd_begin(w.r);
    upd_line(w.r, add);
    upd_opt(w.r, 0, 0, 0);
    w.r->wall = client;
    upd_sign_tsig(w.r, &w.key);
    w.r->wall = server;
    assert_int_equal(upd_send(w.r), SP_RCODE_NOTAUTH);
    assert_int_equal(w.r->up.why, SP_REFUSED_tsig_time);
    assert_int_equal(tsig_error(&w, &t), SP_RCODE_BADTIME);
    assert_int_equal(t, UPD_WALL);
    /* Signed, so that the client may believe the time; and checkable by its own clock (5.2.3). */
    struct sp_tsig_state s = {0};
    sp_err err = sp_tsig_verify(&w.r->msg, &w.key, client, &w.r->tsig, &s);
    assert_true(err == SP_OK || err == SP_ERR_TIME);
    upd_free(w.r);
}

static void replay_is_badtime(void **state) {
    struct world w = world(SP_SHA256);
    uint64_t t;
    assert_int_equal(upd_update_tsig(w.r, &w.key, add), 0);
    uint32_t serial = upd_serial(w.r);
    assert_int_equal(upd_send(w.r), 0); /* a retransmission */
    assert_int_equal(w.r->up.why, SP_REFUSED_repeated);
    assert_int_equal(check(&w, w.r->wall), SP_OK);
    assert_int_equal(upd_serial(w.r), serial);
    /* Signed a minute ago and held back, while others went ahead. */
    upd_begin(w.r);
    upd_line(w.r, "add host 60 A 192.0.2.98");
    upd_opt(w.r, 0, 0, 0);
    upd_sign_tsig(w.r, &w.key);
    static uint8_t held[SP_MSG_MAX];
    size_t held_len = w.r->out_len;
    memcpy(held, w.r->out, held_len);
    upd_pass(w.r, SP_MIN);
    assert_int_equal(upd_update_tsig(w.r, &w.key, "delete host A"), 0);
    memcpy(w.r->out, held, held_len);
    w.r->out_len = held_len;
    assert_int_equal(upd_send(w.r), SP_RCODE_NOTAUTH);
    assert_int_equal(w.r->up.why, SP_REFUSED_tsig_replay);
    assert_int_equal(tsig_error(&w, &t), SP_RCODE_BADTIME);
    assert_string_equal(upd_rrset(w.r, "host", "A"), "");
    upd_free(w.r);
}

static void transfers_and_queries(void **state) {
    struct world w = world(SP_SHA256);
    struct sp_signer signer;
    struct sp_name apex = upd_name("@");
    upd_tsig(w.r, "writer.", "names=*");
    struct sp_tsig_key writer = upd_tsig_key("writer.");
    for (unsigned i = 0; i < 2; i++) {
        sp_msgw_begin(&w.r->w, w.r->out, sizeof w.r->out, 1, 0);
        sp_msgw_question(&w.r->w, &apex, SP_TYPE_AXFR, SP_CLASS_IN);
        w.r->out_len = 0;
        upd_sign_tsig(w.r, i == 0 ? &w.key : &writer);
        assert_int_equal(sp_msg_parse(&w.r->sent, w.r->out, w.r->out_len), SP_OK);
        assert_int_equal(sp_updater_verify(w.r->u, &w.r->sent, SP_VIA_TCP, &w.r->src, w.r->now, w.r->wall, &signer),
                         SP_OK);
        assert_int_equal(sp_signer_may_transfer(&signer, w.r->zone), i == 0);
    }
    /* Three messages of one answer: the first covers the request, the others what went before (5.3.1). */
    struct sp_tsig_state state1 = {0}, last = w.r->tsig;
    assert_int_equal(sp_updater_verify(w.r->u, &w.r->sent, SP_VIA_TCP, &w.r->src, w.r->now, w.r->wall, &signer), SP_OK);
    for (unsigned i = 0; i < 3; i++) {
        struct sp_msgw m;
        sp_msgw_begin(&m, w.r->reply, sizeof w.r->reply, 1, SP_FLAG_QR);
        size_t len = sp_msgw_end(&m);
        struct sp_wr wr = sp_wr_init(w.r->reply, len + sp_signer_size(w.r->u, &signer));
        wr.pos += len;
        assert_int_equal(sp_signer_sign(w.r->u, &signer, &wr, w.r->out, w.r->out_len, i > 0, w.r->wall), SP_OK);
        assert_int_equal(sp_msg_parse(&w.r->msg, w.r->reply, sp_wr_len(&wr)), SP_OK);
        assert_int_equal(w.r->msg.auth, SP_AUTH_TSIG);
        if (i == 0)
            assert_int_equal(sp_tsig_verify(&w.r->msg, &writer, w.r->wall, &last, &state1), SP_OK);
        assert_memory_not_equal(signer.tsig_state.mac, last.mac, 32);
        last = signer.tsig_state;
    }
    /* A refusal says why. */
    writer.secret[0] ^= 1;
    w.r->out_len = 0;
    sp_msgw_begin(&w.r->w, w.r->out, sizeof w.r->out, 1, 0);
    sp_msgw_question(&w.r->w, &apex, SP_TYPE_AXFR, SP_CLASS_IN);
    upd_sign_tsig(w.r, &writer);
    assert_int_equal(sp_msg_parse(&w.r->sent, w.r->out, w.r->out_len), SP_OK);
    assert_int_equal(sp_updater_verify(w.r->u, &w.r->sent, SP_VIA_TCP, &w.r->src, w.r->now, w.r->wall, &signer),
                     SP_ERR_DENIED);
    assert_false(sp_signer_may_transfer(&signer, w.r->zone));
    size_t n =
        sp_signer_refuse(w.r->u, &w.r->view, &w.r->sent, &w.r->src, &signer, w.r->wall, w.r->reply, sizeof w.r->reply);
    assert_int_equal(sp_msg_parse(&w.r->msg, w.r->reply, n), SP_OK);
    assert_int_equal(SP_RCODE_OF(w.r->msg.flags), SP_RCODE_NOTAUTH);
    upd_free(w.r);
}

static void bad_keys_are_refused(void **state) {
    struct world w = world(SP_SHA256);
    struct sp_change c;
    const char *what = NULL;
    struct sp_tsig_key k = upd_tsig_key("k.");
    k.secret_len = 0;
    assert_int_equal(sp_updater_tsig_add(w.r->u, w.r->zone, &k, "", 0, &c, &what), SP_ERR_FORM);
    assert_non_null(what);
    k = upd_tsig_key("k.");
    k.hash = SP_SHA1;
    assert_int_equal(sp_updater_tsig_add(w.r->u, w.r->zone, &k, "", 0, &c, &what), SP_ERR_FORM);
    k.hash = SP_SHA256;
    assert_int_equal(sp_updater_tsig_add(w.r->u, w.r->zone, &k, "names=x.y.z.", 12, &c, &what), SP_ERR_FORM);
    upd_free(w.r);
}

static int setup(void **state) {
    return sp_crypto_init() == SP_OK ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm),
        cmocka_unit_test(badkey),
        cmocka_unit_test(badsig),
        cmocka_unit_test(badtime),
        cmocka_unit_test(replay_is_badtime),
        cmocka_unit_test(transfers_and_queries),
        cmocka_unit_test(bad_keys_are_refused),
    };
    return cmocka_run_group_tests_name("update_rfc8945", tests, setup, NULL);
}
