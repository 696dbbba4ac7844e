#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "proto/linux/addr.h"
#include "proto/linux/clock.h"
#include "proto/linux/file.h"

static sp_err read_token(struct sp_token *ret, struct spl_error *err) {
    uint8_t *data;
    size_t len;
    if (isatty(STDIN_FILENO))
        fputs("Paste the invite token, then press Enter and Ctrl-D:\n", stderr);
    sp_err e = spl_file_read(AT_FDCWD, "-", SP_TOKEN_TEXT_MAX + 64, &data, &len, err);
    if (e == SP_ERR_FULL)
        return spl_error_set(err, e, "what came on standard input is too long for an invite token");
    SP_TRY(e);
    const char *text = (const char *)data;
    size_t from = strspn(text, " \t\r\n"), to = len;
    while (to > from && strchr(" \t\r\n", text[to - 1]) != NULL)
        to--;
    e = sp_token_read(ret, text + from, to - from);
    bool empty = from >= to;
    spl_file_free(data, len);
    if (e == SP_OK && ret->addr_count == 0)
        return spl_error_set(err, SP_ERR_FORM,
                             "the invite names no address of the signpost; ask for one with an address");
    if (e == SP_OK)
        return SP_OK;
    if (empty)
        return spl_error_set(err, e, "no invite token came on standard input; try: signpost-agent join < token-file");
    return spl_error_set(err, e, "the invite token is not readable (%s); copy it whole, it starts with signpost1-",
                         sp_err_text(e));
}

/* A new key; or, when an earlier join for the same name stayed without an answer, that one's, since it may have gone
 * through. */
static sp_err make_identity(const struct spl_state *state, const struct sp_token *token, struct sp_agent_identity *id,
                            struct spl_error *err) {
    struct sp_agent_identity old;
    uint8_t seed[SP_ED25519_SEED];
    sp_err e = spl_state_identity_read(state, &old, err);
    if (e != SP_OK && e != SP_ERR_NOENT)
        return e;
    if (e == SP_OK && !old.pending) {
        char name[SP_NAME_TEXT_MAX];
        cli_name_text(&old.name, name);
        sp_wipe(&old, sizeof old);
        return spl_error_set(
            err, SP_ERR_EXIST,
            "this device has joined already, as %.255s; run signpost-agent leave first, or give another --state DIR",
            name);
    }
    bool same = e == SP_OK && sp_name_equal(&old.name, &token->name) &&
                memcmp(old.root_hash, token->root_hash, SP_ROOT_HASH) == 0;
    if (same)
        memcpy(seed, old.device_seed, sizeof seed);
    else
        spl_seed(seed, sizeof seed);
    sp_agent_identity_make(id, token, seed);
    sp_wipe(seed, sizeof seed);
    sp_wipe(&old, sizeof old);
    return spl_state_identity_write(state, id, err);
}

static int finish(const struct spl_state *state, struct sp_agent_identity *id, const struct sp_agent_status *s,
                  bool json) {
    struct spl_error err;
    /* After a refusal the key is nobody's. */
    if (s->state == SP_AGENT_REFUSED && spl_state_forget(state, &err) != SP_OK)
        return cli_fail(&err);
    if (s->state != SP_AGENT_JOINED) {
        cli_explain(s, "could not join");
        if (s->state != SP_AGENT_REFUSED)
            spl_say("the invite may have been used; run join again with the same token");
        return CLI_FAILED;
    }
    id->pending = false;
    if (spl_state_identity_write(state, id, &err) != SP_OK)
        return cli_fail(&err);
    char name[SP_NAME_TEXT_MAX], zone[SP_NAME_TEXT_MAX], overlay[SPL_ADDR_TEXT];
    struct sp_addr addr = {.family = 6};
    memcpy(addr.ip, s->overlay, sizeof addr.ip);
    cli_name_text(&id->name, name);
    cli_name_text(&id->zone, zone);
    spl_addr_text(&addr, overlay);
    if (json)
        return cli_print_json(json_pack("{s:i, s:s, s:s, s:s}", "schema", CLI_JSON_SCHEMA, "name", name, "zone", zone,
                                        "overlay", overlay));
    return printf("%s %s\n", name, overlay) < 0 || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}

static int run_join(const struct spl_state *state, const struct sp_token *token, struct sp_agent_identity *id,
                    bool json) {
    struct sp_agent_config config = {.id = *id};
    struct sp_agent_status status;
    struct spl_agent *agent;
    struct spl_error err;
    sp_err e = spl_agent_new(&agent, state, &config, NULL, &err);
    sp_wipe(&config, sizeof config);
    if (e != SP_OK)
        return cli_fail(&err);
    e = sp_agent_join(spl_agent_core(agent), token, spl_now());
    SP_ASSERT(e == SP_OK); /* the identity was made from this token */
    (void)spl_agent_run(agent, &status);
    spl_agent_free(agent);
    return finish(state, id, &status, json);
}

int cli_join(const struct cli *cli, int argc, char **argv) {
    bool json;
    int r = cli_only_json(argc, argv, &json);
    if (r != CLI_OK)
        return r;
    struct spl_error err;
    struct spl_state state;
    struct sp_token token;
    struct sp_agent_identity id = {.pending = true};
    if (spl_state_open(&state, cli->state, true, &err) != SP_OK)
        return cli_fail(&err);
    if (spl_state_lock(&state, &err) != SP_OK || read_token(&token, &err) != SP_OK ||
        make_identity(&state, &token, &id, &err) != SP_OK)
        r = cli_fail(&err);
    else
        r = run_join(&state, &token, &id, json);
    sp_wipe(&token, sizeof token);
    sp_wipe(&id, sizeof id);
    spl_state_close(&state);
    return r;
}
