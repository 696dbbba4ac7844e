#include "proto/dns/tsig.h"

#include <string.h>

#include "proto/dns/rrtype.h"

#define FUDGE_S    300
#define ARCOUNT_AT 10
#define OTHER_TIME 6  /* bytes of other data in a BADTIME reply: the server's clock */
#define MAC_MIN    10 /* or half the hash, whichever is more (RFC 8945 5.2.2.1) */
#define VARS_MAX   (2 * SP_NAME_MAX + 24)

struct tsig {
    struct sp_name key, alg;
    uint64_t time;
    uint16_t fudge;
    const uint8_t *mac;
    uint16_t mac_len, original_id, error, other_len;
    const uint8_t *other;
};

static const struct {
    enum sp_hash hash;
    const char *text;
} algs[] = {{SP_SHA256, "hmac-sha256"}, {SP_SHA384, "hmac-sha384"}, {SP_SHA512, "hmac-sha512"}};

void sp_tsig_alg_name(enum sp_hash hash, struct sp_name *ret) {
    size_t i = 0;
    while (i < sizeof algs / sizeof algs[0] && algs[i].hash != hash)
        i++;
    SP_ASSERT(i < sizeof algs / sizeof algs[0]);
    sp_name_root(ret);
    sp_err err = sp_name_prepend(ret, algs[i].text, strlen(algs[i].text), ret);
    SP_ASSERT(err == SP_OK);
}

sp_err sp_tsig_alg(const struct sp_name *alg, enum sp_hash *ret) {
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        struct sp_name name;
        sp_tsig_alg_name(algs[i].hash, &name);
        if (sp_name_equal(&name, alg)) {
            *ret = algs[i].hash;
            return SP_OK;
        }
    }
    return SP_ERR_UNSUP;
}

static sp_err parse(const struct sp_msg *msg, struct tsig *ret) {
    SP_ASSERT(msg->auth == SP_AUTH_TSIG);
    struct sp_rd rd = sp_rd_init(msg->wire, msg->len);
    struct sp_rr rr;
    (void)sp_rd_bytes(&rd, msg->auth_offset);
    SP_TRY(sp_msg_rr(&rd, &rr));
    if (rr.rclass != SP_CLASS_ANY || rr.ttl != 0) /* RFC 8945 4.2 */
        return SP_ERR_FORM;
    struct sp_rd r = rr.rdata;
    ret->key = rr.owner;
    SP_TRY(sp_name_read_plain(&r, &ret->alg));
    sp_name_lower(&ret->key);
    sp_name_lower(&ret->alg);
    ret->time = sp_rd_u48(&r);
    ret->fudge = sp_rd_u16(&r);
    ret->mac_len = sp_rd_u16(&r);
    ret->mac = sp_rd_bytes(&r, ret->mac_len);
    ret->original_id = sp_rd_u16(&r);
    ret->error = sp_rd_u16(&r);
    ret->other_len = sp_rd_u16(&r);
    ret->other = sp_rd_bytes(&r, ret->other_len);
    return sp_rd_finish(&r);
}

sp_err sp_tsig_peek(const struct sp_msg *msg, struct sp_name *ret_key, struct sp_name *ret_alg) {
    struct tsig t;
    SP_TRY(parse(msg, &t));
    *ret_key = t.key;
    *ret_alg = t.alg;
    return SP_OK;
}

/* What is hashed (RFC 8945 4.3): the MAC before this one with its length, the message without TSIG, under the id and
 * count it was signed with, then the record's fields; of later messages of a stream the times alone (5.3.1). */
static void mac_of(const struct sp_tsig_key *key, const struct sp_tsig_state *before, const uint8_t *msg, size_t len,
                   uint16_t arcount, const struct tsig *t, bool later, uint8_t ret[SP_HASH_MAX]) {
    uint8_t before_len[2], header[SP_MSG_HEADER], vars[VARS_MAX];
    sp_put_u16(before_len, before != NULL ? before->mac_len : 0);
    memcpy(header, msg, SP_MSG_HEADER);
    sp_put_u16(header, t->original_id);
    sp_put_u16(header + ARCOUNT_AT, arcount);

    struct sp_wr wr = sp_wr_init(vars, sizeof vars);
    if (!later) {
        sp_name_write(&wr, &t->key);
        sp_wr_u16(&wr, SP_CLASS_ANY);
        sp_wr_u32(&wr, 0);
        sp_name_write(&wr, &t->alg);
    }
    sp_wr_u48(&wr, t->time);
    sp_wr_u16(&wr, t->fudge);
    if (!later) {
        sp_wr_u16(&wr, t->error);
        sp_wr_u16(&wr, t->other_len);
    }
    SP_ASSERT(wr.err == SP_OK);
    struct sp_piece pieces[] = {
        {before_len, before != NULL ? sizeof before_len : 0},
        {before != NULL ? before->mac : NULL, before != NULL ? before->mac_len : 0},
        {header, sizeof header},
        {msg + SP_MSG_HEADER, len - SP_MSG_HEADER},
        {vars, sp_wr_len(&wr)},
        {t->other, later ? 0 : t->other_len},
    };
    sp_hmac(key->hash, key->secret, key->secret_len, pieces, sizeof pieces / sizeof pieces[0], ret);
}

static sp_err check_mac(const struct sp_msg *msg, const struct sp_tsig_key *key, const struct tsig *t,
                        const struct sp_tsig_state *request, bool later, struct sp_tsig_state *state) {
    size_t whole = sp_hash_size(key->hash), least = whole / 2 > MAC_MIN ? whole / 2 : MAC_MIN;
    uint8_t mac[SP_HASH_MAX];
    if (t->mac_len > whole || t->mac_len < least)
        return SP_ERR_FORM;
    mac_of(key, request, msg->wire, msg->auth_offset, (uint16_t)(sp_get_u16(msg->wire + ARCOUNT_AT) - 1), t, later,
           mac);
    bool good = sp_equal_ct(mac, t->mac, t->mac_len);
    sp_wipe(mac, sizeof mac);
    if (!good) {
        state->error = SP_RCODE_BADSIG;
        return SP_ERR_BADSIG;
    }
    memcpy(state->mac, t->mac, t->mac_len);
    state->mac_len = t->mac_len;
    return SP_OK;
}

static sp_err verify(const struct sp_msg *msg, const struct sp_tsig_key *key, sp_wall now,
                     const struct sp_tsig_state *request, bool later, struct sp_tsig_state *state) {
    struct tsig t;
    enum sp_hash hash;
    struct sp_tsig_state before = {0};
    if (request != NULL)
        before = *request; /* which may be state */
    *state = (struct sp_tsig_state){0};
    SP_TRY(parse(msg, &t));
    state->client_time = t.time;
    if (sp_tsig_alg(&t.alg, &hash) != SP_OK || hash != key->hash || !sp_name_equal(&t.key, &key->name)) {
        state->error = SP_RCODE_BADKEY;
        return SP_ERR_BADKEY;
    }
    if (request != NULL && t.mac_len == 0 && (t.error == SP_RCODE_BADKEY || t.error == SP_RCODE_BADSIG)) {
        state->error = t.error; /* the server's refusal, which it could not sign (RFC 8945 5.3.2) */
        return t.error == SP_RCODE_BADKEY ? SP_ERR_BADKEY : SP_ERR_BADSIG;
    }
    SP_TRY(check_mac(msg, key, &t, request != NULL ? &before : NULL, later, state));
    uint64_t s = sp_wall_sec(now), apart = s > t.time ? s - t.time : t.time - s;
    if (apart > t.fudge) {
        state->error = SP_RCODE_BADTIME;
        return SP_ERR_TIME;
    }
    if (request != NULL && t.error != 0) {
        state->error = t.error;
        return t.error == SP_RCODE_BADTIME ? SP_ERR_TIME : SP_ERR_BADSIG;
    }
    if (t.mac_len < key->mac_min) {
        state->error = SP_RCODE_BADTRUNC;
        return SP_ERR_BADSIG;
    }
    return SP_OK;
}

sp_err sp_tsig_verify(const struct sp_msg *msg, const struct sp_tsig_key *key, sp_wall now,
                      const struct sp_tsig_state *request, struct sp_tsig_state *state) {
    return verify(msg, key, now, request, false, state);
}

sp_err sp_tsig_verify_later(const struct sp_msg *msg, const struct sp_tsig_key *key, sp_wall now,
                            struct sp_tsig_state *state) {
    return verify(msg, key, now, state, true, state);
}

static size_t record_size(const struct tsig *t) {
    return t->key.len + 10u + t->alg.len + 6 + 2 + 2 + t->mac_len + 2 + 2 + 2 + t->other_len;
}

static sp_err append(struct sp_wr *wr, const struct tsig *t) {
    uint16_t arcount = sp_get_u16(wr->base + ARCOUNT_AT);
    if (sp_wr_left(wr) < record_size(t) || arcount == UINT16_MAX)
        return SP_ERR_SPACE;
    sp_name_write(wr, &t->key);
    sp_wr_u16(wr, SP_TYPE_TSIG);
    sp_wr_u16(wr, SP_CLASS_ANY);
    sp_wr_u32(wr, 0);
    size_t at = sp_wr_len16_begin(wr);
    sp_name_write(wr, &t->alg);
    sp_wr_u48(wr, t->time);
    sp_wr_u16(wr, t->fudge);
    sp_wr_u16(wr, t->mac_len);
    sp_wr_bytes(wr, t->mac, t->mac_len);
    sp_wr_u16(wr, t->original_id);
    sp_wr_u16(wr, t->error);
    sp_wr_u16(wr, t->other_len);
    sp_wr_bytes(wr, t->other, t->other_len);
    sp_wr_len16_end(wr, at);
    sp_put_u16(wr->base + ARCOUNT_AT, (uint16_t)(arcount + 1));
    return wr->err;
}

sp_err sp_tsig_sign(struct sp_wr *wr, const struct sp_tsig_key *key, sp_wall now, const struct sp_tsig_state *request,
                    bool later, struct sp_tsig_state *state) {
    if (wr->err != SP_OK)
        return wr->err;
    SP_ASSERT(sp_wr_len(wr) >= SP_MSG_HEADER && (!later || request == NULL));
    struct tsig t = {.key = key->name, .time = sp_wall_sec(now), .fudge = FUDGE_S, .original_id = sp_get_u16(wr->base)};
    const struct sp_tsig_state *before = later ? state : request;
    uint8_t mac[SP_HASH_MAX], other[OTHER_TIME];
    sp_tsig_alg_name(key->hash, &t.alg);
    if (request != NULL)
        t.error = request->error;
    if (t.error == SP_RCODE_BADTIME) {
        struct sp_wr clock = sp_wr_init(other, sizeof other);
        sp_wr_u48(&clock, t.time);
        t.other = other;
        t.other_len = sizeof other;
        t.time = request->client_time; /* so that the client can check it by its own clock (RFC 8945 5.2.3) */
    }
    if (t.error == SP_RCODE_BADSIG || t.error == SP_RCODE_BADKEY)
        return append(wr, &t);
    t.mac_len = (uint16_t)sp_hash_size(key->hash);
    t.mac = mac;
    if (sp_wr_left(wr) < record_size(&t))
        return SP_ERR_SPACE;
    mac_of(key, before, wr->base, sp_wr_len(wr), sp_get_u16(wr->base + ARCOUNT_AT), &t, later, mac);
    SP_TRY(append(wr, &t));
    memcpy(state->mac, mac, t.mac_len);
    state->mac_len = t.mac_len;
    return SP_OK;
}

size_t sp_tsig_size(const struct sp_tsig_key *key) {
    struct tsig t = {.key.len = key->name.len, .mac_len = (uint16_t)sp_hash_size(key->hash), .other_len = OTHER_TIME};
    sp_tsig_alg_name(key->hash, &t.alg);
    return record_size(&t);
}

sp_err sp_tsig_unsigned(struct sp_wr *wr, const struct sp_name *key, const struct sp_name *alg, uint16_t error,
                        sp_wall now) {
    if (wr->err != SP_OK)
        return wr->err;
    SP_ASSERT(sp_wr_len(wr) >= SP_MSG_HEADER);
    struct tsig t = {.key = *key,
                     .alg = *alg,
                     .time = sp_wall_sec(now),
                     .fudge = FUDGE_S,
                     .original_id = sp_get_u16(wr->base),
                     .error = error};
    return append(wr, &t);
}
