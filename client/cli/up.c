#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/core/presence.h"
#include "proto/linux/addr.h"
#include "proto/linux/clock.h"

#define LEASE_MAX 86400

static int add_address(struct sp_agent_config *config, const char *text) {
    struct sp_addr addr;
    if (spl_addr_parse(&addr, text, 0) != SP_OK || addr.port != 0)
        return cli_usage("up", "--publish %s: not an IP address", text);
    if (!sp_addr_publishable(&addr))
        return cli_usage("up", "--publish %s: not an address of one device", text);
    if (config->publish_count == SP_AGENT_PUBLISH_MAX)
        return cli_usage("up", "--publish: at most %d addresses", SP_AGENT_PUBLISH_MAX);
    config->publish[config->publish_count++] = addr;
    return CLI_OK;
}

static int set_lease(struct sp_agent_config *config, const char *text) {
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || text[0] == '-' || v < SP_AGENT_LEASE_MIN || v > LEASE_MAX)
        return cli_usage("up", "--lease %s: not a number of seconds from %d to %d", text, SP_AGENT_LEASE_MIN,
                         LEASE_MAX);
    config->lease_s = (uint32_t)v;
    return CLI_OK;
}

static int set_port(struct spl_agent_options *options, const char *text) {
    char *end;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || text[0] == '-' || v == 0 || v > UINT16_MAX)
        return cli_usage("up", "--port %s: not a port", text);
    options->port = (uint16_t)v;
    return CLI_OK;
}

static int parse(struct sp_agent_config *config, struct spl_agent_options *options_ret, int argc, char **argv) {
    static const struct option options[] = {
        {"publish", required_argument, NULL, 'p'},
        {"no-publish", no_argument, NULL, 'n'},
        {"publish-private", no_argument, NULL, 'P'},
        {"lease", required_argument, NULL, 'l'},
        {"register-only", no_argument, NULL, 'r'},
        {"interface", required_argument, NULL, 'i'},
        {"port", required_argument, NULL, 'o'},
#ifdef SPL_RECORD
        {"record", required_argument, NULL, 'R'},
#endif
        {NULL, 0, NULL, 0},
    };
    int c, r = CLI_OK;
    config->publish_auto = config->overlay.on = true;
    while (r == CLI_OK && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'p':
            r = add_address(config, optarg);
            break;
        case 'n':
            config->publish_auto = false;
            break;
        case 'P':
            config->publish_private = true;
            break;
        case 'l':
            r = set_lease(config, optarg);
            break;
        case 'r':
            config->overlay.on = false;
            break;
        case 'i':
            options_ret->interface = optarg;
            break;
        case 'o':
            r = set_port(options_ret, optarg);
            break;
        case 'R':
            options_ret->record = optarg;
            break;
        default:
            r = cli_usage("up", "see above");
        }
    }
    if (r == CLI_OK && !config->publish_auto && config->publish_private)
        return cli_usage("up", "--no-publish and --publish-private contradict each other");
    return r == CLI_OK && optind != argc ? cli_usage("up", "takes no argument") : r;
}

static int serve(const struct spl_state *state, struct sp_agent_config *config, const struct spl_agent_options *options) {
    struct spl_agent *agent;
    struct spl_error err;
    char name[SP_NAME_TEXT_MAX];
    cli_name_text(&config->id.name, name);
    sp_err e = spl_agent_new(&agent, state, config, options, &err);
    sp_wipe(config, sizeof *config);
    if (e != SP_OK)
        return cli_fail(&err);
    if (spl_agent_serve(agent, &err) != SP_OK) {
        spl_agent_free(agent);
        return cli_fail(&err);
    }
    spl_say("this device is %s", name);
    e = spl_agent_up(agent);
    SP_ASSERT(e == SP_OK);
    struct sp_agent_status s;
    int r = spl_agent_run(agent, &s);
    spl_agent_free(agent);
    if (s.state == SP_AGENT_UP && s.published_count > 0)
        spl_say("stopped; the published addresses stay until their lease ends, or until: signpost-agent down");
    return r == 0 ? CLI_OK : CLI_FAILED;
}

int cli_up(const struct cli *cli, int argc, char **argv) {
    struct sp_agent_config config = {0};
    struct spl_agent_options options = {0};
    int r = parse(&config, &options, argc, argv);
    if (r != CLI_OK)
        return r;
    struct spl_state state;
    struct spl_error err;
    if (cli_state(cli, &state, &config.id, &err) != SP_OK)
        return cli_fail(&err);
    if (spl_state_lock(&state, &err) != SP_OK)
        r = cli_fail(&err);
    else
        r = serve(&state, &config, &options);
    sp_wipe(&config, sizeof config);
    spl_state_close(&state);
    return r;
}
