#include "client/core/report.h"

#include "client/core/mesh.h"
#include "client/core/tactics.h"
#include "proto/control/operator.h"
#include "proto/dns/rdata.h"
#include "proto/dns/rrtype.h"

#define PEER_ROOM 2600 /* the longest record of a peer */

/* ---- texts ---- */

static void put_bytes(struct sp_wr *wr, const char *text) {
    sp_wr_bytes(wr, text, strlen(text));
}

static void put_decimal(struct sp_wr *wr, unsigned v) {
    if (v >= 10)
        put_decimal(wr, v / 10);
    sp_wr_u8(wr, (uint8_t)('0' + v % 10));
}

static void put_endpoint(struct sp_wr *wr, const struct sp_addr *a) {
    bool six = a->family == 6;
    if (six)
        sp_wr_u8(wr, '[');
    sp_rdata_to_text(six ? SP_TYPE_AAAA : SP_TYPE_A, a->ip, six ? 16 : 4, wr);
    put_bytes(wr, six ? "]:" : ":");
    put_decimal(wr, a->port);
}

void sp_report_endpoint(struct sp_wr *wr, const char *key, const struct sp_addr *a) {
    char buf[72];
    struct sp_wr text = sp_wr_init(buf, sizeof buf);
    if (a->family != 0)
        put_endpoint(&text, a);
    sp_op_str(wr, key, buf, sp_wr_len(&text));
}

void sp_report_ip6(struct sp_wr *wr, const char *key, const uint8_t ip[16]) {
    char buf[64];
    struct sp_wr text = sp_wr_init(buf, sizeof buf);
    sp_rdata_to_text(SP_TYPE_AAAA, ip, 16, &text);
    sp_op_str(wr, key, buf, sp_wr_len(&text));
}

void sp_report_name(struct sp_wr *wr, const char *key, const struct sp_name *name) {
    char text[SP_NAME_TEXT_MAX];
    sp_op_str(wr, key, text, sp_name_to_text(name, text));
}

static uint64_t ago_s(const struct sp_mesh *mesh, sp_instant at) {
    return mesh->now > at ? (mesh->now - at) / SP_SEC : 0;
}

/* ---- a peer ---- */

enum look { LOOK_IDLE, LOOK_CONNECTING, LOOK_RELAY, LOOK_DIRECT, LOOK_OFFLINE };
static const char *const look_texts[] = {"idle", "connecting", "relay", "direct", "offline"};

static enum look look_of(const struct sp_mesh *mesh, const struct sp_peer *p) {
    if (p == NULL)
        return LOOK_IDLE;
    sp_instant last = p->sent_at > p->got_at ? p->sent_at : p->got_at;
    if (p->want_at != SP_NEVER || p->asking)
        if (!sp_peer_up(mesh, p) || p->chosen == SP_PATH_NONE)
            return LOOK_CONNECTING;
    if (p->trouble != SP_PEER_FINE && (!sp_peer_up(mesh, p) || p->chosen == SP_PATH_NONE))
        return LOOK_OFFLINE;
    if (!sp_peer_up(mesh, p) || p->chosen == SP_PATH_NONE)
        return LOOK_IDLE;
    bool rests = mesh->now > p->since + SP_PEER_KEEP && (last == 0 || mesh->now > last + SP_PEER_KEEP);
    return rests ? LOOK_IDLE : p->chosen == SP_PATH_RELAY ? LOOK_RELAY : LOOK_DIRECT;
}

static const char *why_direct(unsigned tactic) {
    switch ((enum sp_tactic)tactic) {
    case SP_TACTIC_LAN:
        return "both are on one network";
    case SP_TACTIC_IPV6:
        return "their IPv6 addresses reach each other";
    case SP_TACTIC_PUBLIC:
        return "the address is the device's own";
    case SP_TACTIC_PORTMAP:
        return "a gateway forwards the port";
    case SP_TACTIC_PUNCH:
        return "both NATs were opened at once";
    case SP_TACTIC_REFLEXIVE:
        return "the device's own probe came from there";
    case SP_TACTIC_RELAY:
    case SP_TACTIC_RELAY_TCP:
        break;
    }
    return "";
}

static const char *why_relay(const struct sp_mesh *mesh, const struct sp_peer *p) {
    bool any = false;
    for (unsigned i = 1; i < SP_PEER_PATHS; i++) {
        unsigned s = p->paths[i].state;
        any = any || s != SP_PATH_FREE;
        if (s == SP_PATH_WAITING || s == SP_PATH_PROBING || s == SP_PATH_SUSPECT)
            return "direct paths are being tried";
    }
    if (mesh->config.no_direct)
        return "the owner wants no direct path";
    return any ? "no direct path has answered" : "the device has no address that can be tried from here";
}

static const char *why(const struct sp_mesh *mesh, const struct sp_peer *p, enum look look) {
    switch (look) {
    case LOOK_IDLE:
        return "nothing has been sent lately";
    case LOOK_CONNECTING:
        return p->asking ? "waiting for the signpost's plan" : "waiting for the device's answer";
    case LOOK_RELAY:
        return why_relay(mesh, p);
    case LOOK_DIRECT:
        return why_direct(p->paths[p->chosen].tactic);
    case LOOK_OFFLINE:
        return sp_peer_trouble_text(p->trouble);
    }
    return "";
}

/* "punch 192.0.2.7:51820 no answer" */
static void put_tried(struct sp_wr *wr, const struct sp_peer *p) {
    sp_op_begin(wr, SP_OP_LIST, "tried");
    for (unsigned i = 1; p != NULL && i < SP_PEER_PATHS; i++) {
        const struct sp_path *path = &p->paths[i];
        char buf[128];
        struct sp_wr text = sp_wr_init(buf, sizeof buf);
        if (path->state == SP_PATH_FREE)
            continue;
        put_bytes(&text, sp_tactic_text(path->tactic));
        sp_wr_u8(&text, ' ');
        put_endpoint(&text, &path->addr);
        sp_wr_u8(&text, ' ');
        put_bytes(&text, sp_path_state_text(path->state));
        sp_op_str(wr, "", buf, sp_wr_len(&text));
    }
    sp_op_end(wr);
}

void sp_report_way(struct sp_wr *wr, const struct sp_mesh *mesh, const struct sp_path *path) {
    bool relay = path->tactic == SP_TACTIC_RELAY;
    sp_report_endpoint(wr, "endpoint", relay ? &mesh->uplink.path.addr : &path->addr);
    if (path->rtt != 0)
        sp_op_u64(wr, "rtt_us", path->rtt / SP_US);
}

const char *sp_report_via(const struct sp_mesh *mesh, const struct sp_path *path) {
    bool tcp = path->tactic == SP_TACTIC_RELAY && mesh->uplink.tcp;
    return sp_tactic_text(tcp ? SP_TACTIC_RELAY_TCP : path->tactic);
}

static void put_peer(struct sp_mesh *mesh, struct sp_wr *wr, const struct sp_dir_entry *e) {
    const struct sp_peer *p = e->peer;
    enum look look = look_of(mesh, p);
    struct sp_wg_peer_stats st = {.handshake_at = SP_NEVER};
    sp_op_begin(wr, SP_OP_RECORD, "");
    sp_report_name(wr, "name", &e->name);
    sp_report_ip6(wr, "address", e->overlay);
    sp_op_text(wr, "state", look_texts[look]);
    if (look == LOOK_RELAY || look == LOOK_DIRECT) {
        const struct sp_path *path = &p->paths[p->chosen];
        sp_op_text(wr, "tactic", sp_report_via(mesh, path));
        sp_report_way(wr, mesh, path);
        sp_op_bool(wr, "mtu_full", path->pmtu.state == SP_PMTU_FULL);
        sp_op_u64(wr, "since_s", ago_s(mesh, p->since));
    }
    sp_op_text(wr, "why", why(mesh, p, look));
    if (p != NULL)
        sp_wg_peer_stats(p->wg, &st);
    sp_op_u64(wr, "sealed_bytes", st.sealed_bytes);
    sp_op_u64(wr, "opened_bytes", st.opened_bytes);
    if (st.handshake_at != SP_NEVER)
        sp_op_u64(wr, "handshake_ago_s", ago_s(mesh, st.handshake_at));
    put_tried(wr, p);
    sp_op_end(wr);
}

/* Those with a session first: they are what the owner looks for when not all fit. */
static void put_peers(struct sp_mesh *mesh, struct sp_wr *wr) {
    struct sp_table_cursor cursor = {0};
    const struct sp_dir_entry *e;
    sp_op_begin(wr, SP_OP_LIST, "peers");
    for (const struct sp_peer *p = mesh->first; p != NULL && sp_wr_left(wr) > PEER_ROOM; p = p->older)
        put_peer(mesh, wr, p->entry);
    while (sp_wr_left(wr) > PEER_ROOM && (e = sp_directory_each(mesh->dir, &cursor)) != NULL)
        if (e->peer == NULL && !sp_name_equal(&e->name, &mesh->self) && !sp_name_equal(&e->name, &mesh->signpost))
            put_peer(mesh, wr, e);
    sp_op_end(wr);
}

/* ---- the session, the network ---- */

static void put_session(struct sp_mesh *mesh, struct sp_wr *wr) {
    const struct sp_uplink *up = &mesh->uplink;
    sp_op_begin(wr, SP_OP_RECORD, "session");
    sp_op_text(wr, "state", sp_uplink_state_text(up->state));
    sp_op_text(wr, "via", up->tcp ? "tcp" : "udp");
    if (up->tcp && mesh->signpost_count > 0)
        sp_report_endpoint(wr, "endpoint",
                           &mesh->signposts[(up->stream_addr + mesh->signpost_count - 1) % mesh->signpost_count]);
    else
        sp_report_endpoint(wr, "endpoint", &up->path.addr);
    if (up->state == SP_UPLINK_UP)
        sp_op_u64(wr, "since_s", ago_s(mesh, up->since));
    if (up->path.rtt != 0)
        sp_op_u64(wr, "rtt_us", up->path.rtt / SP_US);
    if (up->last_err != SP_OK)
        sp_op_text(wr, "last_error",
                   up->last_err == SP_ERR_AGAIN ? "no answer from the signpost" : sp_err_text(up->last_err));
    sp_op_end(wr);
}

static void put_mapped(struct sp_mesh *mesh, struct sp_wr *wr) {
    sp_op_begin(wr, SP_OP_LIST, "mapped");
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 2; k++)
            if (mesh->netcheck.got[i].mapped[k].family != 0)
                sp_report_endpoint(wr, "", &mesh->netcheck.got[i].mapped[k]);
    sp_op_end(wr);
}

void sp_report_status(struct sp_mesh *mesh, struct sp_wr *wr) {
    const struct sp_behave_result *r = sp_netcheck_result(mesh);
    put_session(mesh, wr);
    sp_op_begin(wr, SP_OP_RECORD, "net");
    sp_op_text(wr, "mapping", sp_nat_mapping_text(r->mapping));
    sp_op_text(wr, "filtering", sp_nat_filtering_text(r->filtering));
    put_mapped(mesh, wr);
    sp_op_end(wr);
    sp_userspace_report(mesh, wr);
    put_peers(mesh, wr);
}

void sp_report_netcheck(struct sp_mesh *mesh, struct sp_wr *wr) {
    const struct sp_netcheck *nc = &mesh->netcheck;
    const struct sp_behave_result *r = sp_netcheck_result(mesh);
    sp_op_bool(wr, "udp", nc->got[0].udp || nc->got[1].udp);
    sp_op_bool(wr, "ipv4", nc->got[0].udp);
    sp_op_bool(wr, "ipv6", nc->got[1].udp);
    sp_op_text(wr, "mapping", sp_nat_mapping_text(r->mapping));
    sp_op_text(wr, "filtering", sp_nat_filtering_text(r->filtering));
    sp_op_text(wr, "hairpin", !r->hairpin_known ? "unknown" : r->hairpin ? "yes" : "no");
    put_mapped(mesh, wr);
    sp_op_u64(wr, "mtu", sp_uplink_mtu(mesh));
    sp_op_begin(wr, SP_OP_LIST, "signposts");
    for (unsigned i = 0; i < nc->server_count; i++) {
        sp_op_begin(wr, SP_OP_RECORD, "");
        sp_report_endpoint(wr, "address", &nc->servers[i].addr);
        if (nc->servers[i].rtt != 0)
            sp_op_u64(wr, "rtt_us", nc->servers[i].rtt / SP_US);
        else
            sp_op_text(wr, "error", "no answer");
        sp_op_end(wr);
    }
    sp_op_end(wr);
}
