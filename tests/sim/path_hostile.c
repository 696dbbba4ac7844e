/* Strangers: they see what passes, send what they like from whatever address they like, to the signpost and to agents;
 * and a device whose candidates are somebody else's addresses, as a signpost that lies would give them out. Nothing is
 * kept for them, hardly anything is sent to where they point, names are answered and devices talk as before. */
#include <string.h>

#include "proto/control/operator.h"
#include "proto/crypto/crypto.h"
#include "proto/dns/msg.h"
#include "proto/dns/rrtype.h"
#include "tests/sim/path.h"
#include "tests/sim/places.h"

#define SEEN 256

/* A packet that was on a wire. */
struct seen {
    struct sp_addr src, dst;
    size_t len;
    uint8_t data[1500];
};

struct victim {
    struct sim_host host;
    uint64_t aimed; /* bytes that were sent in its name */
};

#define QUERIES_MAX 4096

/* Asks the signpost for a name, again and again. */
struct client {
    struct sim_host host;
    uint16_t queries, answers;
    bool answered[QUERIES_MAX];
};

struct hostile {
    struct sim_world *w;
    struct sim_lan *lan[2];
    struct sim_device *a, *b, *liar;
    struct sim_flow *f;
    struct victim victim;
    struct client client;
    struct seen seen[SEEN];
    uint64_t n_seen, forged, begun; /* begun: sessions, before the attack */

    struct sp_addr b_at; /* where anybody can reach b */
    bool quiet;
};

static void watch(void *ctx, const struct sim_host *from, const struct sp_addr *src, const struct sp_addr *dst,
                  const uint8_t *data, size_t len) {
    struct hostile *h = ctx;
    if (len > sizeof h->seen[0].data || src->family == 0)
        return;
    struct seen *p = &h->seen[h->n_seen++ % SEEN];
    *p = (struct seen){.src = *src, .dst = *dst, .len = len};
    memcpy(p->data, data, len);
}

static void victim_gets(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                        size_t len) {}

static void client_gets(void *ctx, const struct sp_addr *src, const struct sp_addr *dst, const uint8_t *data,
                        size_t len) {
    struct client *c = ctx;
    struct sp_msg m;
    if (src->port != 53 || sp_msg_parse(&m, data, len) != SP_OK || m.id >= c->queries || c->answered[m.id])
        return;
    if (SP_RCODE_OF(m.flags) == SP_RCODE_NOERROR && (m.flags & 0x8000) != 0) {
        c->answered[m.id] = true;
        c->answers++;
    }
}

static void stranger(struct hostile *h, struct sim_host *host, sim_deliver gets, void *ctx, uint8_t number) {
    struct sp_addr addrs[2] = {sim_v4(8, 8, number, 1, 0), sim_v6(0x800, number, 0)};
    sim_host_init(host, &h->w->net, gets, NULL, ctx);
    sim_host_attach(host, &h->w->net.world, addrs, 2);
}

/* ---- what strangers send ---- */

static void random_bytes(struct sim *s, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)sim_random(s);
}

/* An initiation with a right mac1, from a key that nobody knows: what costs a signpost most. 5.4.4 of the paper. */
static size_t initiation(struct hostile *h, const uint8_t to[SP_X25519], uint8_t out[148]) {
    uint8_t key[32];
    random_bytes(h->w->sim, out, 148);
    memcpy(out, "\1\0\0\0", 4);
    sp_blake2s(NULL, 0, (struct sp_piece[]){{"mac1----", 8}, {to, SP_X25519}}, 2, key, sizeof key);
    sp_blake2s(key, sizeof key, &(struct sp_piece){out, 116}, 1, out + 116, 16);
    memset(out + 132, 0, 16);
    return 148;
}

static size_t shaped(struct hostile *h, uint8_t *out) {
    static const uint8_t heads[][8] = {
        {5, 0, 0, 0, 0x80}, {4, 0, 0, 0, 0x80}, {2, 0, 0, 0, 0x80}, {3, 0, 0, 0, 0x80}, {1, 0, 0, 0}};
    static const uint16_t lens[] = {160, 96, 92, 64, 148};
    uint64_t kind = sim_below(h->w->sim, 5);
    random_bytes(h->w->sim, out, lens[kind]);
    memcpy(out, heads[kind], 4);
    out[4] |= 0x80;
    return lens[kind];
}

static size_t stun(struct hostile *h, uint8_t *out) {
    random_bytes(h->w->sim, out, 20);
    memcpy(out, "\0\1\0\0\x21\x12\xa4\x42", 8);
    return 20;
}

static const struct seen *some_seen(struct hostile *h) {
    uint64_t n = h->n_seen < SEEN ? h->n_seen : SEEN;
    return &h->seen[sim_below(h->w->sim, n)];
}

/* A packet that was seen, cut off or with a bit turned. */
static size_t spoiled(struct hostile *h, const struct seen *p, uint8_t *out) {
    struct sim *s = h->w->sim;
    size_t len = p->len;
    memcpy(out, p->data, len);
    if (len == 0 || sim_chance(s, 50))
        len = sim_below(s, len + 1);
    else
        out[sim_below(s, len)] ^= (uint8_t)(1u << sim_below(s, 8));
    return len;
}

static void forge(struct hostile *h, const struct sp_addr *dst, const uint8_t *data, size_t len) {
    struct sp_addr src = sim_v4(8, 8, 1, 1, (uint16_t)(1024 + sim_below(h->w->sim, 60000)));
    if (dst->family == 6)
        src = sim_v6(0x800, 1, src.port);
    h->victim.aimed += len;
    h->forged++;
    sim_lan_inject(&h->w->net.world, &src, dst, data, len);
}

/* One packet of a stranger to the signpost or a device, in the victim's name, or in that of one who has a session. */
static void strike(struct hostile *h) {
    struct sim *s = h->w->sim;
    uint8_t out[1500], key[SP_X25519];
    struct sp_addr at = sim_chance(s, 70) ? h->w->post.v4 : h->b_at;
    const struct seen *p = some_seen(h);
    struct sp_ed25519 b_pub;
    sp_ed25519_from_seed(&b_pub, h->b->config.id.device_seed);
    switch (sim_below(s, 8)) {
    case 0:
        random_bytes(s, out, 200);
        out[2] |= 0x80; /* no query, or it would be answered */
        forge(h, &at, out, 1 + sim_below(s, 200));
        break;
    case 1:
    case 2:
        if (sp_ed25519_to_x25519(at.port == 53 ? h->a->token.signpost_pub : b_pub.pub, key) == SP_OK)
            forge(h, &at, out, initiation(h, key, out));
        break;
    case 3:
        forge(h, &at, out, shaped(h, out));
        break;
    case 4:
        forge(h, &at, out, stun(h, out));
        break;
    case 5: /* again, from where it came */
        sim_lan_inject(&h->w->net.world, &p->src, &p->dst, p->data, p->len);
        break;
    case 6: /* back to where it came from */
        sim_lan_inject(&h->w->net.world, &p->dst, &p->src, p->data, p->len);
        break;
    case 7:
        sim_lan_inject(&h->w->net.world, &p->src, &p->dst, out, spoiled(h, p, out));
        break;
    }
}

static void strikes(void *ctx, uint64_t unused) {
    struct hostile *h = ctx;
    for (unsigned i = 0; i < 20; i++)
        strike(h);
    if (!h->quiet)
        sim_after(h->w->sim, 10 * SP_MS, strikes, h, 0);
}

/* ---- what must go on ---- */

static void asks(void *ctx, uint64_t unused) {
    struct hostile *h = ctx;
    uint8_t query[512];
    struct sp_msgw m;
    sp_msgw_begin(&m, query, sizeof query, h->client.queries++, 0);
    sp_msgw_question(&m, &h->a->name, SP_TYPE_AAAA, SP_CLASS_IN);
    size_t len = sp_msgw_end(&m);
    sim_host_send(&h->client.host, &(struct sp_addr){0}, 5353, &h->w->post.v4, query, len);
    if (!h->quiet)
        sim_after(h->w->sim, 50 * SP_MS, asks, h, 0);
}

static void begin(struct hostile *h, struct sim *s) {
    struct sim_link link = {.delay = 15 * SP_MS};
    h->w = sim_world_new(s, 8);
    h->lan[0] = place_new(h->w, PLACE_EIM_APDF, 1, &link);
    h->lan[1] = place_new(h->w, PLACE_PUBLIC, 2, &link);
    h->a = place_device(h->w, h->lan[0], PLACE_EIM_APDF, 1, 0);
    h->b = place_device(h->w, h->lan[1], PLACE_PUBLIC, 2, 0);
    h->liar = place_device(h->w, place_new(h->w, PLACE_EDM, 3, &link), PLACE_EDM, 3, 0);
    stranger(h, &h->victim.host, victim_gets, &h->victim, 1);
    stranger(h, &h->client.host, client_gets, &h->client, 2);
    /* The addresses that others are told for the liar: a stranger's, and b's. */
    struct sp_candidate *lies = h->liar->config.overlay.extra;
    lies[0] = (struct sp_candidate){sim_v4(8, 8, 1, 1, 7777), SP_CAND_OWNER};
    lies[1] = (struct sp_candidate){h->b->host.addrs[0], SP_CAND_OWNER};
    lies[1].addr.port = h->b->port;
    h->liar->config.overlay.extra_count = 2;
    h->w->watch = watch;
    h->w->watch_ctx = h;
    sim_world_begin(h->w);
    h->b_at = h->b->host.addrs[0];
    h->b_at.port = h->b->port;
}

static void under_attack(struct hostile *h) {
    struct sim_world *w = h->w;
    struct sim *s = w->sim;
    h->f = sim_flow_new(w, h->a, h->b, 50 * SP_MS, 300);
    sim_flow_start(w, h->f);
    sim_world_run(w, 5 * SP_SEC);
    sim_check(s, sim_flow_direct(h->f), "not direct before the attack");
    uint64_t memory = sim_signpost_metric(&w->post, "memory_used_bytes"), granted = h->b->granted;
    h->begun = sim_signpost_metric(&w->post, "sessions_begun_total");
    sim_flow_mark(w, h->f);
    strikes(h, 0);
    asks(h, 0);
    sim_world_run(w, 20 * SP_SEC);
    h->quiet = true;
    sim_world_run(w, 2 * SP_SEC);
    sim_note(s, "victim", h->victim.aimed, h->victim.host.got_bytes);
    sim_check(s, h->victim.host.got_bytes <= h->victim.aimed,
              "%llu bytes were sent in a victim's name, and it gets %llu", (unsigned long long)h->victim.aimed,
              (unsigned long long)h->victim.host.got_bytes);
    sim_check(s, h->client.answers >= h->client.queries * 99 / 100, "%u of %u queries are answered", h->client.answers,
              h->client.queries);
    sim_check(s, h->f->worst_gap < SP_SEC, "the flow paused for %.1f ms", (double)h->f->worst_gap / 1e6);
    sim_check(s, sim_flow_direct(h->f), "no longer direct");
    uint64_t after = sim_signpost_metric(&w->post, "memory_used_bytes");
    sim_check(s, after <= memory + (memory >> 3), "the signpost's memory grew from %llu to %llu",
              (unsigned long long)memory, (unsigned long long)after);
    uint64_t sessions = sim_signpost_metric(&w->post, "sessions"),
             begun = sim_signpost_metric(&w->post, "sessions_begun_total");
    sim_check(s, sessions == w->n_devices, "%llu sessions of %u devices", (unsigned long long)sessions, w->n_devices);
    sim_check(s, begun == h->begun, "strangers have begun %llu sessions", (unsigned long long)(begun - h->begun));
    sim_check(s, h->b->granted == granted, "the device's memory grew");
}

/* a talks to the liar: through the relay, never to those whose addresses it was told; and they get a few probes, no
 * more. */
static void lied_to(struct hostile *h) {
    struct sim_world *w = h->w;
    struct sim *s = w->sim;
    struct sim_peer_view v;
    uint64_t got = h->victim.host.got;
    struct sim_flow *f = sim_flow_new(w, h->a, h->liar, 50 * SP_MS, 300);
    sim_flow_start(w, f);
    sim_world_run(w, 30 * SP_SEC);
    sim_flow_state(f, &v);
    sim_check(s, f->echoed > 500, "the liar is not reached by relay: %llu of %llu, %s (%s)",
              (unsigned long long)f->echoed, (unsigned long long)f->sent, v.state, v.why);
    sim_check(s, strcmp(v.state, "relay") == 0, "the liar is %s at %s", v.state, v.endpoint);
    sim_check(s, h->victim.host.got - got <= 60, "a stranger gets %llu probes",
              (unsigned long long)(h->victim.host.got - got));
    sim_check(s, h->w->unreachable == 0, "somebody got an ICMP error");
}

void path_hostile(struct sim *s, struct path_result *r) {
    static struct hostile h;
    memset(&h, 0, sizeof h);
    begin(&h, s);
    under_attack(&h);
    lied_to(&h);
    r->worlds++;
    r->pairs += 2;
    r->direct++;
    r->relayed++;
    r->packets += h.w->net.packets;
    sim_forget(s, &h);
    sim_world_free(h.w);
}
