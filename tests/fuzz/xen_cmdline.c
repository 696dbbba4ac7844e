/* The guest's options. What stands before the first "--" is the command line, the rest is vm-data/signpost. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "unikernel/host/cmdline.h"

static void check(bool ok) {
    if (!ok)
        abort();
}

static void check_ip(const struct spx_ip *ip, uint8_t family) {
    if (ip->how == SPX_IP_STATIC)
        check(ip->addr.family == family && ip->bits > 0 && ip->bits <= (family == 4 ? 32 : 128));
}

/* What a host may rely on. */
static void check_options(const struct spx_cmdline *c) {
    check(c->zone.len > 0 && !c->zone.cut && strlen(c->zone.s) == c->zone.len);
    check(c->ip.how != SPX_IP_NONE || c->ip6.how != SPX_IP_NONE);
    check_ip(&c->ip, 4);
    check_ip(&c->ip6, 6);
    check(c->gw.family == 0 || (c->gw.family == 4 && c->ip.how == SPX_IP_STATIC));
    check(c->gw6.family == 0 || (c->gw6.family == 6 && c->ip6.how == SPX_IP_STATIC));
    check(c->public.count <= SPX_PUBLIC_MAX && c->operators.count <= SPX_OPERATORS_MAX);
    check(c->ports.count > 0 && c->ports.count <= SP_NET_PORTS);
    for (unsigned i = 0; i < c->ports.count; i++)
        check(c->ports.list[i] != 0);
    check(c->syslog.family == 0 || c->syslog.port != 0);
    check(c->disk.len == 0 || c->disk.len == 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct spx_cmdline c = {0};
    struct spx_text text = {0};
    size_t first = 0;
    while (first < size && (first + 2 > size || memcmp(data + first, "--", 2) != 0))
        first++;
    size_t second = size > first + 2 ? size - first - 2 : 0;
    char *a = malloc(first + (first == 0)), *b = malloc(second + (second == 0)); /* reading past them is seen */
    memcpy(a, data, first);
    memcpy(b, data + size - second, second);
    bool ok = spx_cmdline_read(&c, SPX_FROM_COMMAND_LINE, a, first, &text) &&
              spx_cmdline_read(&c, SPX_FROM_VM_DATA, b, second, &text) && spx_cmdline_finish(&c, &text);
    if (ok) {
        check_options(&c);
        spx_cmdline_differ(&c, &text);
    } else {
        check(text.len > 0 && !text.cut);
    }
    for (size_t i = 0; i < text.len; i++)
        check(text.s[i] >= ' ' && text.s[i] < 127);
    free(a);
    free(b);
    return 0;
}
