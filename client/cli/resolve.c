#define _GNU_SOURCE
#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>

#include "client/cli/cli.h"
#include "proto/linux/addr.h"

#define TIMEOUT_MS 2000
#define TRIES      3

struct lookup {
    bool done;
    int status;
    struct ares_addrinfo *result;
};

static void on_result(void *ctx, int status, int timeouts, struct ares_addrinfo *result) {
    struct lookup *l = ctx;
    l->done = true;
    l->status = status;
    l->result = result;
}

static void wait_for(ares_channel channel, struct lookup *l) {
    while (!l->done) {
        fd_set rd, wr;
        FD_ZERO(&rd);
        FD_ZERO(&wr);
        int n = ares_fds(channel, &rd, &wr);
        struct timeval cap = {1, 0}, tv;
        if (select(n, &rd, &wr, NULL, ares_timeout(channel, &cap, &tv)) < 0) {
            FD_ZERO(&rd);
            FD_ZERO(&wr);
        }
        ares_process(channel, &rd, &wr);
    }
}

/* The servers to ask, as c-ares wants them: the one given; else, for names of the zone that this device is in, its
 * signpost, so that they never reach a stranger; else none: the system's. */
static void choose_servers(const struct cli *cli, const struct sp_addr *given, const struct sp_name *name, char *ret,
                           size_t cap) {
    struct spl_state state;
    struct sp_agent_identity id;
    char addr[SPL_ADDR_TEXT];
    ret[0] = 0;
    if (given->family != 0) {
        snprintf(ret, cap, "%s", spl_addr_text(given, addr));
        return;
    }
    if (cli_state(cli, &state, &id, NULL) != SP_OK)
        return;
    for (unsigned i = 0; sp_name_under(name, &id.zone) && i < id.addr_count; i++) {
        size_t len = strlen(ret);
        snprintf(ret + len, cap - len, "%s%s", len > 0 ? "," : "", spl_addr_text(&id.addrs[i], addr));
    }
    sp_wipe(&id, sizeof id);
    spl_state_close(&state);
}

/* One row of the result. */
static json_t *row(const struct ares_addrinfo_node *node) {
    char text[INET6_ADDRSTRLEN] = "";
    bool v6 = node->ai_family == AF_INET6;
    const void *ip = v6 ? (const void *)&((struct sockaddr_in6 *)(void *)node->ai_addr)->sin6_addr
                        : (const void *)&((struct sockaddr_in *)(void *)node->ai_addr)->sin_addr;
    inet_ntop(node->ai_family, ip, text, sizeof text);
    return json_pack("{s:s, s:s, s:i}", "type", v6 ? "AAAA" : "A", "address", text, "ttl", node->ai_ttl);
}

static int print(const struct ares_addrinfo *result, const char *name, bool json) {
    json_t *rows = json_array(), *o;
    size_t i;
    for (const struct ares_addrinfo_node *n = result->nodes; n != NULL; n = n->ai_next)
        if (n->ai_family == AF_INET || n->ai_family == AF_INET6)
            json_array_append_new(rows, row(n));
    if (json)
        return cli_print_json(json_pack("{s:i, s:s, s:o}", "schema", CLI_JSON_SCHEMA, "name", name, "addresses", rows));
    json_array_foreach(rows, i, o) printf("%s %s %s\n", name, json_string_value(json_object_get(o, "type")),
                                          json_string_value(json_object_get(o, "address")));
    json_decref(rows);
    return fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}

static int explain(int status, const char *name, const char *servers) {
    const char *who = servers[0] != 0 ? servers : "the system's resolver";
    switch (status) {
    case ARES_ENOTFOUND:
        spl_say("%s does not exist, says %s; check the spelling", name, who);
        break;
    case ARES_ENODATA:
        spl_say("%s has no address, says %s; is its agent up?", name, who);
        break;
    default:
        spl_say("could not resolve %s at %s: %s; check the network, or give another --server", name, who,
                ares_strerror(status));
    }
    return CLI_FAILED;
}

static int lookup(const char *name, const char *servers, bool json) {
    static char only_dns[] = "b";
    struct ares_options options = {.timeout = TIMEOUT_MS, .tries = TRIES, .lookups = only_dns};
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};
    struct lookup l = {0};
    ares_channel channel;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS);
    if (status != ARES_SUCCESS) {
        spl_say("the resolver does not start: %s", ares_strerror(status));
        return CLI_FAILED;
    }
    if (servers[0] != 0)
        status = ares_set_servers_ports_csv(channel, servers);
    if (status == ARES_SUCCESS) {
        char absolute[SP_NAME_TEXT_MAX + 1];
        snprintf(absolute, sizeof absolute, "%s.", name); /* no search list */
        ares_getaddrinfo(channel, absolute, NULL, &hints, on_result, &l);
        wait_for(channel, &l);
        status = l.status;
    }
    int r = status == ARES_SUCCESS ? print(l.result, name, json) : explain(status, name, servers);
    if (l.result != NULL)
        ares_freeaddrinfo(l.result);
    ares_destroy(channel);
    ares_library_cleanup();
    return r;
}

int cli_resolve(const struct cli *cli, int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"server", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    struct sp_addr server = {0};
    bool json = false;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'j')
            json = true;
        else if (c != 's')
            return cli_usage("resolve", "see above");
        else if (spl_addr_parse(&server, optarg, 53) != SP_OK)
            return cli_usage("resolve",
                             "--server %s: not an address; write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53", optarg);
    }
    struct sp_name name;
    if (optind + 1 != argc)
        return cli_usage("resolve", "takes one name");
    if (sp_name_from_text(&name, argv[optind], strlen(argv[optind]), NULL) != SP_OK || name.labels == 0)
        return cli_usage("resolve", "%s: not a domain name", argv[optind]);
    char text[SP_NAME_TEXT_MAX], servers[SP_TOKEN_ADDRS * SPL_ADDR_TEXT + 8];
    choose_servers(cli, &server, &name, servers, sizeof servers);
    cli_name_text(&name, text);
    return lookup(text, servers, json);
}
