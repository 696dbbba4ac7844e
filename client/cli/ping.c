/* Verbs that ask the running agent to look: ping, netcheck. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "proto/linux/clock.h"

#define PINGS_DEFAULT   10
#define PINGS_MAX       1000000
#define TIMEOUT_DEFAULT 5
#define TIMEOUT_MAX     60
#define PAUSE_US        500000

struct ping {
    unsigned long count, timeout_s;
    bool until_direct, json;
    const char *name;
};

/* A whole request to the running agent, and its reply as an object: NULL and *ret_err. */
static json_t *ask(const struct cli *cli, enum sp_agent_verb verb, const char *const *args, size_t n, sp_err *ret,
                   struct spl_error *err) {
    struct spl_state state;
    uint8_t *reply;
    struct sp_rd rd;
    enum sp_op_status status;
    json_t *o = NULL;
    *ret = cli_state(cli, &state, NULL, err);
    if (*ret != SP_OK)
        return NULL;
    *ret = cli_call(&state, verb, args, n, &reply, &rd, &status, err);
    if (*ret == SP_ERR_NOENT) {
        (void)spl_error_set(err, *ret, "no agent is running; start it with: signpost-agent up");
    } else if (*ret == SP_OK) {
        if (status == SP_OP_OK)
            o = cli_json(rd);
        if (o == NULL)
            *ret = cli_reply_error(&rd, err);
        free(reply);
    }
    spl_state_close(&state);
    return o;
}

static bool number_of(const char *text, unsigned long max, unsigned long *ret) {
    char *end;
    errno = 0;
    *ret = strtoul(text, &end, 10);
    return errno == 0 && end != text && *end == 0 && text[0] != '-' && *ret >= 1 && *ret <= max;
}

static int parse(struct ping *p, int argc, char **argv) {
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"until-direct", no_argument, NULL, 'u'},
                                            {"no-until-direct", no_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    int c;
    *p = (struct ping){.count = PINGS_DEFAULT, .timeout_s = TIMEOUT_DEFAULT, .until_direct = true};
    while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        if (c == 'c' && !number_of(optarg, PINGS_MAX, &p->count))
            return cli_usage("ping", "-c %s: not a number from 1 to %d", optarg, PINGS_MAX);
        if (c == 't' && !number_of(optarg, TIMEOUT_MAX, &p->timeout_s))
            return cli_usage("ping", "--timeout %s: not a number of seconds from 1 to %d", optarg, TIMEOUT_MAX);
        if (c == '?')
            return cli_usage("ping", "see above");
        if (c == 'u' || c == 'n')
            p->until_direct = c == 'u';
        p->json |= c == 'j';
    }
    if (optind + 1 != argc)
        return cli_usage("ping", "takes one name");
    p->name = argv[optind];
    return CLI_OK;
}

/* One ping: a pong, or an object whose "error" says why there is none. */
static json_t *ping_once(const struct cli *cli, const struct ping *p, sp_err *ret) {
    char timeout[24];
    struct spl_error err;
    snprintf(timeout, sizeof timeout, "%lu", p->timeout_s * 1000);
    const char *args[] = {p->name, timeout};
    json_t *pong = ask(cli, SP_AGENT_OP_PING, args, 2, ret, &err);
    return pong != NULL ? pong : json_pack("{s:s}", "error", err.text);
}

int cli_ping(const struct cli *cli, int argc, char **argv) {
    struct ping p;
    int r = parse(&p, argc, argv);
    if (r != CLI_OK)
        return r;
    json_t *pings = json_array();
    unsigned long sent = 0, received = 0;
    bool direct = false;
    sp_err e = SP_OK;
    bool final = false; /* a failure that comes before the timeout: no such device, no agent */
    while (sent < p.count && !(direct && p.until_direct) && !final) {
        if (sent > 0)
            usleep(PAUSE_US);
        sp_instant start = spl_now();
        json_t *one = ping_once(cli, &p, &e);
        final = e != SP_OK && spl_now() - start < p.timeout_s * SP_SEC / 2;
        sent++;
        received += e == SP_OK;
        direct = e == SP_OK && json_is_true(json_object_get(one, "direct"));
        if (!p.json && e == SP_OK)
            cli_show_pong(stdout, one);
        else if (!p.json)
            spl_say("%s", json_string_value(json_object_get(one, "error")));
        if (fflush(stdout) != 0 || json_array_append_new(pings, one) != 0)
            break;
    }
    if (p.json)
        r = cli_print_json(json_pack("{s:i, s:s, s:o, s:I, s:I, s:b}", "schema", CLI_JSON_SCHEMA, "name", p.name, "pings", pings,
                                     "sent", (json_int_t)sent, "received", (json_int_t)received, "direct", direct));
    else
        json_decref(pings);
    if (!p.json && received > 0 && p.until_direct && !direct)
        spl_say("not direct after %lu pings; signpost-agent status says why", sent);
    return r == CLI_OK && received > 0 ? CLI_OK : CLI_FAILED;
}

int cli_netcheck(const struct cli *cli, int argc, char **argv) {
    bool json;
    int r = cli_only_json(argc, argv, &json);
    if (r != CLI_OK)
        return r;
    sp_err e;
    struct spl_error err;
    json_t *o = ask(cli, SP_AGENT_OP_NETCHECK, NULL, 0, &e, &err);
    if (o == NULL)
        return cli_fail(&err);
    if (json)
        return cli_print_json(o);
    cli_show_netcheck(stdout, o);
    json_decref(o);
    return fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}
