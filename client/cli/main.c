#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/cli.h"
#include "proto/crypto/crypto.h"

static const char help[] =
    "usage: signpost-agent [--state DIR] VERB [OPTION]...\n"
    "\n"
    "Gives this device one name that always points to it, and a way to the zone's other devices.\n"
    "\n"
    "  join                  join a zone; the invite token is read from standard input\n"
    "  up                    keep the name registered and the overlay up, in the foreground\n"
    "    --register-only     no overlay: needs neither root nor CAP_NET_ADMIN\n"
    "    --interface NAME    of the overlay's network device (default signpost0)\n"
    "    --port PORT         use this UDP port (default: any)\n"
    "    --dns MODE          how programs find the zone's names: resolved, resolvconf, nss, none\n"
    "                        (default: auto, the first of them that this host has)\n"
    "    --no-relay          only direct paths\n"
    "    --no-direct         only the relay; this device's addresses are not shown to others\n"
    "    --candidate ADDR:PORT  others may reach this device there too (may be repeated)\n"
    "    --stun ADDR[:PORT]  a STUN server to learn the network's behaviour from (may be repeated)\n"
    "    --userspace         no network device, no privileges: this zone's devices are reached by a proxy or\n"
    "                        forwards, and reach what is served; with it:\n"
    "    --proxy [ADDR:]PORT SOCKS5 and HTTP CONNECT there (default 127.0.0.1:1080; may be repeated; none)\n"
    "    --forward [ADDR:]PORT:NAME:PORT  this port here is that port of a device (may be repeated)\n"
    "    --serve PORT[:[ADDR:]PORT]  the zone's devices may connect to this port (may be repeated)\n"
    "    --no-udp            reach the signpost over TCP alone (for debugging)\n"
    "    --publish ADDR      publish this address too (may be repeated)\n"
    "    --publish-private   publish private addresses of this device as well\n"
    "    --no-publish        publish none of this device's addresses by itself\n"
    "    --lease SECONDS     ask for a lease of so long (30 to 86400; default 3600)\n"
    "  down                  stop `up` and withdraw the published addresses\n"
    "  leave [--force]       remove this device from its zone and forget its key\n"
    "                        (--force: forget it even if the signpost cannot be told)\n"
    "  status                the peers and their paths, the session, the network\n"
    "  ping NAME             reach a device, until the path is direct or 10 pings are done\n"
    "    -c N                at most so many pings\n"
    "    --no-until-direct   all of them\n"
    "    --timeout SECONDS   to wait for each (1 to 60; default 5)\n"
    "  netcheck              look at the network: what gets through, and how a NAT behaves\n"
    "  resolve NAME          ask for a name's addresses\n"
    "    --server ADDR[:PORT]\n"
    "  version, help\n"
    "\n"
    "join, down, leave, status, ping, netcheck, resolve and version take --json.\n"
    "State is kept in /var/lib/signpost-agent (root) or $XDG_STATE_HOME/signpost-agent.\n"
    "Exit status: 0 done, 1 failed or not running, 2 wrong usage.\n";

static int cli_version(const struct cli *cli, int argc, char **argv) {
    bool json;
    int r = cli_only_json(argc, argv, &json);
    if (r != CLI_OK)
        return r;
    if (json)
        return cli_print_json(json_pack("{s:i, s:s}", "schema", CLI_JSON_SCHEMA, "version", SIGNPOST_VERSION));
    return printf("signpost-agent %s\n", SIGNPOST_VERSION) < 0 || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}

static int cli_help(const struct cli *cli, int argc, char **argv) {
    return fputs(help, stdout) < 0 || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}

static const struct verb {
    const char *name;
    int (*run)(const struct cli *cli, int argc, char **argv);
} verbs[] = {
    {"join", cli_join},     {"up", cli_up},           {"down", cli_down},       {"leave", cli_leave},
    {"status", cli_status}, {"ping", cli_ping},       {"netcheck", cli_netcheck},
    {"resolve", cli_resolve}, {"version", cli_version}, {"help", cli_help},
};

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"state", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    struct cli cli = {NULL};
    int c;
    while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
        switch (c) {
        case 's':
            cli.state = optarg;
            break;
        case 'h':
            return cli_help(&cli, 1, argv);
        case 'v':
            return cli_version(&cli, 1, argv);
        default:
            return cli_usage(NULL, "see above");
        }
    }
    if (optind == argc)
        return cli_usage(NULL, "a verb is missing");
    spl_secrets_protect();
    if (sp_crypto_init() != SP_OK) {
        spl_say("the crypto library does not start");
        return CLI_FAILED;
    }
    const char *name = argv[optind];
    int verb_argc = argc - optind;
    char **verb_argv = argv + optind;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0) {
            optind = 0; /* glibc: start over */
            return verbs[i].run(&cli, verb_argc, verb_argv);
        }
    return cli_usage(NULL, "there is no verb %s", name);
}
