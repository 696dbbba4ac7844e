/* The one-shots of a device that has joined: down and leave. A running agent does them; else this process does. */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/linux/tun.h"
#include "proto/linux/clock.h"

/* What the end of a one-shot was: filled from the running agent's reply or from our own core. */
struct ending {
    bool done, refused;
    char why[256];
};

static void ending_from_reply(struct sp_rd rd, struct ending *ret) {
    struct sp_op_item item;
    unsigned depth = 0; /* lists and records have keys of their own */
    while (sp_op_next(&rd, &item) == SP_OK) {
        depth += item.kind == SP_OP_LIST || item.kind == SP_OP_RECORD;
        depth -= item.kind == SP_OP_END;
        if (item.kind != SP_OP_STR || depth > 0)
            continue;
        if (strcmp(item.key, "state") == 0) {
            ret->done = item.len == 4 && memcmp(item.data, "done", 4) == 0;
            ret->refused = item.len == 7 && memcmp(item.data, "refused", 7) == 0;
        }
        if (strcmp(item.key, "last_ede_text") == 0 || (strcmp(item.key, "last_error") == 0 && ret->why[0] == 0))
            snprintf(ret->why, sizeof ret->why, "%.*s", (int)item.len, (const char *)item.data);
    }
}

/* ERR_NOENT: no agent runs. */
static sp_err ask_running(const struct spl_state *state, enum sp_agent_verb verb, struct ending *ret,
                          struct spl_error *err) {
    uint8_t *reply;
    struct sp_rd rd;
    enum sp_op_status status;
    SP_TRY(cli_call(state, verb, NULL, 0, &reply, &rd, &status, err));
    sp_err e = SP_OK;
    if (status != SP_OP_OK)
        e = cli_reply_error(&rd, err);
    else
        ending_from_reply(rd, ret);
    free(reply);
    if (e == SP_OK && !ret->done)
        spl_say("%s: %s", verb == SP_AGENT_OP_DOWN ? "could not withdraw" : "could not leave", ret->why);
    return e;
}

static sp_err do_ourselves(struct spl_state *state, const struct sp_agent_identity *id, enum sp_agent_verb verb,
                           struct ending *ret, struct spl_error *err) {
    struct sp_agent_config config = {.id = *id};
    struct sp_agent_status s;
    struct spl_agent *agent;
    sp_err e = spl_agent_new(&agent, state, &config, NULL, err);
    sp_wipe(&config, sizeof config);
    SP_TRY(e);
    struct sp_agent *core = spl_agent_core(agent);
    e = verb == SP_AGENT_OP_DOWN ? sp_agent_down(core, spl_now()) : sp_agent_leave(core, spl_now());
    SP_ASSERT(e == SP_OK);
    (void)spl_agent_run(agent, &s);
    spl_agent_free(agent);
    ret->done = s.state == SP_AGENT_DONE;
    ret->refused = s.state == SP_AGENT_REFUSED;
    if (!ret->done)
        cli_explain(&s, verb == SP_AGENT_OP_DOWN ? "could not withdraw" : "could not leave");
    return SP_OK;
}

/* The lock is ours once the running agent has ended. */
static sp_err lock_soon(struct spl_state *state, struct spl_error *err) {
    sp_err e = spl_state_lock(state, err);
    for (unsigned i = 0; i < 50 && e == SP_ERR_EXIST; i++) {
        usleep(100 * 1000);
        e = spl_state_lock(state, err);
    }
    return e;
}

static sp_err run(const struct cli *cli, struct spl_state *state, struct sp_agent_identity *id, enum sp_agent_verb verb,
                  struct ending *ret, bool *ret_ran, struct spl_error *err) {
    *ret = (struct ending){0};
    SP_TRY(cli_state(cli, state, id, err));
    sp_err e = ask_running(state, verb, ret, err);
    *ret_ran = e != SP_ERR_NOENT;
    if (e == SP_OK)
        return lock_soon(state, err);
    if (e != SP_ERR_NOENT)
        return e;
    SP_TRY(spl_state_lock(state, err));
    spl_dns_hook_heal(SPL_TUN_NAME); /* a killed agent may have left its resolver set */
    return do_ourselves(state, id, verb, ret, err);
}

static int print_done(bool json, const char *word, const struct sp_name *name) {
    char text[SP_NAME_TEXT_MAX];
    cli_name_text(name, text);
    if (json)
        return cli_print_json(json_pack("{s:i, s:s, s:s}", "schema", CLI_JSON_SCHEMA, "result", word, "name", text));
    return printf("%s: %s\n", text, word) < 0 || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}

int cli_down(const struct cli *cli, int argc, char **argv) {
    bool json, ran;
    int r = cli_only_json(argc, argv, &json);
    if (r != CLI_OK)
        return r;
    struct spl_state state = {.dirfd = -1};
    struct sp_agent_identity id;
    struct ending ending;
    struct spl_error err;
    if (run(cli, &state, &id, SP_AGENT_OP_DOWN, &ending, &ran, &err) != SP_OK)
        r = cli_fail(&err);
    else if (ending.done)
        r = print_done(json, "down", &id.name);
    else
        r = CLI_FAILED;
    if (r != CLI_OK && ran)
        spl_say("the agent has stopped; addresses that could not be withdrawn stay until their lease ends");
    sp_wipe(&id, sizeof id);
    spl_state_close(&state);
    return r;
}

static int forget(const struct spl_state *state, bool json, const struct sp_name *name) {
    struct spl_error err;
    if (spl_state_forget(state, &err) != SP_OK)
        return cli_fail(&err);
    return print_done(json, "left", name);
}

int cli_leave(const struct cli *cli, int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"force", no_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
    bool json = false, force = false, ran;
    int c, r = CLI_OK;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c != 'j' && c != 'f')
            return cli_usage("leave", "unknown option");
        json |= c == 'j';
        force |= c == 'f';
    }
    if (optind != argc)
        return cli_usage("leave", "takes no argument");
    struct spl_state state = {.dirfd = -1};
    struct sp_agent_identity id;
    struct ending ending;
    struct spl_error err;
    if (run(cli, &state, &id, SP_AGENT_OP_LEAVE, &ending, &ran, &err) != SP_OK)
        r = cli_fail(&err);
    else if (ending.done || force)
        r = forget(&state, json, &id.name);
    else
        r = CLI_FAILED;
    if (r != CLI_OK && state.dirfd >= 0)
        spl_say("the key is still here; run leave again, or leave --force to forget it without telling the signpost");
    sp_wipe(&id, sizeof id);
    spl_state_close(&state);
    return r;
}
