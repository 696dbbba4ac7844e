#define _GNU_SOURCE
#include "client/cli/upuser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/core/directory.h"
#include "proto/linux/addr.h"

#define PROXY_PORT 1080

static bool port_of(const char *text, uint16_t *ret) {
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    *ret = (uint16_t)v;
    return end != text && *end == 0 && text[0] >= '0' && text[0] <= '9' && v > 0 && v <= UINT16_MAX;
}

/* "[ADDR:]PORT"; without an address, the loopback's. */
static bool place_of(const char *text, struct sp_addr *ret) {
    *ret = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}};
    return port_of(text, &ret->port) || (spl_addr_parse(ret, text, 0) == SP_OK && ret->port != 0);
}

static bool is_loopback(const struct sp_addr *a) {
    static const uint8_t one[16] = {[15] = 1};
    return a->family == 4 ? a->ip[0] == 127 : memcmp(a->ip, one, 16) == 0;
}

/* A place to listen at; nobody else is there. */
static int listen_at(struct cli_user *u, const char *option, const char *text, struct sp_addr *ret) {
    const struct sp_userspace_config *c = u->config;
    char addr[SPL_ADDR_TEXT];
    if (!place_of(text, ret))
        return cli_usage("up", "%s %s: not a port to listen at", option, text);
    bool taken = false;
    for (unsigned i = 0; i < c->proxy_count; i++)
        taken = taken || memcmp(&c->proxies[i], ret, sizeof *ret) == 0;
    for (unsigned i = 0; i < c->forward_count; i++)
        taken = taken || memcmp(&c->forwards[i].listen, ret, sizeof *ret) == 0;
    if (taken)
        return cli_usage("up", "%s %s: this port is given already", option, text);
    if (!is_loopback(ret))
        spl_say("warning: whoever reaches %s can use this device's way into the zone", spl_addr_text(ret, addr));
    return CLI_OK;
}

int cli_user_proxy(struct cli_user *u, const char *text) {
    struct sp_userspace_config *c = u->config;
    struct sp_addr at;
    u->asked = true;
    if (strcmp(text, "none") == 0) {
        u->no_proxy = true;
        return CLI_OK;
    }
    if (c->proxy_count == SP_USERSPACE_PROXIES)
        return cli_usage("up", "--proxy: at most %d addresses", SP_USERSPACE_PROXIES);
    int r = listen_at(u, "--proxy", text, &at);
    if (r == CLI_OK)
        c->proxies[c->proxy_count++] = at;
    return r;
}

/* Cuts the last field off; NULL: there is none. */
static char *last_field(char *text) {
    char *colon = strrchr(text, ':');
    if (colon == NULL)
        return NULL;
    *colon = 0;
    return colon + 1;
}

int cli_user_forward(struct cli_user *u, const char *text) {
    struct sp_userspace_config *c = u->config;
    struct sp_userspace_forward f = {.port = 0};
    char copy[512];
    u->asked = true;
    if (c->forward_count == SP_USERSPACE_FORWARDS)
        return cli_usage("up", "--forward: at most %d", SP_USERSPACE_FORWARDS);
    snprintf(copy, sizeof copy, "%s", text);
    char *port = last_field(copy), *name = last_field(copy);
    if (strlen(text) >= sizeof copy || port == NULL || name == NULL || name[0] == 0 ||
        strlen(name) >= sizeof u->names[0] || !port_of(port, &f.port))
        return cli_usage("up", "--forward %s: not [ADDR:]PORT:NAME:PORT", text);
    int r = listen_at(u, "--forward", copy, &f.listen);
    if (r != CLI_OK)
        return r;
    snprintf(u->names[c->forward_count], sizeof u->names[0], "%s", name);
    c->forwards[c->forward_count++] = f;
    return CLI_OK;
}

int cli_user_serve(struct cli_user *u, const char *text) {
    struct sp_userspace_config *c = u->config;
    struct sp_userspace_serve s = {.port = 0};
    char copy[256];
    u->asked = true;
    if (c->serve_count == SP_USERSPACE_SERVES)
        return cli_usage("up", "--serve: at most %d ports", SP_USERSPACE_SERVES);
    snprintf(copy, sizeof copy, "%s", text);
    char *target = strchr(copy, ':');
    if (target != NULL)
        *target++ = 0;
    else
        target = copy;
    if (strlen(text) >= sizeof copy || !port_of(copy, &s.port) || !place_of(target, &s.target) ||
        spl_addr_is_any(&s.target))
        return cli_usage("up", "--serve %s: not PORT[:TARGET], a target being PORT or ADDR:PORT", text);
    for (unsigned i = 0; i < c->serve_count; i++)
        if (c->serves[i].port == s.port)
            return cli_usage("up", "--serve %s: port %u is served already", text, s.port);
    c->serves[c->serve_count++] = s;
    return CLI_OK;
}

int cli_user_complete(struct cli_user *u) {
    struct sp_userspace_config *c = u->config;
    if (!c->on)
        return u->asked ? cli_usage("up", "--proxy, --forward and --serve are about --userspace") : CLI_OK;
    if (u->no_proxy && c->proxy_count > 0)
        return cli_usage("up", "--proxy none and another --proxy contradict each other");
    if (!u->no_proxy && c->proxy_count == 0)
        c->proxies[c->proxy_count++] = (struct sp_addr){.family = 4, .ip = {127, 0, 0, 1}, .port = PROXY_PORT};
    return CLI_OK;
}

int cli_user_names(struct cli_user *u, const struct sp_name *zone) {
    char text[SP_NAME_TEXT_MAX];
    cli_name_text(zone, text);
    for (unsigned i = 0; i < u->config->forward_count; i++)
        if (!sp_directory_read(zone, u->names[i], strlen(u->names[i]), &u->config->forwards[i].name))
            return cli_usage("up", "--forward: %s is no device of %s", u->names[i], text);
    return CLI_OK;
}
