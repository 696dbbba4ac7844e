/* TSIG and SIG(0) over messages of strangers. The first byte says how the rest is read:
 *   even: a message as it came; its signature is looked at and checked with known keys
 *   odd:  a record's length and bytes, from which a validly signed message is made, then a list of (offset, XOR) to
 * spoil it with: what still verifies must be the message that was signed */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/dns/sig0.h"
#include "proto/dns/tsig.h"
#include "tests/support/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW        1795433275u /* when the corpus was signed */
#define MUST(cond) ((cond) ? (void)0 : sp_panic(__FILE__, __LINE__, #cond))

static const sp_wall now = {NOW * SP_SEC};
static uint8_t scratch[3 * SP_MSG_MAX];

static const char *const secrets[] = {
    [SP_SHA256] = "ERLccV4KPH1kASU2PycK/qvaf10tF1xWuCwi/0ZG9hM=",
    [SP_SHA384] = "SDkQQO8B3lJ4QkEjNEGdNQ5utUwO45JZmcSOgba6f6SYL1SWrjAoU2QLGGkMkoEB",
    [SP_SHA512] = "nwKuhDJTmtPznrJMedu6FfHbSsiIvMc6tfDjZ4FCyjoYuJioUOWqto6/IQFb3bJhYL6UWprYz2xBTaALRZi0QA==",
};

static struct sp_tsig_key tsig_key(enum sp_hash hash) {
    struct sp_tsig_key key = {.hash = hash};
    size_t n = 0;
    MUST(sp_base64_decode(secrets[hash], strlen(secrets[hash]), key.secret, sizeof key.secret, &n) == SP_OK);
    key.secret_len = (uint16_t)n;
    MUST(sp_name_from_text(&key.name, "device-key.", 11, NULL) == SP_OK);
    return key;
}

static struct sp_ed25519 sig0_key(void) {
    static const char seed_text[] = "2B81oHwEnA0IpREyqd94+69AlaYIrVefljmoPjRY8ls=";
    struct sp_ed25519 key;
    uint8_t seed[32];
    size_t n;
    MUST(sp_base64_decode(seed_text, sizeof seed_text - 1, seed, sizeof seed, &n) == SP_OK);
    sp_ed25519_from_seed(&key, seed);
    return key;
}

static sp_err check_tsig(const struct sp_msg *msg) {
    struct sp_name name, alg;
    enum sp_hash hash;
    SP_TRY(sp_tsig_peek(msg, &name, &alg));
    SP_TRY(sp_tsig_alg(&alg, &hash));
    struct sp_tsig_key key = tsig_key(hash);
    struct sp_tsig_state st, reply, later;
    sp_err err = sp_tsig_verify(msg, &key, now, NULL, &st);
    MUST((err == SP_OK || err == SP_ERR_FORM) == (st.error == 0));
    reply = st;
    if (sp_tsig_verify(msg, &key, now, &reply, &reply) == SP_OK)
        MUST(reply.error == 0);
    later = st;
    if (sp_tsig_verify_later(msg, &key, now, &later) == SP_OK)
        MUST(later.mac_len >= 16);
    /* Whatever came of it, a reply can be signed in the room that was promised. */
    uint8_t out[SP_MSG_HEADER + 1024] = {0};
    struct sp_wr wr = sp_wr_init(out, SP_MSG_HEADER + sp_tsig_size(&key));
    MUST(sp_wr_reserve(&wr, SP_MSG_HEADER) != NULL);
    MUST(sp_tsig_sign(&wr, &key, now, &st, false, &st) == SP_OK);
    wr = sp_wr_init(out, sizeof out);
    memset(out, 0, SP_MSG_HEADER);
    MUST(sp_wr_reserve(&wr, SP_MSG_HEADER) != NULL);
    MUST(sp_tsig_unsigned(&wr, &name, &alg, SP_RCODE_BADKEY, now) == SP_OK);
    return err;
}

static sp_err check_sig0(const struct sp_msg *msg) {
    struct sp_sig0 sig;
    SP_TRY(sp_sig0_peek(msg, &sig));
    MUST(sig.sig >= msg->wire && sig.sig + SP_ED25519_SIG <= msg->wire + msg->len);
    struct sp_ed25519 key = sig0_key();
    sp_err as_reply = sp_sig0_verify(msg, &sig, key.pub, msg->wire, msg->len, scratch, 2 * msg->len + 600);
    MUST(as_reply == SP_OK || as_reply == SP_ERR_BADSIG);
    SP_TRY(sp_sig0_time(&sig, now));
    return sp_sig0_verify(msg, &sig, key.pub, NULL, 0, scratch, msg->len + 600);
}

static sp_err check(struct sp_msg *msg, const uint8_t *wire, size_t len) {
    SP_TRY(sp_msg_parse(msg, wire, len));
    if (msg->auth == SP_AUTH_TSIG)
        return check_tsig(msg);
    return msg->auth == SP_AUTH_SIG0 ? check_sig0(msg) : SP_ERR_NOENT;
}

/* A signed update with one record of these bytes. */
static size_t make(bool tsig, const uint8_t *rdata, size_t len, uint8_t *buf, size_t cap) {
    static const uint8_t head[] = "\x12\x34\x28\x00\x00\x01\x00\x00\x00\x01\x00\x00\2me\x08signpost\0\0\6\0\1"
                                  "\xc0\x0c\xff\xdc\0\1\0\0\1\x2c";
    struct sp_wr wr = sp_wr_init(buf, cap);
    sp_wr_bytes(&wr, head, sizeof head - 1);
    sp_wr_u16(&wr, (uint16_t)len);
    sp_wr_bytes(&wr, rdata, len);
    if (tsig) {
        struct sp_tsig_key key = tsig_key(SP_SHA256 + len % 3);
        struct sp_tsig_state st = {0};
        MUST(sp_tsig_sign(&wr, &key, now, NULL, false, &st) == SP_OK);
    } else {
        struct sp_ed25519 key = sig0_key();
        struct sp_name signer;
        MUST(sp_name_from_text(&signer, "Laptop.me.signpost.", 19, NULL) == SP_OK);
        MUST(sp_sig0_sign(&wr, &signer, &key, 7085, now, 300, NULL, 0, scratch, sizeof scratch) == SP_OK);
    }
    return sp_wr_len(&wr);
}

static void spoil_one(bool tsig, const uint8_t *data, size_t len) {
    uint8_t buf[1024], signed_bytes[1024];
    struct sp_msg msg;
    if (len < 1 || len - 1 < data[0])
        return;
    size_t n = make(tsig, data + 1, data[0], buf, sizeof buf);
    MUST(check(&msg, buf, n) == SP_OK);
    size_t covered = msg.auth_offset;
    memcpy(signed_bytes, buf, n);
    size_t head = 1u + data[0];
    for (data += head, len -= head; len >= 3; data += 3, len -= 3) {
        size_t at = (size_t)sp_get_u16(data);
        if (at < n)
            buf[at] ^= data[2];
        else if (data[2] != 0 && data[2] < n)
            n -= data[2];
    }
    uint8_t *exact = malloc(n);
    memcpy(exact, buf, n);
    if (check(&msg, exact, n) == SP_OK) {
        size_t from = tsig ? 2 : 0; /* TSIG keeps the original id apart */
        MUST(msg.auth_offset == covered && memcmp(exact + from, signed_bytes + from, covered - from) == 0);
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_msg msg;
    MUST(sp_crypto_init() == SP_OK);
    if (len < 1 || len > SP_MSG_MAX)
        return 0;
    if (data[0] % 2 != 0) {
        spoil_one(data[0] & 2, data + 1, len - 1);
    } else {
        sp_err ignored = check(&msg, data + 1, len - 1);
        (void)ignored;
    }
    return 0;
}
