#define _GNU_SOURCE
#include "tests/support/agent_peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        sp_err must_ = (call);                                                                                         \
        if (must_ != SP_OK) {                                                                                          \
            fprintf(stderr, "%s: %s\n", #call, sp_err_name(must_));                                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- the peer ---- */

static void key_from(struct sp_ed25519 *key, uint8_t fill) {
    uint8_t seed[SP_ED25519_SEED];
    memset(seed, fill, sizeof seed);
    sp_ed25519_from_seed(key, seed);
}

void peer_init(struct peer *p, const char *zone, const char *name) {
    memset(p, 0, sizeof *p);
    MUST(sp_crypto_init());
    MUST(sp_name_from_text(&p->zone, zone, strlen(zone), NULL));
    MUST(sp_name_from_text(&p->name, name, strlen(name), &p->zone));
    MUST(sp_name_prepend(&p->signpost, "signpost", 8, &p->zone));
    key_from(&p->root, 1);
    key_from(&p->key, 2);
    key_from(&p->invite, 3);
    sp_root_hash(p->root.pub, p->root_hash);
    uint8_t rdata[SP_KEY_RDATA];
    sp_key_rdata(p->key.pub, rdata);
    p->tag = sp_key_tag(rdata, sizeof rdata);
    p->invite_expiry = 2000000000;
    p->force_rcode = p->force_ede = -1;
}

void peer_token(const struct peer *p, struct sp_token *ret, unsigned addrs) {
    memset(ret, 0, sizeof *ret);
    memset(ret->seed, 3, sizeof ret->seed);
    ret->zone = p->zone;
    ret->name = p->name;
    memcpy(ret->root_hash, p->root_hash, sizeof ret->root_hash);
    memcpy(ret->signpost_pub, p->key.pub, sizeof ret->signpost_pub);
    ret->expiry = p->invite_expiry;
    static const char *const where[] = {"198.51.100.1", "2001:db8:1::1", "198.51.100.2", "2001:db8:2::1"};
    ret->addr_count = addrs;
    for (unsigned i = 0; i < addrs; i++)
        ret->addrs[i] = test_addr(where[i], 53);
}

static bool rr_is(const struct peer_rr *rr, uint16_t type, const void *data, size_t len) {
    return rr->len == len && rr->type == type && memcmp(rr->data, data, len) == 0;
}

static void rr_remove(struct peer *p, uint16_t type, const void *data, size_t len) {
    for (unsigned i = 0; i < PEER_RRS; i++)
        if (p->rrs[i].len != 0 && (type == SP_TYPE_ANY || p->rrs[i].type == type) &&
            (data == NULL || rr_is(&p->rrs[i], type, data, len)))
            p->rrs[i].len = 0;
}

static void rr_add(struct peer *p, uint16_t type, uint32_t ttl, const void *data, size_t len) {
    rr_remove(p, type, data, len);
    for (unsigned i = 0; i < PEER_RRS; i++)
        if (p->rrs[i].len == 0) {
            p->rrs[i].type = type;
            p->rrs[i].ttl = ttl;
            p->rrs[i].len = len;
            memcpy(p->rrs[i].data, data, len);
            return;
        }
    abort();
}

/* The first key and the proof of an update's records. */
static const char *look_for_join(struct peer *p, const struct sp_msg *msg, uint8_t device[SP_ED25519_PUB],
                                 bool *ret_proof) {
    struct sp_rd rd = sp_msg_section(msg, 2);
    struct sp_rr rr;
    uint8_t proof[SP_JOIN_RDATA];
    bool key = false;
    *ret_proof = false;
    for (unsigned i = 0; i < msg->count[2]; i++) {
        MUST(sp_msg_rr(&rd, &rr));
        if (rr.type == SP_TYPE_KEY && rr.rclass == SP_CLASS_IN)
            key = sp_key_parse(rr.rdata.pos, sp_rd_left(&rr.rdata), device) == SP_OK;
        if (rr.type == SP_TYPE_SPJOIN) {
            if (sp_rd_left(&rr.rdata) != SP_JOIN_RDATA)
                return "proof of a wrong size";
            sp_rd_copy(&rr.rdata, proof, sizeof proof);
            *ret_proof = true;
            p->seen.proofs++;
            p->seen.proof_ttl = rr.ttl;
        }
    }
    if (!*ret_proof)
        return NULL;
    uint8_t invite[SP_ED25519_PUB];
    uint64_t expiry;
    if (!key || sp_join_peek(proof, sizeof proof, invite, &expiry) != SP_OK)
        return "malformed proof";
    if (p->invite_used || memcmp(invite, p->invite.pub, sizeof invite) != 0)
        return "the invite is unknown or was used";
    if (sp_join_verify(proof, sizeof proof, p->root_hash, &p->name, device) != SP_OK)
        return "the proof does not verify";
    return NULL;
}

static void apply(struct peer *p, const struct sp_msg *msg) {
    struct sp_rd rd = sp_msg_section(msg, 2);
    struct sp_rr rr;
    for (unsigned i = 0; i < msg->count[2]; i++) {
        MUST(sp_msg_rr(&rd, &rr));
        size_t len = sp_rd_left(&rr.rdata);
        if (!sp_name_equal(&rr.owner, &p->name))
            abort();
        if (rr.type == SP_TYPE_SPJOIN)
            continue;
        if (rr.rclass == SP_CLASS_IN) {
            p->seen.adds++;
            rr_add(p, rr.type, rr.ttl, rr.rdata.pos, len);
        } else if (rr.rclass == SP_CLASS_NONE) {
            p->seen.deletes++;
            rr_remove(p, rr.type, rr.rdata.pos, len);
        } else if (rr.type == SP_TYPE_ANY) {
            p->seen.delete_all++;
            rr_remove(p, SP_TYPE_ANY, NULL, 0);
            p->known = false;
        } else {
            p->seen.delete_sets++;
            rr_remove(p, rr.type, NULL, 0);
        }
    }
}

struct verdict {
    uint16_t rcode;
    int ede;
    const char *text;
    uint32_t lease_s;
    bool lease;
};

static struct verdict decide(struct peer *p, sp_wall wall, const struct sp_msg *msg) {
    struct sp_sig0 sig;
    uint8_t device[SP_ED25519_PUB];
    bool join;
    memset(&p->seen, 0, sizeof p->seen);
    if (p->force_rcode >= 0)
        return (struct verdict){(uint16_t)p->force_rcode, p->force_ede, p->force_text, 0, false};
    if (msg->auth != SP_AUTH_SIG0 || sp_sig0_peek(msg, &sig) != SP_OK || !sp_name_equal(&sig.signer, &p->name))
        return (struct verdict){SP_RCODE_REFUSED, 18, "unsigned", 0, false};
    memcpy(device, p->device, sizeof device);
    const char *wrong = look_for_join(p, msg, device, &join);
    if (wrong != NULL)
        return (struct verdict){SP_RCODE_REFUSED, 18, wrong, 0, false};
    if (!join && !p->known)
        return (struct verdict){SP_RCODE_REFUSED, 18, "no such key", 0, false};
    if (sp_sig0_verify(msg, &sig, device, NULL, 0, p->scratch, sizeof p->scratch) != SP_OK)
        return (struct verdict){SP_RCODE_REFUSED, 6, "bad signature", 0, false};
    if (sp_sig0_time(&sig, wall) != SP_OK)
        return (struct verdict){SP_RCODE_REFUSED, sp_wall_sec(wall) > sig.expiration ? 7 : 8, "check the clock", 0,
                                false};
    if (p->known && (int32_t)(sig.inception - p->last_inception) < 0) {
        p->replays++;
        return (struct verdict){SP_RCODE_REFUSED, 18, "replay", 0, false};
    }
    p->last_inception = sig.inception;
    if (join) {
        memcpy(p->device, device, sizeof device);
        p->known = p->invite_used = true;
    }
    struct verdict v = {SP_RCODE_NOERROR, -1, NULL, 0, false};
    struct sp_rd ul;
    if (sp_edns_find(&msg->edns, SP_EDNS_UL, &ul)) {
        p->seen.lease_asked = true;
        p->seen.lease_s = sp_rd_u32(&ul);
        v.lease = !p->no_lease_option;
        v.lease_s = p->grant_s != 0 ? p->grant_s : p->seen.lease_s;
    }
    p->seen.edns = msg->edns.present;
    p->seen.id = msg->id;
    p->seen.inception = sig.inception;
    p->seen.len = msg->len;
    apply(p, msg);
    p->accepted++;
    return v;
}

static size_t reply(struct peer *p, sp_wall wall, const struct sp_msg *msg, const struct verdict *v, uint8_t *ret,
                    size_t cap) {
    struct sp_msgw w;
    struct sp_optw o;
    sp_msgw_begin(&w, ret, cap, msg->id, (uint16_t)(SP_FLAG_QR | SP_OPCODE_UPDATE << 11 | v->rcode));
    sp_msgw_question(&w, &msg->qname, msg->qtype, msg->qclass);
    sp_msgw_opt_begin(&w, &o, 1232, 0, 0, 0);
    if (v->lease) {
        uint8_t lease[4];
        sp_put_u32(lease, v->lease_s);
        sp_msgw_opt_add(&w, SP_EDNS_UL, lease, sizeof lease);
    }
    if (v->ede >= 0) {
        uint8_t ede[128];
        size_t len = v->text != NULL ? strlen(v->text) : 0;
        sp_put_u16(ede, (uint16_t)v->ede);
        memcpy(ede + 2, v->text != NULL ? v->text : "", len);
        sp_msgw_opt_add(&w, SP_EDNS_EDE, ede, len + 2);
    }
    sp_msgw_opt_end(&w, &o);
    if (sp_msgw_end(&w) == 0)
        abort();
    if (!p->sign_none)
        MUST(sp_sig0_sign(&w.wr, &p->signpost, &p->key, p->tag, wall, 300, msg->wire, msg->len, p->scratch,
                          sizeof p->scratch));
    return sp_wr_len(&w.wr);
}

size_t peer_handle(struct peer *p, sp_wall wall, const uint8_t *wire, size_t len, uint8_t *ret, size_t cap) {
    struct sp_msg msg;
    wall = sp_wall_from_sec((uint64_t)((int64_t)sp_wall_sec(wall) + p->clock_s));
    if (p->silent)
        return 0;
    MUST(sp_msg_parse(&msg, wire, len)); /* an agent sends nothing malformed */
    p->updates++;
    struct verdict v = decide(p, wall, &msg);
    if (p->mute_next) {
        p->mute_next = false;
        return 0;
    }
    return reply(p, wall, &msg, &v, ret, cap);
}

struct sp_addr test_addr(const char *text, uint16_t port) {
    struct sp_addr a = {.port = port};
    a.family = strchr(text, ':') != NULL ? 6 : 4;
    if (inet_pton(a.family == 6 ? AF_INET6 : AF_INET, text, a.ip) != 1)
        abort();
    return a;
}

bool peer_has(const struct peer *p, const char *addr) {
    struct sp_addr a = test_addr(addr, 0);
    for (unsigned i = 0; i < PEER_RRS; i++)
        if (rr_is(&p->rrs[i], a.family == 6 ? SP_TYPE_AAAA : SP_TYPE_A, a.ip, a.family == 6 ? 16 : 4))
            return true;
    return false;
}

bool peer_has_overlay(const struct peer *p, const uint8_t overlay[16]) {
    for (unsigned i = 0; i < PEER_RRS; i++)
        if (rr_is(&p->rrs[i], SP_TYPE_AAAA, overlay, 16))
            return true;
    return false;
}

unsigned peer_count(const struct peer *p, uint16_t type) {
    unsigned n = 0;
    for (unsigned i = 0; i < PEER_RRS; i++)
        n += p->rrs[i].len != 0 && p->rrs[i].type == type;
    return n;
}

/* ---- the world ---- */

sp_wall world_wall(const struct world *w) {
    return (sp_wall){w->wall_s * SP_SEC + w->now};
}

static void start(struct world *w, const struct sp_agent_config *config, const struct sp_agent_memory *memory) {
    struct sp_agent_config c = {.publish_auto = true};
    if (config != NULL)
        c = *config;
    c.id = w->id;
    if (memory != NULL)
        c.memory = *memory;
    memset(c.seed, 5, sizeof c.seed);
    SP_ASSERT(sp_agent_init(w->agent, &c, w->now) == SP_OK);
}

void world_init(struct world *w, const struct sp_agent_config *config, unsigned addrs) {
    memset(w, 0, sizeof *w);
    peer_init(&w->peer, "me.signpost.", "laptop");
    peer_token(&w->peer, &w->token, addrs);
    uint8_t seed[SP_ED25519_SEED];
    memset(seed, 4, sizeof seed);
    sp_agent_identity_make(&w->id, &w->token, seed);
    w->wall_s = 1800000000;
    w->latency = 10 * SP_MS;
    w->agent = calloc(1, sp_agent_size());
    start(w, config, NULL);
}

void world_restart(struct world *w, const struct sp_agent_config *config) {
    struct sp_agent_memory m;
    sp_agent_memory(w->agent, &m);
    sp_agent_wipe(w->agent);
    memset(w->flying, 0, sizeof w->flying);
    start(w, config, &m);
}

void world_free(struct world *w) {
    sp_agent_wipe(w->agent);
    free(w->agent);
}

void world_deliver(struct world *w, const struct sp_addr *src, const uint8_t *data, size_t len) {
    uint8_t *exact = malloc(len > 0 ? len : 1); /* so that a sanitizer sees one byte too many */
    memcpy(exact, data, len);
    struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = exact, .len = len, .src = *src};
    size_t taken;
    MUST(sp_agent_input(w->agent, w->now, world_wall(w), &in, 1, &taken));
    free(exact);
}

void world_links(struct world *w, const char *const *addrs, unsigned n) {
    struct sp_addr list[SP_AGENT_LINK_MAX];
    for (unsigned i = 0; i < n; i++)
        list[i] = test_addr(addrs[i], 0);
    struct sp_in in = {.kind = SP_IN_LINK, .data = (const uint8_t *)list, .len = n * sizeof *list};
    size_t taken;
    MUST(sp_agent_input(w->agent, w->now, world_wall(w), &in, 1, &taken));
}

static void take_datagram(struct world *w, const struct sp_out *out) {
    w->sent_at[w->sent % 256] = w->now;
    w->sent_to[w->sent++ % 256] = out->dst;
    memcpy(w->last_request, out->data, out->len);
    w->last_request_len = out->len;
    uint8_t ret[4096];
    size_t len = peer_handle(&w->peer, world_wall(w), out->data, out->len, ret, sizeof ret);
    if (len == 0)
        return;
    memcpy(w->last_reply, ret, len);
    w->last_reply_len = len;
    for (unsigned i = 0; i < 16; i++)
        if (w->flying[i].len == 0) {
            w->flying[i].at = w->now + 2 * w->latency;
            w->flying[i].len = len;
            w->flying[i].src = out->dst;
            memcpy(w->flying[i].data, ret, len);
            return;
        }
    abort();
}

static void drain(struct world *w) {
    struct sp_out out[4];
    struct sp_event ev;
    size_t n;
    while ((n = sp_agent_output(w->agent, w->now, world_wall(w), out, 4)) > 0)
        for (size_t i = 0; i < n; i++) {
            if (out[i].kind == SP_OUT_DATAGRAM) {
                take_datagram(w, &out[i]);
            } else {
                memcpy(w->control, out[i].data, out[i].len);
                w->control_len = out[i].len;
                w->controls++;
            }
        }
    while (sp_agent_event(w->agent, &ev))
        w->stops += ev.kind == SP_EV_STOP;
}

static sp_instant next_arrival(const struct world *w, unsigned *which) {
    sp_instant at = SP_NEVER;
    for (unsigned i = 0; i < 16; i++)
        if (w->flying[i].len != 0 && w->flying[i].at < at) {
            at = w->flying[i].at;
            *which = i;
        }
    return at;
}

void world_run(struct world *w, sp_instant until) {
    unsigned which = 0;
    for (unsigned steps = 0;; steps++) {
        if (steps > 100000)
            abort(); /* the agent spins */
        drain(w);
        sp_instant arrival = next_arrival(w, &which), due = sp_agent_deadline(w->agent);
        sp_instant next = sp_instant_min(arrival, due);
        if (next > until)
            break;
        if (next > w->now)
            w->now = next;
        if (arrival <= w->now) {
            size_t len = w->flying[which].len;
            w->flying[which].len = 0;
            world_deliver(w, &w->flying[which].src, w->flying[which].data, len);
        } else {
            sp_agent_expire(w->agent, w->now, world_wall(w));
        }
    }
    if (until > w->now)
        w->now = until;
}

void world_pass(struct world *w, sp_duration d) {
    world_run(w, w->now + d);
}

enum sp_agent_state world_state(const struct world *w) {
    struct sp_agent_status s;
    sp_agent_status(w->agent, &s);
    return s.state;
}

void world_join(struct world *w) {
    MUST(sp_agent_join(w->agent, &w->token, w->now));
    world_pass(w, SP_SEC);
    if (world_state(w) != SP_AGENT_JOINED)
        abort();
}
