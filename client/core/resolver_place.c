/* Which names are the resolver's own, and what they stand for. */
#include "client/core/resolver_reply.h"

struct label {
    uint8_t len;
    const char *text;
};

/* Names by which programs look for a proxy or a gateway of their network: whoever could claim one would read their
 * traffic. */
static bool is_reserved(const uint8_t *label) {
    static const struct label reserved[] = {{4, "wpad"}, {6, "isatap"}, {9, "localhost"}, {12, "autodiscover"}};
    for (unsigned i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (label[0] == reserved[i].len && memcmp(label + 1, reserved[i].text, reserved[i].len) == 0)
            return true;
    return false;
}

/* The last label of a name that has one. */
static const uint8_t *last_label(const struct sp_name *name) {
    const uint8_t *at = name->wire;
    for (unsigned i = 1; i < name->labels; i++)
        at += at[0] + 1;
    return at;
}

static enum sp_resolver_place place_in_zone(const struct sp_resolver_config *c, const struct sp_name *name) {
    unsigned above = name->labels - c->zone.labels;
    if (above == 0)
        return SP_PLACE_APEX;
    const uint8_t *label = name->wire;
    for (unsigned i = 1; i < above; i++)
        label += label[0] + 1;
    if (is_reserved(label))
        return SP_PLACE_RESERVED;
    return above == 1 ? SP_PLACE_DEVICE : SP_PLACE_BELOW;
}

/* Hashing for the prefix is left out for names that are not below ip6.arpa. */
static bool is_reverse(const struct sp_resolver_config *c, const struct sp_name *name) {
    static const uint8_t arpa[] = "\3ip6\4arpa"; /* the root's byte is the string's */
    struct sp_name zone;
    if (name->labels < 2 || name->len < sizeof arpa ||
        memcmp(name->wire + name->len - sizeof arpa, arpa, sizeof arpa) != 0)
        return false;
    sp_resolver_reverse_zone(c->root_hash, &zone);
    return sp_name_under(name, &zone);
}

enum sp_resolver_place sp_resolver_place(const struct sp_resolver_config *c, const struct sp_name *name,
                                         struct sp_name *ret) {
    static const uint8_t localhost[] = "\11localhost";
    *ret = *name;
    if (sp_name_under(name, &c->zone))
        return place_in_zone(c, name);
    if (is_reverse(c, name))
        return SP_PLACE_REVERSE;
    if (name->labels == 0)
        return SP_PLACE_ELSEWHERE;
    if (memcmp(last_label(name), localhost, sizeof localhost) == 0)
        return SP_PLACE_LOCALHOST;
    if (name->labels > 1)
        return SP_PLACE_ELSEWHERE;
    if (is_reserved(name->wire))
        return SP_PLACE_RESERVED;
    if (!c->search || sp_name_prepend(ret, name->wire + 1, name->wire[0], &c->zone) != SP_OK)
        return SP_PLACE_ELSEWHERE;
    return SP_PLACE_SHORT;
}

void sp_resolver_reverse_zone(const uint8_t root_hash[SP_ROOT_HASH], struct sp_name *ret) {
    static const char hex[] = "0123456789abcdef";
    static const uint8_t arpa[] = "\3ip6\4arpa";
    uint8_t prefix[8];
    sp_overlay_prefix(root_hash, prefix);
    uint8_t *to = ret->wire;
    for (unsigned i = 8; i-- > 0;) {
        *to++ = 1;
        *to++ = (uint8_t)hex[prefix[i] & 15];
        *to++ = 1;
        *to++ = (uint8_t)hex[prefix[i] >> 4];
    }
    memcpy(to, arpa, sizeof arpa);
    ret->len = (uint8_t)(32 + sizeof arpa);
    ret->labels = 18;
}
