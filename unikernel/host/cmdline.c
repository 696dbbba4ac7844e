#include "unikernel/host/cmdline.h"

#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/dns/text.h"

#define SYSLOG_PORT 514
#define SHOWN       64 /* bytes of a word that an error repeats */

/* A piece of the text. */
struct piece {
    const char *at;
    size_t len;
};

static bool same(struct piece p, const char *text) {
    return strlen(text) == p.len && memcmp(p.at, text, p.len) == 0;
}

/* Takes what stands before the first `end`, or everything. */
static struct piece take_until(struct piece *from, char end) {
    struct piece ret = {from->at, 0};
    while (ret.len < from->len && from->at[ret.len] != end)
        ret.len++;
    size_t step = ret.len + (ret.len < from->len);
    *from = (struct piece){from->at + step, from->len - step};
    return ret;
}

/* ---- values ---- */

static bool unicast4(const uint8_t ip[4]) {
    return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
}

static bool link_local(const uint8_t ip[16]) {
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
}

/* No multicast, and none of ::/16: not unspecified, not loopback, no IPv4 in disguise. */
static bool unicast6(const uint8_t ip[16]) {
    return ip[0] != 0xff && (ip[0] | ip[1]) != 0;
}

static bool read_ip4(struct sp_addr *ret, struct piece p) {
    *ret = (struct sp_addr){.family = 4};
    return sp_text_to_ip4(p.at, p.len, ret->ip) == SP_OK && unicast4(ret->ip);
}

static bool read_ip6(struct sp_addr *ret, struct piece p) {
    *ret = (struct sp_addr){.family = 6};
    return sp_text_to_ip6(p.at, p.len, ret->ip) == SP_OK && unicast6(ret->ip);
}

/* An address from outside of the link. */
static bool read_global(struct sp_addr *ret, struct piece p) {
    return read_ip4(ret, p) || (read_ip6(ret, p) && !link_local(ret->ip));
}

static bool read_number(struct piece p, uint64_t least, uint64_t most, uint64_t *ret) {
    return sp_text_to_u64(p.at, p.len, most, ret) == SP_OK && *ret >= least;
}

static bool read_port(struct piece p, uint16_t *ret) {
    uint64_t n;
    if (!read_number(p, 1, UINT16_MAX, &n))
        return false;
    *ret = (uint16_t)n;
    return true;
}

static bool read_prefix(struct spx_ip *ret, struct piece p, uint8_t family) {
    struct piece addr = take_until(&p, '/');
    uint64_t bits;
    bool ok = family == 4 ? read_ip4(&ret->addr, addr) : read_ip6(&ret->addr, addr) && !link_local(ret->addr.ip);
    if (!ok || !read_number(p, 1, family == 4 ? 32 : 128, &bits))
        return false;
    ret->how = SPX_IP_STATIC;
    ret->bits = (uint8_t)bits;
    return true;
}

static bool copy(struct spx_text *to, struct piece p) {
    spx_text_clear(to);
    spx_text_bytes(to, p.at, p.len);
    return to->len > 0 && !to->cut;
}

static bool read_name(struct spx_text *to, struct piece p) {
    struct sp_name name;
    return copy(to, p) && sp_name_from_text(&name, p.at, p.len, NULL) == SP_OK && name.labels > 0;
}

/* ---- words ---- */

static bool set_ip(struct spx_cmdline *c, struct piece p) {
    if (!same(p, "dhcp"))
        return read_prefix(&c->ip, p, 4);
    c->ip.how = SPX_IP_AUTO;
    return true;
}

static bool set_ip6(struct spx_cmdline *c, struct piece p) {
    if (!same(p, "auto") && !same(p, "off"))
        return read_prefix(&c->ip6, p, 6);
    c->ip6.how = same(p, "auto") ? SPX_IP_AUTO : SPX_IP_NONE;
    return true;
}

static bool set_gw(struct spx_cmdline *c, struct piece p) {
    return read_ip4(&c->gw, p);
}

static bool set_gw6(struct spx_cmdline *c, struct piece p) {
    return read_ip6(&c->gw6, p);
}

static bool set_zone(struct spx_cmdline *c, struct piece p) {
    return read_name(&c->zone, p);
}

static bool set_ns(struct spx_cmdline *c, struct piece p) {
    return read_name(&c->ns, p);
}

static bool set_public(struct spx_cmdline *c, struct piece p) {
    return c->public.count < SPX_PUBLIC_MAX && read_global(&c->public.addrs[c->public.count++], p);
}

static bool set_ports(struct spx_cmdline *c, struct piece p) {
    bool ok = p.len > 0 && p.at[p.len - 1] != ',';
    while (ok && p.len > 0) {
        uint16_t port;
        ok = c->ports.count < SP_NET_PORTS && read_port(take_until(&p, ','), &port);
        for (unsigned i = 0; ok && i < c->ports.count; i++)
            ok = c->ports.list[i] != port;
        if (ok)
            c->ports.list[c->ports.count++] = port;
    }
    return ok;
}

static bool set_disk(struct spx_cmdline *c, struct piece p) {
    return p.len == 4 && memcmp(p.at, "xvd", 3) == 0 && p.at[3] >= 'a' && p.at[3] <= 'p' && copy(&c->disk, p);
}

static bool set_operator(struct spx_cmdline *c, struct piece p) {
    size_t len;
    return c->operators.count < SPX_OPERATORS_MAX &&
           sp_base64_decode(p.at, p.len, c->operators.keys[c->operators.count++], 32, &len) == SP_OK && len == 32;
}

/* ADDR, ADDR:PORT with IPv4, [ADDR]:PORT with IPv6. */
static bool set_syslog(struct spx_cmdline *c, struct piece p) {
    uint16_t port = SYSLOG_PORT;
    struct piece rest = p, addr = p;
    bool brackets = p.len > 0 && p.at[0] == '[', more = false;
    if (brackets) {
        rest = (struct piece){p.at + 1, p.len - 1};
        addr = take_until(&rest, ']');
        more = rest.len > 0;
        if (addr.len + 2 > p.len || (more && take_until(&rest, ':').len > 0))
            return false;
    } else if (!read_ip6(&c->syslog, p)) {
        addr = take_until(&rest, ':');
        more = addr.len < p.len;
    }
    if (!read_global(&c->syslog, addr) || (brackets && c->syslog.family != 6) || (more && !read_port(rest, &port)))
        return false;
    c->syslog.port = port;
    return true;
}

#define FIELD(name) offsetof(struct spx_cmdline, name), sizeof((struct spx_cmdline *)0)->name

static const struct word {
    const char *name, *allowed;
    bool (*set)(struct spx_cmdline *c, struct piece value);
    size_t at, size; /* what it sets */
    bool many;
} words[] = {
    {"ip", "ip=ADDR/BITS with an IPv4 address, or ip=dhcp", set_ip, FIELD(ip), false},
    {"gw", "gw=ADDR with an IPv4 address", set_gw, FIELD(gw), false},
    {"ip6", "ip6=ADDR/BITS with an IPv6 address, ip6=auto or ip6=off", set_ip6, FIELD(ip6), false},
    {"gw6", "gw6=ADDR with an IPv6 address", set_gw6, FIELD(gw6), false},
    {"zone", "zone=ZONE with a domain name", set_zone, FIELD(zone), false},
    {"ns", "ns=NAME with a domain name", set_ns, FIELD(ns), false},
    {"public", "public=ADDR with an IP address, at most 4 of them", set_public, FIELD(public), true},
    {"ports", "ports=N,N,... with different ports, at most 8 of them", set_ports, FIELD(ports), false},
    {"disk", "disk=xvda, to xvdp", set_disk, FIELD(disk), false},
    {"operator", "operator=KEY with 32 bytes in base64, at most 4 of them", set_operator, FIELD(operators), true},
    {"syslog", "syslog=ADDR or ADDR:PORT, an IPv6 address in brackets", set_syslog, FIELD(syslog), false},
};
#define WORDS    (sizeof words / sizeof words[0])
#define SAID(i)  (UINT32_C(1) << (i))
#define UNKNOWN  "not known; known are ip gw ip6 gw6 zone ns public ports disk operator syslog"
#define IS_IP(i) ((i) == 0 || (i) == 2) /* the row after it is its router */

/* ---- one word ---- */

static bool printable(char ch) {
    return ch > ' ' && ch < 127;
}

/* Never more of somebody's text than fits, and no control characters of it. */
static void add_shown(struct spx_text *t, struct piece p) {
    for (size_t i = 0; i < p.len && i < SHOWN; i++)
        spx_text_bytes(t, printable(p.at[i]) ? p.at + i : "?", 1);
    if (p.len > SHOWN)
        spx_text_add(t, "...");
}

static bool refuse(struct spx_text *why, enum spx_source from, struct piece word, const char *reason,
                   const char *allowed) {
    spx_text_clear(why);
    spx_text_add(why, "cannot use the option ");
    add_shown(why, word);
    spx_text_add(why, from == SPX_FROM_VM_DATA ? " of vm-data/signpost: " : " of the command line: ");
    spx_text_add(why, reason);
    spx_text_add(why, allowed);
    return false;
}

static void reset(struct spx_cmdline *c, const struct word *w) {
    memset((uint8_t *)c + w->at, 0, w->size);
}

/* The first time that this source names a word: what another one said of it is void. */
static void begin(struct spx_cmdline *c, enum spx_source from, size_t i) {
    c->given[from] |= SAID(i);
    reset(c, &words[i]);
    if (IS_IP(i) && (c->given[from] & SAID(i + 1)) == 0)
        reset(c, &words[i + 1]); /* a router belongs to its address */
}

static bool read_word(struct spx_cmdline *c, enum spx_source from, struct piece word, struct spx_text *why) {
    struct piece value = word, name = take_until(&value, '=');
    size_t i = 0;
    while (i < WORDS && !same(name, words[i].name))
        i++;
    if (i == WORDS || name.len == word.len)
        return refuse(why, from, word, UNKNOWN, "");
    for (size_t at = 0; at < word.len; at++)
        if (!printable(word.at[at]))
            return refuse(why, from, word, "it has a character that cannot be printed", "");
    if ((c->given[from] & SAID(i)) == 0)
        begin(c, from, i);
    else if (!words[i].many)
        return refuse(why, from, word, "this word was given before", "");
    return words[i].set(c, value) || refuse(why, from, word, "it must be ", words[i].allowed);
}

/* ---- all of them ---- */

static bool blank(char ch) {
    return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r' || ch == 0;
}

static void compare(struct spx_cmdline *c, const struct spx_cmdline *before) {
    for (size_t i = 0; i < WORDS; i++) {
        const struct word *w = &words[i];
        bool both = (c->given[0] & c->given[1] & SAID(i)) != 0;
        if (both && memcmp((uint8_t *)c + w->at, (const uint8_t *)before + w->at, w->size) != 0)
            c->differ |= SAID(i);
    }
}

bool spx_cmdline_read(struct spx_cmdline *c, enum spx_source from, const char *text, size_t len, struct spx_text *why) {
    struct spx_cmdline before = *c;
    for (size_t at = 0; at < len;) {
        struct piece word = {text + at, 0};
        while (at + word.len < len && !blank(word.at[word.len]))
            word.len++;
        if (word.len > 0 && !read_word(c, from, word, why))
            return false;
        at += word.len + 1;
    }
    if (from == SPX_FROM_VM_DATA)
        compare(c, &before);
    return true;
}

static bool say(struct spx_text *why, const char *text) {
    spx_text_clear(why);
    spx_text_add(why, text);
    return false;
}

bool spx_cmdline_finish(struct spx_cmdline *c, struct spx_text *why) {
    static const uint16_t ports[] = {53, 443, 51820};
    if (c->zone.len == 0)
        return say(why, "no zone: name it as zone=ZONE");
    if (c->ip.how == SPX_IP_NONE && c->ip6.how == SPX_IP_NONE)
        return say(why, "no address: give it as ip=ADDR/BITS, ip=dhcp, ip6=ADDR/BITS or ip6=auto");
    if (c->gw.family != 0 && c->ip.how != SPX_IP_STATIC)
        return say(why, "gw=ADDR goes with ip=ADDR/BITS alone: a lease of DHCP brings its router along");
    if (c->gw6.family != 0 && c->ip6.how != SPX_IP_STATIC)
        return say(why, "gw6=ADDR goes with ip6=ADDR/BITS alone: with ip6=auto routers advertise themselves");
    if (c->syslog.family != 0 && (c->syslog.family == 4 ? &c->ip : &c->ip6)->how == SPX_IP_NONE)
        return say(why, c->syslog.family == 4 ? "syslog=ADDR is an IPv4 address, and there is no ip to reach it from"
                                              : "syslog=ADDR is an IPv6 address, and there is no ip6 to reach it from");
    if (c->ports.count == 0) {
        memcpy(c->ports.list, ports, sizeof ports);
        c->ports.count = sizeof ports / sizeof ports[0];
    }
    return true;
}

void spx_cmdline_differ(const struct spx_cmdline *c, struct spx_text *ret) {
    spx_text_clear(ret);
    for (size_t i = 0; i < WORDS; i++)
        if ((c->differ & SAID(i)) != 0) {
            spx_text_add(ret, ret->len > 0 ? " " : "");
            spx_text_add(ret, words[i].name);
        }
}
