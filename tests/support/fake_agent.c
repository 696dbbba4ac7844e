#include "tests/support/fake_agent.h"

#include <stdlib.h>
#include <string.h>

#include "signpostd/core/server_int.h"

#define MUST(cond) ((cond) ? (void)0 : sp_panic(__FILE__, __LINE__, #cond))

static struct sp_name name_of(const char *text) {
    struct sp_name n;
    MUST(sp_name_from_text(&n, text, strlen(text), NULL) == SP_OK);
    return n;
}

void fake_list(struct fake *f) {
    uint8_t rdata[SP_KEY_RDATA];
    char text[SP_NAME_TEXT_MAX + 200] = "", base64[64];
    sp_key_rdata(f->key.pub, rdata);
    size_t n = sp_base64_encode(rdata + 4, 32, base64, sizeof base64 - 1);
    base64[n] = 0;
    sp_name_to_text(&f->name, text);
    strcat(text, " 300 IN KEY 512 3 15 ");
    strcat(text, base64);
    char zone[SP_NAME_TEXT_MAX];
    sp_name_to_text(&f->zone, zone);
    MUST(rig_ctl(f->r, SP_OP_ZONE_IMPORT, zone, text, NULL) == SP_OP_OK);
}

void fake_init(struct fake *f, struct rig *r, const char *name, uint8_t fill, bool listed) {
    fake_init_in(f, r, RIG_ZONE, name, fill, listed);
}

void fake_init_in(struct fake *f, struct rig *r, const char *zone, const char *name, uint8_t fill, bool listed) {
    uint8_t seed[SP_RNG_SEED] = {fill}, device[SP_ED25519_SEED];
    memset(f, 0, sizeof *f);
    memset(device, fill, sizeof device);
    f->r = r;
    sp_mem_init(&f->mem, sp_test_grant(), (size_t)64 << 20);
    sp_rng_init(&f->rng, seed);
    sp_ed25519_from_seed(&f->key, device);
    f->zone = name_of(zone);
    f->name = name_of(name);
    f->addr = (struct sp_addr){.ip = {203, 0, 113, fill}, .port = 51820, .family = 4};
    if (listed)
        fake_list(f);
    const struct sp_zone_info *info = sp_zone_info(sp_zones_get(r->s->zones, &f->zone));
    uint8_t pub[SP_X25519];
    MUST(sp_ed25519_to_x25519(info->signpost_key.pub, pub) == SP_OK);
    sp_overlay_addr(info->root_hash, f->key.pub, f->overlay);
    sp_overlay_addr(info->root_hash, info->signpost_key.pub, f->signpost_overlay);
    struct sp_wg_config c = {
        .mem = &f->mem, .rng = &f->rng, .peers = 8, .initiations_per_s = 100, .initiations_max = 100};
    sp_ed25519_secret_to_x25519(&f->key, c.secret);
    MUST(sp_wg_new(&f->wg, &c, r->now) == SP_OK);
    MUST(sp_wg_peer_add(f->wg, pub, NULL, f, r->now, &f->signpost) == SP_OK);
}

void fake_end(struct fake *f) {
    sp_wg_free(f->wg);
    sp_mem_done(&f->mem);
}

void fake_raw(struct fake *f, const void *data, size_t len) {
    if (f->stream != 0) {
        rig_message(f->r, f->stream, data, len);
        return;
    }
    struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = data, .len = len, .src = f->addr, .dst = rig_server};
    rig_in(f->r, &in, 1);
}

static void keep(struct fake *f, bool frame, uint16_t segment, const void *data, size_t len) {
    if (f->count == FAKE_INBOX || len > sizeof f->inbox[0].data)
        return;
    struct fake_got *g = &f->inbox[f->count++];
    g->frame = frame;
    g->segment = segment;
    g->len = len;
    memcpy(g->data, data, len);
}

static void take(struct fake *f, const uint8_t *data, size_t len, uint16_t segment) {
    uint8_t plain[SP_MSG_MAX];
    struct sp_wg_got got;
    if (sp_relay_is(data, len)) {
        keep(f, true, segment, data, len);
        return;
    }
    if (!sp_wg_shaped(data, len)) {
        keep(f, false, 0, data, len);
        return;
    }
    f->responses += data[0] == SP_WG_TYPE_RESPONSE;
    f->cookies += data[0] == SP_WG_TYPE_COOKIE;
    sp_wg_input(f->wg, f->r->now, f->r->wall, (const uint8_t *)"s", 1, data, len, plain, &got);
    if (got.kind == SP_WG_DATA)
        keep(f, false, 0, got.data, got.len);
    if (got.kind == SP_WG_REPLY)
        fake_raw(f, got.reply, got.reply_len);
}

static void take_stream(struct fake *f) {
    for (size_t i = f->skip, len;; i++, f->skip++) {
        uint8_t *msg = rig_stream_message(f->r, f->stream, i, &len);
        if (msg == NULL)
            return;
        take(f, msg, len, 0);
        free(msg);
    }
}

static void flush(struct fake *f) {
    struct sp_wg_peer *p;
    uint8_t msg[SP_WG_MSG_MAX];
    size_t len;
    while (sp_wg_pull(f->wg, f->r->now, f->r->wall, &p, msg, &len))
        fake_raw(f, msg, len);
}

void fake_take(struct fake *f) {
    if (f->stream != 0) {
        take_stream(f);
        return;
    }
    if (f->read < f->r->forgotten)
        f->read = f->r->forgotten;
    while (f->read < f->r->forgotten + f->r->count) {
        const struct rig_out *o = &f->r->outs[f->read++ - f->r->forgotten];
        if (o->kind == SP_OUT_DATAGRAM && memcmp(&o->dst, &f->addr, sizeof o->dst) == 0)
            take(f, o->data, o->len, o->segment);
    }
}

bool fake_handshake(struct fake *f) {
    uint8_t msg[SP_WG_INITIATION];
    MUST(sp_wg_initiate(f->wg, f->signpost, f->r->now, f->r->wall, msg) == SP_OK);
    fake_raw(f, msg, sizeof msg);
    fake_take(f);
    if (!sp_wg_peer_up(f->signpost, f->r->now))
        return false;
    flush(f); /* the confirmation */
    fake_take(f);
    return true;
}

void fake_plain(struct fake *f, const void *data, size_t len) {
    uint8_t buf[SP_WG_HEAD + 4096];
    size_t n;
    memcpy(buf + SP_WG_HEAD, data, len);
    if (sp_wg_seal(f->wg, f->signpost, f->r->now, buf, sizeof buf, len, &n) == SP_OK)
        fake_raw(f, buf, n);
    fake_take(f);
}

void fake_dns(struct fake *f, const void *msg, size_t len) {
    uint8_t packet[SP_TUNNEL_MAX];
    struct sp_tunnel_udp u = {.sport = SP_CONTROL_PORT, .dport = SP_DNS_PORT, .len = len};
    memcpy(u.src, f->overlay, 16);
    memcpy(u.dst, f->signpost_overlay, 16);
    memcpy(packet + SP_TUNNEL_HEAD, msg, len);
    size_t n = sp_tunnel_udp_write(&u, packet, sizeof packet);
    MUST(n > 0);
    fake_plain(f, packet, n);
}

bool fake_message(struct fake *f, size_t i, struct sp_session_msg *ret) {
    for (size_t k = 0; k < f->count; k++) {
        struct sp_tunnel_udp u;
        if (f->inbox[k].frame || sp_tunnel_udp_read(&u, f->inbox[k].data, f->inbox[k].len, true) != SP_OK || i-- > 0)
            continue;
        MUST(memcmp(u.dst, f->overlay, 16) == 0 && memcmp(u.src, f->signpost_overlay, 16) == 0);
        return sp_session_read(ret, u.data, u.len) == SP_OK;
    }
    return false;
}

bool fake_find(struct fake *f, enum sp_session_kind kind, struct sp_session_msg *ret) {
    for (size_t i = 0; fake_message(f, i, ret); i++)
        if (ret->kind == kind)
            return true;
    return false;
}

void fake_forget(struct fake *f) {
    fake_take(f);
    f->count = 0;
}

bool fake_ask(struct fake *f, const void *msg, size_t len, struct sp_session_msg *ret) {
    fake_forget(f);
    fake_dns(f, msg, len);
    return fake_find(f, SP_SESSION_REPLY, ret);
}

void fake_profile(struct fake *f, uint8_t mapping, uint8_t filtering, uint8_t flags, struct sp_profile *ret) {
    *ret = (struct sp_profile){
        .mapping = mapping, .filtering = filtering, .flags = SP_PROFILE_UDP | flags, .mtu = 1500, .count = 1};
    ret->candidates[0] = (struct sp_candidate){.addr = {.ip = {192, 168, f->addr.ip[3], 2}, .port = 51820, .family = 4},
                                               .kind = SP_CAND_HOST};
}

bool fake_tell(struct fake *f, const struct sp_profile *p) {
    uint8_t buf[SP_SESSION_MSG];
    struct sp_session_msg m;
    size_t n = sp_session_profile_write(11, &f->zone, &f->name, p, buf, sizeof buf);
    return fake_ask(f, buf, n, &m) && m.rcode == SP_RCODE_NOERROR && m.has_seq;
}

void fake_frame(struct fake *f, uint32_t index, const void *payload, size_t len) {
    uint8_t buf[2048] = {0};
    sp_relay_head(buf, index);
    memcpy(buf + SP_RELAY_HEAD, payload, len);
    fake_raw(f, buf, SP_RELAY_HEAD + (len < SP_WG_OVERHEAD ? SP_WG_OVERHEAD : len)); /* no message is shorter */
}
