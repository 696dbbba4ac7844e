#include "tests/sim/client.h"

#include <stdio.h>
#include <string.h>

#include "proto/dns/rrtype.h"

#define TTL 60

static struct sp_name below(const struct sim_client *c, char label) {
    struct sp_name n;
    sim_check(c->sim, sp_name_prepend(&n, &label, 1, &c->owner) == SP_OK, "name");
    return n;
}

/* Strings of TXT rdata: the number, and up to three of filling, so that records have all sorts of sizes. */
static size_t text_rdata(uint64_t n, uint8_t ret[1024]) {
    size_t at = 0;
    ret[at] = (uint8_t)snprintf((char *)ret + 1, 24, "%llu", (unsigned long long)n);
    at += 1 + ret[at];
    for (uint64_t i = 0; i < n % 4; i++) {
        uint8_t len = (uint8_t)(n * 37 % 120);
        ret[at++] = len;
        memset(ret + at, (int)('a' + n % 26), len);
        at += len;
    }
    return at;
}

static void put(struct sim_client *c, struct sp_msgw *w, char label, uint64_t n) {
    uint8_t rdata[1024];
    struct sp_name name = below(c, label);
    sp_err err = sp_msgw_rr(w, 2, &name, SP_TYPE_TXT, SP_CLASS_ANY, 0, NULL, 0);
    if (err == SP_OK && n != 0)
        err = sp_msgw_rr(w, 2, &name, SP_TYPE_TXT, SP_CLASS_IN, TTL, rdata, text_rdata(n, rdata));
    sim_check(c->sim, err == SP_OK, "update: %s", sp_err_name(err));
}

static void make_update(struct sim_client *c, uint64_t n) {
    struct sp_msgw w;
    uint8_t scratch[8192], key[SP_KEY_RDATA];
    c->id = (uint16_t)sim_random(c->sim);
    sp_msgw_begin(&w, c->msg, sizeof c->msg, c->id, SP_OPCODE_UPDATE << 11);
    sp_msgw_question(&w, &c->zone, SP_TYPE_SOA, SP_CLASS_IN);
    put(c, &w, 'a', n);
    put(c, &w, 'b', n);
    put(c, &w, 'c', n % 2 == 1 ? n : 0);
    struct sp_optw o;
    sp_msgw_opt_begin(&w, &o, 1232, 0, 0, 0); /* so that a refusal says why */
    sp_msgw_opt_end(&w, &o);
    size_t len = sp_msgw_end(&w);
    struct sp_wr wr = sp_wr_init(c->msg, sizeof c->msg);
    wr.pos += len;
    sp_key_rdata(c->key.pub, key);
    sp_err err = sp_sig0_sign(&wr, &c->owner, &c->key, sp_key_tag(key, sizeof key), sim_wall(c->sim), 300, NULL, 0,
                              scratch, sizeof scratch);
    sim_check(c->sim, len > 0 && err == SP_OK, "signing: %s", sp_err_name(err));
    c->len = sp_wr_len(&wr);
    c->signed_anew = c->pending == n;
    c->pending = n;
    c->stored = false;
    c->resign = 0;
    sim_note(c->sim, "client update", c->owner.wire[1], n);
}

static void turn(void *ctx, uint64_t timer) {
    struct sim_client *c = ctx;
    if (!c->active || timer != c->timer)
        return;
    if (c->pending == 0)
        make_update(c, c->acked + 1);
    else if (c->resign != 0 && c->resign <= c->sim->now)
        make_update(c, c->pending);
    sim_net_send(c->net, &c->addr, &c->server, c->msg, c->len);
    sim_after(c->sim, 150 * SP_MS + sim_below(c->sim, 100 * SP_MS), turn, c, ++c->timer);
}

static void deliver(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data, size_t len) {
    struct sim_client *c = ctx;
    struct sp_msg m;
    if (sp_msg_parse(&m, data, len) != SP_OK || m.id != c->id || c->pending == 0 || !c->active)
        return;
    uint16_t rcode = SP_RCODE_OF(m.flags);
    sim_note(c->sim, "client reply", c->owner.wire[1], (uint64_t)rcode << 32 | c->pending);
    struct sp_rd ede;
    if (c->sim->verbose && m.edns.present && sp_edns_find(&m.edns, 15, &ede) && sp_rd_left(&ede) > 2)
        printf("%*s%.*s\n", 13, "", (int)sp_rd_left(&ede) - 2, (const char *)ede.pos + 2);
    if (rcode == SP_RCODE_SERVFAIL)
        return; /* later again */
    if (rcode != SP_RCODE_NOERROR) {
        sim_check(c->sim, !c->stored, "update %llu is stored, and refused when it comes again",
                  (unsigned long long)c->pending);
        if (c->resign == 0)
            c->resign = c->sim->now + 1100 * SP_MS; /* so that its second is another one */
        return;
    }
    c->acked = c->pending;
    c->pending = 0;
    c->acks++;
    sim_after(c->sim, sim_skewed(c->sim, 0, 400 * SP_MS), turn, c, ++c->timer);
}

void sim_client_init(struct sim_client *c, struct sim *sim, struct sim_net *net, const struct sp_addr *server,
                     const struct sp_name *zone, uint8_t number) {
    *c = (struct sim_client){.sim = sim, .net = net, .server = *server, .zone = *zone};
    c->addr = sim_net_addr((uint8_t)(number + 1), 5353);
    char label = (char)('k' + number);
    uint8_t seed[SP_ED25519_SEED];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)sim_random(sim);
    sp_ed25519_from_seed(&c->key, seed);
    sim_check(sim, sp_name_prepend(&c->owner, &label, 1, zone) == SP_OK, "name");
    sim_net_attach(net, &c->addr, deliver, c);
}

void sim_client_start(struct sim_client *c) {
    if (c->active)
        return;
    c->active = true;
    sim_after(c->sim, sim_below(c->sim, 20 * SP_MS), turn, c, ++c->timer);
}

void sim_client_stop(struct sim_client *c) {
    c->active = false;
}

/* The value at one name, 0 when there is none. */
static uint64_t look_at(struct sim_client *c, struct sim_server *v, char label) {
    struct sp_msgw w;
    struct sp_optw o;
    uint8_t query[512], rdata[1024];
    struct sp_name name = below(c, label);
    sp_msgw_begin(&w, query, sizeof query, 77, 0);
    sp_msgw_question(&w, &name, SP_TYPE_TXT, SP_CLASS_IN);
    sp_msgw_opt_begin(&w, &o, 4096, 0, 0, 0);
    sp_msgw_opt_end(&w, &o);
    sim_server_ask(v, query, sp_msgw_end(&w));
    struct sp_msg m;
    struct sp_rr rr;
    sp_err err = sp_msg_parse(&m, v->reply, v->reply_len);
    sim_check(c->sim, err == SP_OK && (m.flags & SP_FLAG_TC) == 0, "a reply of %zu bytes: %s", v->reply_len,
              sp_err_name(err));
    uint16_t rcode = SP_RCODE_OF(m.flags);
    sim_check(c->sim, rcode == SP_RCODE_NOERROR || rcode == SP_RCODE_NXDOMAIN, "rcode %u to a query", rcode);
    if (m.count[1] == 0)
        return 0;
    struct sp_rd rd = sp_msg_section(&m, 1);
    sim_check(c->sim, m.count[1] == 1 && sp_msg_rr(&rd, &rr) == SP_OK && rr.type == SP_TYPE_TXT, "not one TXT record");
    uint64_t n = 0;
    struct sp_rd text = rr.rdata;
    for (uint8_t len = sp_rd_u8(&text); len > 0 && sp_rd_left(&text) > 0; len--)
        n = n * 10 + (uint64_t)(sp_rd_u8(&text) - '0');
    sim_check(c->sim,
              sp_rd_left(&rr.rdata) == text_rdata(n, rdata) && memcmp(rr.rdata.pos, rdata, sp_rd_left(&rr.rdata)) == 0,
              "the text of value %llu is another one", (unsigned long long)n);
    return n;
}

uint64_t sim_client_look(struct sim_client *c, struct sim_server *v) {
    uint64_t a = look_at(c, v, 'a'), b = look_at(c, v, 'b'), cc = look_at(c, v, 'c');
    sim_check(c->sim, a == b && cc == (a % 2 == 1 ? a : 0), "an update is there in part: %llu %llu %llu",
              (unsigned long long)a, (unsigned long long)b, (unsigned long long)cc);
    sim_check(c->sim, a == c->acked || (c->pending != 0 && a == c->pending),
              "value %llu is there; %llu was acknowledged, %llu is on its way", (unsigned long long)a,
              (unsigned long long)c->acked, (unsigned long long)c->pending);
    return a;
}

void sim_client_restarted(struct sim_client *c, uint64_t n) {
    c->acked = n;
    c->stored = c->pending == n && !c->signed_anew && c->resign == 0;
}
