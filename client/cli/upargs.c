#define _GNU_SOURCE
#include "client/cli/upargs.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "client/cli/cli.h"
#include "client/core/presence.h"
#include "proto/linux/addr.h"

#define LEASE_MAX 86400
#define STUN_PORT 3478

#define LENGTH(a) (sizeof(a) / sizeof *(a))

struct up {
    struct sp_agent_config *config;
    struct spl_agent_options *options;
    struct cli_user *user;
    bool dns_asked;
    bool overlay_asked; /* some option is about the overlay alone */
};

static int add_published(struct up *u, const char *text) {
    struct sp_agent_config *c = u->config;
    struct sp_addr addr;
    if (spl_addr_parse(&addr, text, 0) != SP_OK || addr.port != 0)
        return cli_usage("up", "--publish %s: not an IP address", text);
    if (!sp_addr_publishable(&addr))
        return cli_usage("up", "--publish %s: not an address of one device", text);
    if (c->publish_count == SP_AGENT_PUBLISH_MAX)
        return cli_usage("up", "--publish: at most %d addresses", SP_AGENT_PUBLISH_MAX);
    c->publish[c->publish_count++] = addr;
    return CLI_OK;
}

static int add_stun(struct up *u, const char *text) {
    struct sp_overlay_config *o = &u->config->overlay;
    struct sp_addr addr;
    if (spl_addr_parse(&addr, text, STUN_PORT) != SP_OK || addr.port == 0)
        return cli_usage("up", "--stun %s: not an IP address", text);
    if (o->stun_count == LENGTH(o->stun))
        return cli_usage("up", "--stun: at most %zu servers", LENGTH(o->stun));
    o->stun[o->stun_count++] = addr;
    return CLI_OK;
}

static int add_candidate(struct up *u, const char *text) {
    struct sp_overlay_config *o = &u->config->overlay;
    struct sp_candidate c = {.kind = SP_CAND_OWNER};
    if (spl_addr_parse(&c.addr, text, 0) != SP_OK || c.addr.port == 0)
        return cli_usage("up", "--candidate %s: not an IP address with a port", text);
    if (!sp_candidate_dialable(&c.addr))
        return cli_usage("up", "--candidate %s: not an address that others can reach", text);
    if (o->extra_count == LENGTH(o->extra))
        return cli_usage("up", "--candidate: at most %zu addresses", LENGTH(o->extra));
    o->extra[o->extra_count++] = c;
    return CLI_OK;
}

static bool number_of(const char *text, unsigned long min, unsigned long max, unsigned long *ret) {
    char *end;
    errno = 0;
    *ret = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == 0 && text[0] != '-' && *ret >= min && *ret <= max;
}

static int set_lease(struct up *u, const char *text) {
    unsigned long v;
    if (!number_of(text, SP_AGENT_LEASE_MIN, LEASE_MAX, &v))
        return cli_usage("up", "--lease %s: not a number of seconds from %d to %d", text, SP_AGENT_LEASE_MIN, LEASE_MAX);
    u->config->lease_s = (uint32_t)v;
    return CLI_OK;
}

static int set_port(struct up *u, const char *text) {
    unsigned long v;
    if (!number_of(text, 1, UINT16_MAX, &v))
        return cli_usage("up", "--port %s: not a port", text);
    u->options->port = (uint16_t)v;
    return CLI_OK;
}

static int set_dns(struct up *u, const char *text) {
    u->dns_asked = true;
    if (spl_dns_mode_parse(text, &u->options->dns) != SP_OK)
        return cli_usage("up", "--dns %s: not one of auto, resolved, resolvconf, nss, none", text);
    return CLI_OK;
}

/* Options of the overlay. */
static int take_overlay(struct up *u, int c) {
    struct sp_overlay_config *o = &u->config->overlay;
    u->overlay_asked = true;
    switch (c) {
    case 'i':
        u->options->interface = optarg;
        return CLI_OK;
    case 'o':
        return set_port(u, optarg);
    case 'R':
        o->no_relay = true;
        return CLI_OK;
    case 'D':
        o->no_direct = true;
        return CLI_OK;
    case 'U':
        o->no_udp = true;
        return CLI_OK;
    case 'd':
        return set_dns(u, optarg);
    case 's':
        return add_stun(u, optarg);
    case 'c':
        return add_candidate(u, optarg);
    case 'u':
        o->userspace.on = true;
        return CLI_OK;
    case 'y':
        return cli_user_proxy(u->user, optarg);
    case 'f':
        return cli_user_forward(u->user, optarg);
    case 'S':
        return cli_user_serve(u->user, optarg);
    default:
        return cli_usage("up", "see above");
    }
}

static int take(struct up *u, int c) {
    switch (c) {
    case 'p':
        return add_published(u, optarg);
    case 'n':
        u->config->publish_auto = false;
        return CLI_OK;
    case 'P':
        u->config->publish_private = true;
        return CLI_OK;
    case 'l':
        return set_lease(u, optarg);
    case 'r':
        u->config->overlay.on = false;
        return CLI_OK;
    case 'x':
        u->options->record = optarg;
        return CLI_OK;
    default:
        return take_overlay(u, c);
    }
}

/* Options that leave nothing to do, or that are about something else than another. */
static int check(const struct up *u) {
    const struct sp_agent_config *c = u->config;
    if (!c->publish_auto && c->publish_private)
        return cli_usage("up", "--no-publish and --publish-private contradict each other");
    if (!c->overlay.on && u->overlay_asked)
        return cli_usage("up", "--register-only has no overlay, which other options are about");
    if (c->overlay.no_relay && c->overlay.no_direct)
        return cli_usage("up", "--no-relay and --no-direct leave no path");
    if (c->overlay.userspace.on && (u->options->interface != NULL || u->dns_asked))
        return cli_usage("up", "--userspace has no network device and leaves the host's names alone: no --interface, no --dns");
    return cli_user_complete(u->user);
}

int cli_up_args(struct sp_agent_config *config, struct spl_agent_options *options, struct cli_user *user, int argc, char **argv) {
    static const struct option list[] = {
        {"publish", required_argument, NULL, 'p'},   {"no-publish", no_argument, NULL, 'n'},
        {"publish-private", no_argument, NULL, 'P'}, {"lease", required_argument, NULL, 'l'},
        {"register-only", no_argument, NULL, 'r'},   {"interface", required_argument, NULL, 'i'},
        {"port", required_argument, NULL, 'o'},      {"no-relay", no_argument, NULL, 'R'},
        {"no-direct", no_argument, NULL, 'D'},       {"no-udp", no_argument, NULL, 'U'},
        {"stun", required_argument, NULL, 's'},
        {"dns", required_argument, NULL, 'd'},
        {"candidate", required_argument, NULL, 'c'},
        {"userspace", no_argument, NULL, 'u'},
        {"proxy", required_argument, NULL, 'y'},
        {"forward", required_argument, NULL, 'f'},
        {"serve", required_argument, NULL, 'S'},
#ifdef SPL_RECORD
        {"record", required_argument, NULL, 'x'},
#endif
        {NULL, 0, NULL, 0},
    };
    struct up u = {.config = config, .options = options, .user = user};
    int c, r = CLI_OK;
    user->config = &config->overlay.userspace;
    config->publish_auto = config->overlay.on = true;
    while (r == CLI_OK && (c = getopt_long(argc, argv, "", list, NULL)) != -1)
        r = take(&u, c);
    if (r == CLI_OK && optind != argc)
        r = cli_usage("up", "takes no argument");
    return r == CLI_OK ? check(&u) : r;
}
