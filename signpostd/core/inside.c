/* What a device says inside its control session: DNS to the signpost's overlay address, echo, path probes.
 * RFC 8200, 768 (tunnel.h), 4443 2.4, 4.1, 4.2. */
#include "signpostd/core/overlay.h"

#define ICMP6      58
#define ICMP6_HEAD 8
#define IP6_HEAD   40

enum { ICMP6_ADMIN = 1, ICMP6_PORT = 4 }; /* codes of "destination unreachable" */

/* A request, and the place where its answer is written. */
struct inner {
    struct sp_ctlsession *ses;
    struct sp_tunnel_udp udp;
    struct sp_session_msg msg;
    uint8_t *room; /* of the sealed message */
    uint8_t *out;  /* of the answer */
};

static bool inner_room(struct sp_server *s, struct inner *in) {
    in->room = sp_overlay_room(s, &in->ses->where, SP_SEALED_MAX);
    in->out = in->room == NULL ? NULL : in->room + SP_WG_HEAD + SP_TUNNEL_HEAD;
    return in->room != NULL;
}

static void inner_send(struct sp_server *s, struct inner *in, size_t len) {
    if (len == 0)
        return;
    struct sp_tunnel_udp u = {.sport = in->udp.dport, .dport = in->udp.sport, .len = len};
    memcpy(u.src, in->udp.dst, sizeof u.src);
    memcpy(u.dst, in->udp.src, sizeof u.dst);
    sp_ctlsession_send(s, in->ses, in->room, sp_tunnel_udp_write(&u, in->room + SP_WG_HEAD, SP_TUNNEL_MAX));
}

/* An answer without records. */
static void refuse(struct sp_server *s, struct inner *in, uint16_t rcode, const char *why) {
    struct sp_session_writer w;
    sp_session_reply_begin(&w, &in->msg, rcode, in->out, SP_SESSION_MSG);
    if (why != NULL)
        sp_session_put_ede(&w, SP_EDE_OTHER, why);
    inner_send(s, in, sp_session_end(&w, false));
}

/* ---- requests ---- */

static bool same_profile(const struct sp_profile *a, const struct sp_profile *b) {
    return a->mapping == b->mapping && a->filtering == b->filtering && a->flags == b->flags && a->count == b->count &&
           memcmp(a->candidates, b->candidates, a->count * sizeof a->candidates[0]) == 0;
}

static void profile(struct sp_server *s, struct inner *in) {
    struct sp_ctlsession *ses = in->ses;
    struct sp_name name;
    sp_ctlsession_name(ses, &name);
    if (!sp_name_equal(&in->msg.name, sp_zone_apex(ses->realm->zone)) || !sp_name_equal(&in->msg.device, &name)) {
        refuse(s, in, SP_RCODE_REFUSED, "a device tells its own profile only");
        return;
    }
    bool first = ses->profile == NULL;
    if (first)
        ses->profile = sp_mem_alloc(&s->mem, sizeof *ses->profile);
    if (ses->profile == NULL) {
        refuse(s, in, SP_RCODE_SERVFAIL, "the memory of the signpost is full");
        return;
    }
    bool changed = !first && !same_profile(ses->profile, &in->msg.profile);
    *ses->profile = in->msg.profile;
    s->overlay->counts.profiles++;
    struct sp_session_writer w;
    struct sp_seq seq;
    sp_ctlsession_seq(s, ses, &seq);
    sp_session_reply_begin(&w, &in->msg, SP_RCODE_NOERROR, in->out, SP_SESSION_MSG);
    sp_session_put_seq(&w, sp_zone_apex(ses->realm->zone), &seq);
    inner_send(s, in, sp_session_end(&w, false));
    if (changed)
        sp_rendezvous_renew(s, ses);
    if (first)
        sp_rendezvous_found(s, ses);
}

static void bring_together(struct sp_server *s, struct inner *in) {
    struct sp_plan plan;
    const char *why = NULL;
    s->overlay->counts.connects++;
    uint16_t rcode = sp_rendezvous(s, in->ses, &in->msg, &plan, &why);
    if (rcode != SP_RCODE_NOERROR) {
        refuse(s, in, rcode, why);
        return;
    }
    struct sp_session_writer w;
    sp_session_reply_begin(&w, &in->msg, rcode, in->out, SP_SESSION_MSG);
    (void)sp_session_put_plan(&w, &in->msg.name, &plan, NULL, 0); /* fits: name and plan are shorter than that */
    inner_send(s, in, sp_session_end(&w, false));
}

/* Where the page behind `after` begins: the first entry whose name is greater. */
static uint32_t page_begin(const struct sp_roster *r, const struct sp_name *after) {
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        struct sp_name name = {.len = r->entries[mid].len, .labels = r->entries[mid].labels};
        memcpy(name.wire, r->entries[mid].name, name.len);
        if (sp_name_cmp(&name, after) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void peers(struct sp_server *s, struct inner *in) {
    struct sp_realm *r = in->ses->realm;
    const struct sp_roster *roster;
    if (!sp_name_under(&in->msg.name, sp_zone_apex(r->zone))) {
        refuse(s, in, SP_RCODE_REFUSED, "that name is not of this zone");
        return;
    }
    sp_err err = sp_realm_roster(s, r, &roster);
    if (err != SP_OK) {
        refuse(s, in, SP_RCODE_SERVFAIL,
               err == SP_ERR_FULL ? "the zone is too big for a list; ask for names" : "busy; try again");
        return;
    }
    s->overlay->counts.pages++;
    struct sp_session_writer w;
    struct sp_seq seq;
    sp_ctlsession_seq(s, in->ses, &seq);
    sp_session_reply_begin(&w, &in->msg, SP_RCODE_NOERROR, in->out, SP_SESSION_PAGE);
    sp_session_put_seq(&w, sp_zone_apex(r->zone), &seq);
    uint32_t i = page_begin(roster, &in->msg.name);
    for (; i < roster->count; i++) {
        struct sp_name name = {.len = roster->entries[i].len, .labels = roster->entries[i].labels};
        memcpy(name.wire, roster->entries[i].name, name.len);
        if (!sp_session_put_key(&w, &name, roster->entries[i].pub, false))
            break;
    }
    inner_send(s, in, sp_session_end(&w, i < roster->count));
}

/* The zone's own records, by the same code as for anybody. */
static void query(struct sp_server *s, struct inner *in) {
    struct sp_addr client = {.family = 6, .port = in->udp.sport};
    memcpy(client.ip, in->udp.src, sizeof client.ip);
    size_t len = 0;
    s->overlay->counts.queries++;
    enum sp_verdict v = sp_answer(&s->view, s->scratch, in->udp.data, in->udp.len, SP_VIA_UDP, &client, s->wall,
                                  in->out, SP_SESSION_MSG, 0, &len);
    if (v == SP_FOR_WRITER)
        refuse(s, in, SP_RCODE_NOTIMP, "not inside a control session");
    else if (v == SP_ANSWERED)
        inner_send(s, in, len);
}

static void dns(struct sp_server *s, struct inner *in) {
    sp_err err = sp_session_read(&in->msg, in->udp.data, in->udp.len);
    if (err != SP_OK) {
        if (in->udp.len >= SP_MSG_HEADER && !(in->msg.flags & SP_FLAG_QR))
            refuse(s, in, SP_RCODE_FORMERR, NULL);
        return;
    }
    switch (in->msg.kind) {
    case SP_SESSION_PROFILE:
        profile(s, in);
        break;
    case SP_SESSION_CONNECT:
        bring_together(s, in);
        break;
    case SP_SESSION_PEERS:
        peers(s, in);
        break;
    case SP_SESSION_QUERY:
        query(s, in);
        break;
    case SP_SESSION_ACK:
        sp_push_answered(s, in->ses, in->msg.id);
        break;
    case SP_SESSION_REPLY: /* we ask nothing */
        break;
    case SP_SESSION_PUSH:
    case SP_SESSION_OTHER:
        refuse(s, in, SP_RCODE_NOTIMP, NULL);
        break;
    }
}

/* ---- packets ---- */

/* RFC 4443 4.2. The addresses change places, which no checksum sees; the type grows by one: RFC 1624. */
static bool echo(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *packet, size_t len) {
    size_t size = IP6_HEAD + sp_get_u16(packet + 4);
    if (packet[6] != ICMP6 || size < IP6_HEAD + ICMP6_HEAD || size > len || packet[IP6_HEAD] != 128 ||
        size > SP_TUNNEL_MAX)
        return false;
    uint8_t *room = sp_overlay_room(s, &ses->where, SP_SEALED_MAX);
    if (room == NULL)
        return true;
    uint8_t *to = room + SP_WG_HEAD, *icmp = to + IP6_HEAD;
    memcpy(to, packet, size);
    memcpy(to + 8, packet + 24, 16);
    memcpy(to + 24, packet + 8, 16);
    to[7] = 64;
    icmp[0] = 129;
    uint32_t sum = (uint32_t)(uint16_t)~sp_get_u16(icmp + 2) + (uint16_t)~0x8000u + 0x8100u;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sp_put_u16(icmp + 2, (uint16_t)~sum);
    s->overlay->counts.echoes++;
    sp_ctlsession_send(s, ses, room, size);
    return true;
}

static void unreachable(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *packet, size_t len,
                        uint8_t code) {
    uint8_t *room = sp_overlay_room(s, &ses->where, SP_SEALED_MAX);
    if (room == NULL)
        return;
    s->overlay->counts.unreachable++;
    size_t n = sp_tunnel_unreachable(ses->realm->overlay, packet, len, code, room + SP_WG_HEAD, SP_TUNNEL_MAX);
    sp_ctlsession_send(s, ses, room, n);
}

static void ip6(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *packet, size_t len) {
    struct sp_overlay *o = s->overlay;
    if (len < IP6_HEAD || memcmp(packet + 8, ses->overlay, 16) != 0) {
        o->counts.dropped_inside_source++; /* whom a key may speak for */
        return;
    }
    if (memcmp(packet + 24, ses->realm->overlay, 16) != 0) {
        unreachable(s, ses, packet, len, ICMP6_ADMIN); /* a signpost routes for nobody */
        return;
    }
    struct inner in = {.ses = ses};
    sp_err err = sp_tunnel_udp_read(&in.udp, packet, len, true);
    if (err == SP_ERR_UNSUP && echo(s, ses, packet, len))
        return;
    if (err == SP_OK && in.udp.dport == SP_DNS_PORT) {
        if (inner_room(s, &in))
            dns(s, &in);
    } else if (err == SP_OK || err == SP_ERR_UNSUP) {
        unreachable(s, ses, packet, len, ICMP6_PORT);
    } else {
        o->counts.dropped_inside_form++;
    }
}

/* A PING tells its sender where it is seen and how far the signpost is. */
static void probe(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *data, size_t len) {
    struct sp_probe p;
    if (sp_probe_read(&p, data, len) != SP_OK || (p.kind != SP_PROBE_PING && p.kind != SP_PROBE_CLOSE)) {
        s->overlay->counts.dropped_inside_form++;
        return;
    }
    s->overlay->counts.probes++;
    if (p.kind == SP_PROBE_CLOSE) {
        sp_ctlsession_end(s, ses);
        return;
    }
    uint8_t *room = sp_overlay_room(s, &ses->where, SP_SEALED_MAX);
    if (room == NULL)
        return;
    p.kind = SP_PROBE_PONG;
    p.seen = ses->where.addr;
    sp_ctlsession_send(s, ses, room, sp_probe_write(&p, room + SP_WG_HEAD, SP_TUNNEL_MAX));
}

void sp_inside(struct sp_server *s, struct sp_ctlsession *ses, const uint8_t *packet, size_t len) {
    uint32_t per_s = s->cfg.budgets.session_requests_per_s;
    if (!sp_rate_has(&ses->requests, per_s, 1, s->now)) {
        s->overlay->counts.dropped_request_budget++;
        return;
    }
    sp_rate_take(&ses->requests, per_s, 1, s->now);
    if (len > 0 && packet[0] >> 4 == 6)
        ip6(s, ses, packet, len);
    else
        probe(s, ses, packet, len);
}
