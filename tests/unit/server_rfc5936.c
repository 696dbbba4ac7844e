/* Zone transfers. RFC 5936 (AXFR), RFC 1995 (IXFR), with TSIG (RFC 8945). */
#include "tests/unit/cm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/server_rig.h"

#define NAMES 3000

static struct rig r;
static uint8_t buf[4096];
static struct sp_tsig_key key;
static struct sp_tsig_state asked;

static int begin(void **state) {
    rig_init(&r, 2048);
    rig_start(&r);
    rig_zone(&r);
    rig_tsig(&key);
    char *text = malloc(NAMES * 64), *p = text;
    for (unsigned i = 0; i < NAMES; i++)
        p += sprintf(p, "host%u 60 IN A 192.0.2.%u\n", i, i % 256);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_IMPORT, RIG_ZONE, text, NULL), SP_OP_OK);
    free(text);
    return 0;
}

static int end(void **state) {
    rig_end(&r);
    return 0;
}

/* A request in buf, signed with `with` unless NULL; an IXFR carries `serial`. */
static size_t request(uint16_t type, uint32_t serial, const struct sp_tsig_key *with) {
    struct sp_msgw w;
    struct sp_name zone;
    assert_int_equal(sp_name_from_text(&zone, RIG_ZONE, strlen(RIG_ZONE), NULL), SP_OK);
    sp_msgw_begin(&w, buf, sizeof buf, 55, 0);
    sp_msgw_question(&w, &zone, type, SP_CLASS_IN);
    if (type == SP_TYPE_IXFR) {
        uint8_t soa[22] = {0};
        sp_put_u32(soa + 2, serial);
        assert_int_equal(sp_msgw_rr(&w, 2, &zone, SP_TYPE_SOA, SP_CLASS_IN, 0, soa, sizeof soa), SP_OK);
    }
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    wr.pos += sp_msgw_end(&w);
    asked = (struct sp_tsig_state){0};
    if (with != NULL)
        assert_int_equal(sp_tsig_sign(&wr, with, r.wall, NULL, false, &asked), SP_OK);
    return sp_wr_len(&wr);
}

struct seen {
    size_t messages, records, soas, a, foreign;
    bool begins_with_soa, ends_with_soa, signatures_good;
    uint32_t first_serial;
    bool has_new; /* the name that was added while the transfer ran */
};

static uint32_t serial_of(struct sp_rr *rr) {
    struct sp_name skip;
    assert_int_equal(sp_name_read(&rr->rdata, &skip), SP_OK);
    assert_int_equal(sp_name_read(&rr->rdata, &skip), SP_OK);
    return sp_rd_u32(&rr->rdata);
}

/* RFC 8945 5.3.1: a later message's MAC covers the one before. Signing it again gives the same bytes. */
static bool follows(const struct sp_msg *msg, struct sp_tsig_state *chain) {
    static uint8_t again[SP_MSG_MAX];
    struct sp_wr wr = sp_wr_init(again, sizeof again);
    sp_wr_bytes(&wr, msg->wire, msg->auth_offset);
    sp_put_u16(again + 10, (uint16_t)(msg->count[3] - 1));
    assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, true, chain), SP_OK);
    return sp_wr_len(&wr) == msg->len && memcmp(again, msg->wire, msg->len) == 0;
}

static void look(const uint8_t *data, size_t len, struct sp_tsig_state *chain, struct seen *s) {
    struct sp_msg msg;
    struct sp_rr rr;
    assert_int_equal(sp_msg_parse(&msg, data, len), SP_OK);
    assert_int_equal(SP_RCODE_OF(msg.flags), SP_RCODE_NOERROR);
    assert_true(msg.flags & SP_FLAG_AA);
    assert_int_equal(msg.id, 55);
    assert_int_equal(msg.auth, SP_AUTH_TSIG);
    if (s->messages == 0) {
        struct sp_tsig_state got;
        s->signatures_good = sp_tsig_verify(&msg, &key, r.wall, &asked, &got) == SP_OK;
        *chain = got;
    } else {
        s->signatures_good &= follows(&msg, chain);
    }
    s->messages++;
    struct sp_rd rd = sp_msg_section(&msg, 1);
    for (unsigned i = 0; i < msg.count[1]; i++) {
        assert_int_equal(sp_msg_rr(&rd, &rr), SP_OK);
        char name[SP_NAME_TEXT_MAX];
        sp_name_to_text(&rr.owner, name);
        s->ends_with_soa = rr.type == SP_TYPE_SOA;
        if (s->records++ == 0) {
            s->begins_with_soa = rr.type == SP_TYPE_SOA;
            s->first_serial = serial_of(&rr);
        }
        s->soas += rr.type == SP_TYPE_SOA;
        s->a += rr.type == SP_TYPE_A && strncmp(name, "host", 4) == 0;
        s->has_new |= strncmp(name, "new", 3) == 0;
    }
}

static struct seen look_at_all(uint64_t stream) {
    struct seen s = {0};
    struct sp_tsig_state chain;
    size_t len;
    uint8_t *m;
    for (size_t i = 0; (m = rig_stream_message(&r, stream, i, &len)) != NULL; i++) {
        look(m, len, &chain, &s);
        free(m);
    }
    return s;
}

/* RFC 5936 2.2: the SOA frames it, over as many messages as it takes; RFC 8945 5.3.1: signed. */
static void soa_frames_the_zone(void **state) {
    rig_forget(&r);
    rig_open(&r, 1, &rig_client, 1 << 24);
    rig_message(&r, 1, buf, request(SP_TYPE_AXFR, 0, &key));
    struct seen s = look_at_all(1);
    assert_true(s.messages > 1);
    assert_true(s.begins_with_soa && s.ends_with_soa && s.signatures_good);
    assert_int_equal(s.soas, 2);
    assert_int_equal(s.a, NAMES);
    /* The connection goes on after it (RFC 5936 4.1). */
    rig_forget(&r);
    rig_message(&r, 1, buf, rig_query(buf, sizeof buf, 3, "host1.me.example.", SP_TYPE_A, false, 0));
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_DATA, 1), 1);
    rig_close(&r, 1);
}

/* Whatever changes meanwhile: one view of the zone, however slowly it is taken. */
static void a_slow_transfer_is_one_view(void **state) {
    uint8_t update[1024];
    struct sp_tsig_state tsig = {0};
    rig_forget(&r);
    rig_open(&r, 2, &rig_client, 1000);
    rig_message(&r, 2, buf, request(SP_TYPE_AXFR, 0, &key));
    struct sp_tsig_state asked_then = asked;
    uint64_t serial_before, serial_after;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_LIST, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "serial", &serial_before));
    for (unsigned i = 0; i < 50; i++) {
        char owner[64];
        snprintf(owner, sizeof owner, i % 2 ? "new%u.me.example." : "host%u.me.example.", i * 50);
        struct sp_wr wr = sp_wr_init(update, sizeof update);
        wr.pos += rig_update_a(update, sizeof update, (uint16_t)i, RIG_ZONE, owner, "203.0.113.9");
        assert_int_equal(sp_tsig_sign(&wr, &key, r.wall, NULL, false, &tsig), SP_OK);
        struct sp_in in = {
            .kind = SP_IN_DATAGRAM, .data = update, .len = sp_wr_len(&wr), .src = rig_client, .dst = rig_server};
        rig_in(&r, &in, 1);
        rig_credit(&r, 2, 2000);
    }
    rig_credit(&r, 2, 1 << 24);
    asked = asked_then;
    struct seen s = look_at_all(2);
    assert_true(s.begins_with_soa && s.ends_with_soa && s.signatures_good);
    assert_int_equal(s.a, NAMES);
    assert_false(s.has_new);
    assert_true(s.first_serial == serial_before);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_LIST, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "serial", &serial_after));
    assert_true(serial_after > serial_before);
    rig_close(&r, 2);
}

static void a_zone_that_goes_away_ends_its_transfers(void **state) {
    rig_forget(&r);
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_ADD, "gone.example.", "", NULL), SP_OP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_KEY_ADD, "gone.example.", "tsig", "other.", "hmac-sha512",
                             "01234567890123456789012345678901", "axfr", NULL),
                     SP_OP_OK);
    struct sp_tsig_key other = {.hash = SP_SHA512, .secret_len = 32};
    assert_int_equal(sp_name_from_text(&other.name, "other.", 6, NULL), SP_OK);
    memcpy(other.secret, "01234567890123456789012345678901", 32);
    struct sp_msgw w;
    struct sp_name zone;
    assert_int_equal(sp_name_from_text(&zone, "gone.example.", 13, NULL), SP_OK);
    sp_msgw_begin(&w, buf, sizeof buf, 55, 0);
    sp_msgw_question(&w, &zone, SP_TYPE_AXFR, SP_CLASS_IN);
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    wr.pos += sp_msgw_end(&w);
    assert_int_equal(sp_tsig_sign(&wr, &other, r.wall, NULL, false, &asked), SP_OK);
    rig_open(&r, 3, &rig_client, 0);
    rig_message(&r, 3, buf, sp_wr_len(&wr));
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_REMOVE, "gone.example.", NULL), SP_OP_OK);
    rig_credit(&r, 3, 1 << 20);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_DATA, 3), 0);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_RESET, 3), 1);
}

static unsigned rcode_over_tcp(uint64_t id, size_t len) {
    size_t n;
    rig_forget(&r);
    rig_open(&r, id, &rig_client, 1 << 20);
    rig_message(&r, id, buf, len);
    uint8_t *m = rig_stream_message(&r, id, 0, &n);
    assert_non_null(m);
    unsigned rcode = rig_rcode(m, n);
    free(m);
    rig_close(&r, id);
    return rcode;
}

/* Only keys that may, and only with TSIG. */
static void others_are_refused(void **state) {
    struct sp_tsig_key stranger = key, narrow = key;
    assert_int_equal(rcode_over_tcp(10, request(SP_TYPE_AXFR, 0, NULL)), SP_RCODE_REFUSED);
    assert_int_equal(rcode_over_tcp(11, request(SP_TYPE_IXFR, 0, NULL)), SP_RCODE_REFUSED);
    assert_int_equal(sp_name_from_text(&stranger.name, "stranger.", 9, NULL), SP_OK);
    assert_int_equal(rcode_over_tcp(12, request(SP_TYPE_AXFR, 0, &stranger)), SP_RCODE_NOTAUTH);
    stranger = key;
    stranger.secret[0] ^= 1;
    assert_int_equal(rcode_over_tcp(13, request(SP_TYPE_AXFR, 0, &stranger)), SP_RCODE_NOTAUTH);
    assert_int_equal(sp_name_from_text(&narrow.name, "narrow.", 7, NULL), SP_OK);
    assert_int_equal(rig_ctl(&r, SP_OP_KEY_ADD, RIG_ZONE, "tsig", "narrow.", "hmac-sha256",
                             "\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7", "names=*", NULL),
                     SP_OP_OK);
    assert_int_equal(rcode_over_tcp(14, request(SP_TYPE_AXFR, 0, &narrow)), SP_RCODE_REFUSED);
}

/* RFC 5936 4.2: AXFR over UDP is not defined. */
static void axfr_over_udp_is_an_error(void **state) {
    const struct rig_out *o = rig_udp(&r, buf, request(SP_TYPE_AXFR, 0, &key));
    assert_non_null(o);
    assert_int_equal(rig_rcode(o->data, o->len), SP_RCODE_FORMERR);
}

/* RFC 1995 2 and 4: a current client gets the SOA alone, an older one the whole zone; UDP gets the SOA. */
static void ixfr_without_a_history(void **state) {
    uint64_t serial;
    assert_int_equal(rig_ctl(&r, SP_OP_ZONE_LIST, NULL), SP_OP_OK);
    assert_true(rig_ctl_number(&r, "serial", &serial));
    const struct rig_out *o = rig_udp(&r, buf, request(SP_TYPE_IXFR, (uint32_t)serial - 3, &key));
    assert_non_null(o);
    assert_int_equal(rig_answers(o->data, o->len, SP_TYPE_SOA), 1);
    rig_forget(&r);
    rig_open(&r, 20, &rig_client, 1 << 24);
    rig_message(&r, 20, buf, request(SP_TYPE_IXFR, (uint32_t)serial, &key));
    struct seen s = look_at_all(20);
    assert_int_equal(s.records, 1);
    assert_true(s.begins_with_soa && s.signatures_good);
    rig_close(&r, 20);
    rig_forget(&r);
    rig_open(&r, 21, &rig_client, 1 << 24);
    rig_message(&r, 21, buf, request(SP_TYPE_IXFR, (uint32_t)serial - 1, &key));
    s = look_at_all(21);
    assert_true(s.begins_with_soa && s.ends_with_soa && s.signatures_good);
    assert_true(s.a >= NAMES - 50);
    rig_close(&r, 21);
}

static void a_reader_that_stops_is_reset(void **state) {
    rig_forget(&r);
    rig_open(&r, 30, &rig_client, 20000);
    rig_message(&r, 30, buf, request(SP_TYPE_AXFR, 0, &key));
    rig_wait(&r, r.config.tcp_stall + SP_SEC);
    assert_int_equal(rig_sent_count(&r, SP_OUT_STREAM_RESET, 30), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soa_frames_the_zone),
        cmocka_unit_test(a_slow_transfer_is_one_view),
        cmocka_unit_test(a_zone_that_goes_away_ends_its_transfers),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(axfr_over_udp_is_an_error),
        cmocka_unit_test(ixfr_without_a_history),
        cmocka_unit_test(a_reader_that_stops_is_reset),
    };
    return cmocka_run_group_tests_name("server_rfc5936", tests, begin, end);
}
