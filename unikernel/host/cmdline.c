#include "unikernel/host/cmdline.h"

#include <string.h>

/* Takes the text up to `end` or its own end, and steps over that. */
static void take_until(struct spx_text *ret, const char **at, char end) {
    size_t len = 0;
    while ((*at)[len] != 0 && (*at)[len] != end)
        len++;
    spx_text_clear(ret);
    spx_text_bytes(ret, *at, len);
    *at += len + ((*at)[len] != 0);
}

static bool read_ipv4(struct sp_addr *ret, const char *text) {
    *ret = (struct sp_addr){.family = 4};
    unsigned parts = 0;
    for (; *text != 0 && parts < 4; parts++) {
        struct spx_text part;
        uint64_t n;
        take_until(&part, &text, '.');
        if (!spx_text_parse(part.s, part.len, &n) || n > 255 || (parts < 3 && *text == 0))
            return false;
        ret->ip[parts] = (uint8_t)n;
    }
    return parts == 4 && *text == 0 && text[-1] != '.';
}

static bool read_address(struct spx_cmdline *c, const char *text) {
    struct spx_text bits;
    uint64_t n;
    take_until(&c->ip, &text, '/');
    take_until(&bits, &text, 0);
    if (!read_ipv4(&c->address, c->ip.s) || !spx_text_parse(bits.s, bits.len, &n) || n == 0 || n > 32)
        return false;
    c->bits = (uint8_t)n;
    return true;
}

static bool copy(struct spx_text *to, const char *value) {
    spx_text_clear(to);
    spx_text_add(to, value);
    return to->len > 0 && !to->cut;
}

static bool set(struct spx_cmdline *c, const char *name, const char *value) {
    if (spx_text_same(name, "ip"))
        return read_address(c, value);
    if (spx_text_same(name, "gw"))
        return read_ipv4(&c->gateway, value);
    if (spx_text_same(name, "zone"))
        return copy(&c->zone, value);
    if (spx_text_same(name, "ns"))
        return copy(&c->ns, value);
    if (spx_text_same(name, "disk"))
        return copy(&c->disk, value);
    return false;
}

static bool refuse(struct spx_text *why, const char *text, const char *more) {
    spx_text_clear(why);
    spx_text_add(why, text);
    spx_text_add(why, more);
    return false;
}

bool spx_cmdline_read(struct spx_cmdline *ret, const char *text, struct spx_text *why) {
    *ret = (struct spx_cmdline){0};
    while (*text != 0) {
        struct spx_text word, name;
        take_until(&word, &text, ' ');
        if (word.len == 0)
            continue;
        const char *value = word.s;
        take_until(&name, &value, '=');
        if (word.cut || !set(ret, name.s, value))
            return refuse(why, "cannot use the option ", word.s);
    }
    if (ret->address.family == 0)
        return refuse(why, "no address: give it as ip=ADDRESS/BITS", "");
    if (ret->zone.len == 0)
        return refuse(why, "no zone: name it as zone=ZONE", "");
    return true;
}
