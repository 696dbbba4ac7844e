#include "tests/support/update_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/dns/zonetext.h"
#include "tests/support/support.h"

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#define APEX "me.example."

static const char zone_text[] = "$ORIGIN me.example.\n"
                                "$TTL 300\n"
                                "@ SOA ns hostmaster 100 3600 600 86400 300\n"
                                "@ NS ns\n"
                                "ns A 192.0.2.1\n"
                                "ns AAAA 2001:db8::1\n"
                                "host A 192.0.2.10\n"
                                "host A 192.0.2.11\n"
                                "host TXT \"one\"\n"
                                "alias CNAME host\n"
                                "deep.ent A 192.0.2.12\n";

struct sp_ed25519 upd_key(uint8_t fill) {
    uint8_t seed[SP_ED25519_SEED];
    memset(seed, fill, sizeof seed);
    struct sp_ed25519 k;
    sp_ed25519_from_seed(&k, seed);
    return k;
}

struct sp_name upd_name(const char *text) {
    struct sp_name apex, name;
    CHECK(sp_name_from_text(&apex, APEX, strlen(APEX), NULL) == SP_OK);
    CHECK(sp_name_from_text(&name, text, strlen(text), &apex) == SP_OK);
    return name;
}

/* ---- the log ---- */

static void log_append(struct upd *r, const struct sp_change *c) {
    CHECK(r->records < UPD_RECORDS && c->len <= SP_LOG_BODY_MAX);
    struct upd_record *rec = &r->log[r->records++];
    *rec = (struct upd_record){c->zone, c->kind, c->len, malloc(c->len)};
    memcpy(rec->body, c->body, c->len);
}

bool upd_commit(struct upd *r, const struct sp_change *c) {
    if (c->body == NULL)
        return true;
    if (r->log_full) {
        sp_updater_abort(r->u, c);
        return false;
    }
    struct sp_change part = *c;
    for (log_append(r, &part); part.more; log_append(r, &part))
        sp_updater_txn_more(r->u, &part);
    CHECK(sp_updater_commit(r->u, &part, r->now) == SP_OK);
    if (part.txn != NULL)
        sp_txn_retire(part.txn);
    return true;
}

/* ---- life ---- */

static struct upd *upd_empty(const struct sp_updater_config *config) {
    struct upd *r = calloc(1, sizeof *r);
    static const uint8_t key[16] = "sixteen bytes ok";
    CHECK(sp_crypto_init() == SP_OK);
    sp_mem_init(&r->mem, sp_test_grant(), (size_t)1 << 31);
    CHECK(sp_zones_new(&r->zones, &r->mem, key, 64, 1 << 20) == SP_OK);
    r->config = *config;
    CHECK(sp_updater_new(&r->u, &r->mem, r->zones, config) == SP_OK);
    r->now = 1000 * SP_SEC;
    r->wall = sp_wall_from_sec(UPD_WALL);
    r->src = (struct sp_addr){.ip = {198, 51, 100, 7}, .port = 4000, .family = 4};
    r->via = SP_VIA_UDP;
    r->view.zones = r->zones;
    r->view.udp_size_max = 1232;
    return r;
}

static void zone_make(struct upd *r) {
    struct sp_zone_secrets s = {.apex = upd_name("@"), .signpost = upd_name("signpost")};
    struct sp_change c;
    struct sp_txn *txn;
    struct sp_zonetext_error error;
    memset(s.dnssec_seed, 0xd5, SP_ED25519_SEED);
    memset(s.root_seed, 0x40, SP_ED25519_SEED);
    memset(s.signpost_seed, 0x59, SP_ED25519_SEED);
    CHECK(sp_updater_zone_add(r->u, 1, &s, &c) == SP_OK);
    CHECK(upd_commit(r, &c));
    r->zone = sp_zones_get(r->zones, &s.apex);
    CHECK(r->zone != NULL);
    CHECK(sp_zone_load(&txn, r->zone, zone_text, strlen(zone_text), &error) == SP_OK);
    CHECK(sp_updater_txn(r->u, r->zone, txn, false, &c) == SP_OK);
    CHECK(upd_commit(r, &c));
    CHECK(upd_serial(r) == 100);
}

struct upd *upd_new_with(const struct sp_updater_config *config) {
    struct upd *r = upd_empty(config);
    zone_make(r);
    return r;
}

struct upd *upd_new(void) {
    struct sp_updater_config config;
    sp_updater_config_default(&config);
    return upd_new_with(&config);
}

void upd_free(struct upd *r) {
    sp_updater_free(r->u);
    sp_zones_free(r->zones);
    CHECK(r->mem.used == 0);
    sp_mem_done(&r->mem);
    for (size_t i = 0; i < r->records; i++)
        free(r->log[i].body);
    free(r);
}

void upd_device(struct upd *r, const char *name, const struct sp_ed25519 *key) {
    uint8_t rdata[SP_KEY_RDATA];
    struct sp_name owner = upd_name(name);
    struct sp_change c;
    const char *what;
    sp_key_rdata(key->pub, rdata);
    CHECK(sp_updater_key_add(r->u, r->zone, &owner, rdata, sizeof rdata, NULL, 0, &c, &what) == SP_OK);
    CHECK(upd_commit(r, &c));
}

struct sp_tsig_key upd_tsig_key(const char *name) {
    struct sp_tsig_key k = {.hash = SP_SHA256, .secret_len = 32};
    CHECK(sp_name_from_text(&k.name, name, strlen(name), NULL) == SP_OK);
    memset(k.secret, 0x77, 32);
    return k;
}

void upd_tsig(struct upd *r, const char *name, const char *policy) {
    struct sp_tsig_key k = upd_tsig_key(name);
    struct sp_change c;
    const char *what = "";
    CHECK(sp_updater_tsig_add(r->u, r->zone, &k, policy, strlen(policy), &c, &what) == SP_OK);
    CHECK(upd_commit(r, &c));
}

void upd_invite(struct upd *r, const char *name, const struct sp_ed25519 *invite, uint64_t expiry) {
    struct sp_name n = upd_name(name);
    struct sp_change c;
    CHECK(sp_updater_invite_add(r->u, r->zone, &n, invite->pub, expiry, r->wall, &c) == SP_OK);
    CHECK(upd_commit(r, &c));
}

/* ---- messages ---- */

void upd_begin_zone(struct upd *r, const char *zone, uint16_t type, uint16_t rclass) {
    struct sp_name name = upd_name(zone);
    sp_msgw_begin(&r->w, r->out, sizeof r->out, 4711, SP_OPCODE_UPDATE << 11);
    sp_msgw_question(&r->w, &name, type, rclass);
    r->out_len = 0;
}

void upd_begin(struct upd *r) {
    upd_begin_zone(r, "@", SP_TYPE_SOA, SP_CLASS_IN);
}

void upd_rr(struct upd *r, unsigned section, const char *name, uint16_t type, uint16_t rclass, uint32_t ttl,
            const void *rdata, size_t len) {
    struct sp_name owner = upd_name(name);
    CHECK(sp_msgw_rr(&r->w, section, &owner, type, rclass, ttl, rdata, len) == SP_OK);
}

static char *word(char **rest) {
    char *w = *rest;
    while (*w == ' ')
        w++;
    char *end = w;
    while (*end != 0 && *end != ' ')
        end++;
    *rest = *end != 0 ? end + 1 : end;
    *end = 0;
    return w;
}

static uint16_t type_of(const char *text) {
    uint16_t type;
    CHECK(sp_type_from_text(text, strlen(text), &type) == SP_OK);
    return type;
}

static size_t rdata_of(const char *type, const char *text, uint8_t *buf, size_t cap) {
    struct sp_name apex = upd_name("@");
    struct sp_wr wr = sp_wr_init(buf, cap);
    CHECK(sp_rdata_from_text(type_of(type), text, strlen(text), &apex, &wr) == SP_OK);
    return sp_wr_len(&wr);
}

void upd_line(struct upd *r, const char *line) {
    char copy[4096];
    uint8_t rdata[4096];
    CHECK(strlen(line) < sizeof copy);
    strcpy(copy, line);
    char *rest = copy;
    const char *verb = word(&rest), *name = word(&rest);
    uint32_t ttl = 0;
    if (strcmp(verb, "add") == 0)
        ttl = (uint32_t)strtoul(word(&rest), NULL, 10);
    const char *type = word(&rest);
    size_t len = *rest != 0 ? rdata_of(type, rest, rdata, sizeof rdata) : 0;
    if (strcmp(verb, "add") == 0)
        upd_rr(r, 2, name, type_of(type), SP_CLASS_IN, ttl, rdata, len);
    else if (strcmp(verb, "delete") == 0)
        upd_rr(r, 2, name, *type != 0 ? type_of(type) : SP_TYPE_ANY, len > 0 ? SP_CLASS_NONE : SP_CLASS_ANY, 0, rdata,
               len);
    else if (strcmp(verb, "yxdomain") == 0)
        upd_rr(r, 1, name, SP_TYPE_ANY, SP_CLASS_ANY, 0, NULL, 0);
    else if (strcmp(verb, "nxdomain") == 0)
        upd_rr(r, 1, name, SP_TYPE_ANY, SP_CLASS_NONE, 0, NULL, 0);
    else if (strcmp(verb, "nxrrset") == 0)
        upd_rr(r, 1, name, type_of(type), SP_CLASS_NONE, 0, NULL, 0);
    else if (strcmp(verb, "yxrrset") == 0)
        upd_rr(r, 1, name, type_of(type), len > 0 ? SP_CLASS_IN : SP_CLASS_ANY, 0, rdata, len);
    else
        CHECK(!"a verb of upd_line");
}

static void close_message(struct upd *r) {
    if (r->out_len != 0)
        return;
    r->out_len = sp_msgw_end(&r->w);
    CHECK(r->out_len > 0);
}

void upd_opt(struct upd *r, size_t lease_len, uint32_t lease_s, uint32_t key_lease_s) {
    struct sp_optw o;
    uint8_t option[16] = {0};
    sp_put_u32(option, lease_s);
    sp_put_u32(option + 4, key_lease_s);
    sp_msgw_opt_begin(&r->w, &o, 1232, 0, 0, 0);
    if (lease_len > 0)
        sp_msgw_opt_add(&r->w, SP_EDNS_UL, option, lease_len);
    sp_msgw_opt_end(&r->w, &o);
}

static struct sp_wr open_end(struct upd *r) {
    close_message(r);
    struct sp_wr wr = sp_wr_init(r->out, sizeof r->out);
    wr.pos += r->out_len;
    return wr;
}

static uint16_t tag_of(const struct sp_ed25519 *key) {
    uint8_t rdata[SP_KEY_RDATA];
    sp_key_rdata(key->pub, rdata);
    return sp_key_tag(rdata, sizeof rdata);
}

void upd_sign_at(struct upd *r, const char *signer, const struct sp_ed25519 *key, uint32_t inception,
                 uint32_t expiration) {
    static uint8_t scratch[SP_SCRATCH];
    struct sp_wr wr = open_end(r);
    struct sp_name name = upd_name(signer);
    uint32_t half = (expiration - inception) / 2;
    CHECK(sp_sig0_sign(&wr, &name, key, tag_of(key), sp_wall_from_sec(inception + half), half, NULL, 0, scratch,
                       sizeof scratch) == SP_OK);
    r->out_len = sp_wr_len(&wr);
}

void upd_sign(struct upd *r, const char *signer, const struct sp_ed25519 *key) {
    uint32_t now = (uint32_t)sp_wall_sec(r->wall);
    upd_sign_at(r, signer, key, now - 300, now + 300);
}

void upd_sign_tsig(struct upd *r, const struct sp_tsig_key *key) {
    struct sp_wr wr = open_end(r);
    memset(&r->tsig, 0, sizeof r->tsig);
    CHECK(sp_tsig_sign(&wr, key, r->wall, NULL, false, &r->tsig) == SP_OK);
    r->out_len = sp_wr_len(&wr);
}

static void read_reply(struct upd *r) {
    struct sp_rd value;
    r->ede = -1;
    r->ede_text[0] = 0;
    r->lease_len = 0;
    CHECK(sp_msg_parse(&r->msg, r->reply, r->reply_len) == SP_OK);
    CHECK((r->msg.flags & SP_FLAG_QR) != 0 && SP_OPCODE_OF(r->msg.flags) == SP_OPCODE_UPDATE);
    CHECK((r->msg.flags & SP_FLAG_TC) == 0 && r->msg.id == r->sent.id);
    CHECK(r->msg.edns.present == r->sent.edns.present);
    if (sp_edns_find(&r->msg.edns, SP_EDNS_EDE, &value)) {
        r->ede = sp_rd_u16(&value);
        size_t len = sp_rd_left(&value);
        sp_rd_copy(&value, r->ede_text, len);
        r->ede_text[len] = 0;
    }
    if (sp_edns_find(&r->msg.edns, SP_EDNS_UL, &value)) {
        r->lease_len = sp_rd_left(&value);
        sp_rd_copy(&value, r->lease, r->lease_len);
    }
}

uint16_t upd_send(struct upd *r) {
    close_message(r);
    CHECK(sp_msg_parse(&r->sent, r->out, r->out_len) == SP_OK);
    size_t before = r->records;
    uint32_t serial = upd_serial(r);
    sp_updater_message(r->u, &r->sent, r->via, &r->src, r->now, r->wall, &r->up);
    if (!upd_commit(r, &r->up.change))
        sp_update_fail(r->u, &r->up, SP_REFUSED_disk_full);
    r->reply_len = sp_update_reply(r->u, &r->view, &r->sent, &r->src, &r->up, r->wall, r->reply, sizeof r->reply);
    CHECK(r->reply_len > 0);
    read_reply(r);
    uint16_t rcode = (uint16_t)(SP_RCODE_OF(r->msg.flags) | r->msg.edns.ext_rcode << 4);
    CHECK(rcode == r->up.rcode);
    if (rcode != SP_RCODE_NOERROR) { /* a refusal changes nothing, and says why */
        CHECK(r->records == before && upd_serial(r) == serial);
        CHECK(!r->sent.edns.present || r->ede >= 0 || rcode == SP_RCODE_BADVERS);
    }
    return rcode;
}

static void lines(struct upd *r, const char *text) {
    while (*text != 0) {
        char line[4096];
        size_t n = strcspn(text, "\n");
        memcpy(line, text, n);
        line[n] = 0;
        if (n > 0)
            upd_line(r, line);
        text += n + (text[n] != 0);
    }
}

uint16_t upd_update_lease(struct upd *r, const char *signer, const struct sp_ed25519 *key, const char *text,
                          uint32_t lease_s) {
    upd_begin(r);
    lines(r, text);
    upd_opt(r, lease_s > 0 ? 4 : 0, lease_s, 0);
    upd_sign(r, signer, key);
    return upd_send(r);
}

uint16_t upd_update(struct upd *r, const char *signer, const struct sp_ed25519 *key, const char *text) {
    return upd_update_lease(r, signer, key, text, 0);
}

uint16_t upd_update_tsig(struct upd *r, const struct sp_tsig_key *key, const char *text) {
    upd_begin(r);
    lines(r, text);
    upd_opt(r, 0, 0, 0);
    upd_sign_tsig(r, key);
    return upd_send(r);
}

uint16_t upd_join(struct upd *r, const char *name, const struct sp_ed25519 *device, const struct sp_ed25519 *invite,
                  uint64_t expiry, unsigned how) {
    const struct sp_zone_info *info = sp_zone_info(r->zone);
    struct sp_name n = upd_name(name);
    uint8_t rdata[SP_KEY_RDATA], addr[16], proof[SP_JOIN_RDATA];
    sp_key_rdata(device->pub, rdata);
    sp_overlay_addr(info->root_hash, device->pub, addr);
    if (how & UPD_JOIN_OTHER_ADDRESS)
        addr[15] ^= 1;
    sp_join_make(proof, info->root_hash, &n, invite, device, expiry);
    if (how & UPD_JOIN_BAD_PROOF)
        proof[sizeof proof - 1] ^= 1;
    upd_begin(r);
    if (!(how & UPD_JOIN_NO_KEY))
        upd_rr(r, 2, name, SP_TYPE_KEY, SP_CLASS_IN, 3600, rdata, sizeof rdata);
    if (how & UPD_JOIN_TWO_KEYS) {
        struct sp_ed25519 second = upd_key(0xee);
        sp_key_rdata(second.pub, rdata);
        upd_rr(r, 2, name, SP_TYPE_KEY, SP_CLASS_IN, 3600, rdata, sizeof rdata);
    }
    if (!(how & UPD_JOIN_NO_ADDRESS))
        upd_rr(r, 2, name, SP_TYPE_AAAA, SP_CLASS_IN, 3600, addr, sizeof addr);
    if (!(how & UPD_JOIN_NO_PROOF))
        upd_rr(r, 2, name, SP_TYPE_SPJOIN, SP_CLASS_IN, 0, proof, sizeof proof);
    upd_opt(r, 0, 0, 0);
    upd_sign(r, name, device);
    return upd_send(r);
}

/* ---- time ---- */

void upd_pass(struct upd *r, sp_duration time) {
    r->now += time;
    r->wall.ns += time;
}

size_t upd_expire(struct upd *r) {
    struct sp_change c;
    size_t n = 0;
    while (sp_updater_expire(r->u, r->now, &c)) {
        if (!upd_commit(r, &c)) {
            sp_updater_expire_later(r->u, r->now);
            break;
        }
        n++;
    }
    return n;
}

/* ---- looking ---- */

static void rrset_text(struct upd *r, const struct sp_rrset *set) {
    struct sp_wr wr = sp_wr_init(r->text, sizeof r->text - 1);
    char ttl[16];
    wr.pos += snprintf(ttl, sizeof ttl, "%u", set->ttl);
    memcpy(r->text, ttl, (size_t)(wr.pos - wr.base));
    struct sp_rd rd = sp_rd_init(set->data, set->len);
    const uint8_t *rdata;
    bool first = true;
    for (size_t len; sp_rrs_next(&rd, &rdata, &len); first = false) {
        sp_wr_bytes(&wr, first ? " " : " | ", first ? 1 : 3);
        sp_rdata_to_text(set->type, rdata, len, &wr);
    }
    *wr.pos = 0;
}

const char *upd_rrset(struct upd *r, const char *name, const char *type) {
    struct sp_name owner = upd_name(name);
    const struct sp_node *n = sp_zone_node(r->zone, &owner);
    const struct sp_rrset *set = n == NULL ? NULL : sp_node_rrset(n, type_of(type));
    r->text[0] = 0;
    if (set != NULL)
        rrset_text(r, set);
    return r->text;
}

uint32_t upd_serial(struct upd *r) {
    return r->zone == NULL ? 0 : sp_zone_serial(r->zone);
}

/* ---- whole state ---- */

struct dump {
    char *line[65536];
    size_t n;
};

static void dump_add(struct dump *d, const char *text) {
    CHECK(d->n < 65536);
    d->line[d->n++] = strdup(text);
}

static int line_cmp(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void hex(char *to, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++)
        sprintf(to + 2 * i, "%02x", data[i]);
}

static void dump_zone(struct upd *r, struct dump *d, struct sp_zone *z) {
    struct sp_zone_cursor c = {0};
    char name[SP_NAME_TEXT_MAX], type[16];
    static char line[sizeof r->text + 2048];
    sp_name_to_text(sp_zone_apex(z), name);
    snprintf(line, sizeof line, "zone %u %s serial %u", sp_zone_id(z), name, sp_zone_serial(z));
    dump_add(d, line);
    for (struct sp_node *n; (n = sp_zone_each(z, &c)) != NULL;) {
        const struct sp_rrset *sets[64];
        struct sp_name owner;
        sp_node_name(n, &owner);
        sp_name_to_text(&owner, name);
        size_t count = sp_node_rrsets(n, sets, 64);
        for (size_t i = 0; i < count; i++) {
            uint32_t granted = 0;
            sp_instant due = 0;
            bool leased = sp_updater_lease(r->u, z, &owner, sets[i]->type, r->now, &granted, &due);
            sp_type_to_text(sets[i]->type, type);
            rrset_text(r, sets[i]);
            snprintf(line, sizeof line, "%u %s %s %s lease %d %u", sp_zone_id(z), name, type, r->text, leased, granted);
            dump_add(d, line);
        }
    }
}

static void dump_tables(struct upd *r, struct dump *d, struct sp_zone *z, bool uses) {
    char name[SP_NAME_TEXT_MAX], line[4096], pub[65];
    struct sp_table_cursor c = {0}, ic = {0}, uc = {0};
    struct sp_key_info k;
    struct sp_invite_info invite;
    while (sp_updater_key_each(r->u, z, &c, &k)) {
        sp_name_to_text(&k.name, name);
        snprintf(line, sizeof line, "key %s %d %d %.*s", name, k.tsig, k.hash, (int)k.policy_len, k.policy);
        dump_add(d, line);
    }
    while (sp_updater_invite_each(r->u, z, &ic, &invite)) {
        sp_name_to_text(&invite.name, name);
        hex(pub, invite.pub, 32);
        snprintf(line, sizeof line, "invite %s %s %llu", name, pub, (unsigned long long)invite.expiry);
        dump_add(d, line);
    }
    for (struct sp_link *l; uses && (l = sp_table_each(&r->u->uses, &uc)) != NULL;) {
        const struct sp_use *use = SP_CONTAINER(l, struct sp_use, link);
        if (use->zone != sp_zone_id(z) || use->newest == 0)
            continue;
        hex(pub, use->pub, 32);
        snprintf(line, sizeof line, "use %d %.*s %s %llu %llx", use->kind, use->name[0], (const char *)use->name + 1,
                 pub, (unsigned long long)use->newest, (unsigned long long)use->last_hash);
        dump_add(d, line);
    }
}

static char *dump_all(struct upd *r, bool uses) {
    struct dump *d = calloc(1, sizeof *d);
    char line[64];
    for (struct sp_zone *z = NULL; (z = sp_zones_next(r->zones, z)) != NULL;) {
        dump_zone(r, d, z);
        dump_tables(r, d, z, uses);
    }
    snprintf(line, sizeof line, "idents %zu leases %llu", r->u->idents.count, (unsigned long long)r->u->counts.leases);
    dump_add(d, line);
    qsort(d->line, d->n, sizeof d->line[0], line_cmp);
    size_t len = 1;
    for (size_t i = 0; i < d->n; i++)
        len += strlen(d->line[i]) + 1;
    char *text = malloc(len), *at = text;
    *at = 0;
    for (size_t i = 0; i < d->n; i++) {
        at += sprintf(at, "%s\n", d->line[i]);
        free(d->line[i]);
    }
    free(d);
    return text;
}

char *upd_dump(struct upd *r) {
    return dump_all(r, true);
}

char *upd_dump_state(struct upd *r) {
    return dump_all(r, false);
}

static void replay_one(struct upd *to, uint32_t zone, uint16_t kind, const uint8_t *body, size_t len, uint64_t seq) {
    struct sp_log_record rec = {.seq = seq, .zone = zone, .kind = kind, .body = body, .len = len};
    CHECK(sp_updater_apply(to->u, &rec, to->now) == SP_OK);
    struct sp_change c = {.zone = zone, .kind = kind, .body = body, .len = len};
    log_append(to, &c);
}

static void replay_end(struct upd *to) {
    struct sp_name apex = upd_name("@");
    sp_updater_replayed(to->u, to->now, to->wall);
    to->zone = sp_zones_get(to->zones, &apex);
}

struct upd *upd_replayed(const struct upd *r, size_t n) {
    struct upd *to = upd_empty(&r->config);
    to->wall = r->wall;
    to->src = r->src;
    for (size_t i = 0; i < n; i++)
        replay_one(to, r->log[i].zone, r->log[i].kind, r->log[i].body, r->log[i].len, i + 1);
    replay_end(to);
    return to;
}

struct upd *upd_restored(struct upd *r) {
    struct upd *to = upd_empty(&r->config);
    struct sp_snapshot s;
    struct sp_change c, again;
    to->wall = r->wall;
    to->src = r->src;
    sp_updater_snapshot_begin(&s);
    while (sp_updater_snapshot_next(r->u, &s, r->wall, &c)) {
        s.again = true; /* as if the log's buffers had been busy */
        CHECK(sp_updater_snapshot_next(r->u, &s, r->wall, &again));
        CHECK(again.len == c.len && again.body == c.body && again.zone == c.zone);
        replay_one(to, c.zone, c.kind, c.body, c.len, 0);
    }
    replay_end(to);
    return to;
}
