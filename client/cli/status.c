#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/show.h"

static const char *text(json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "";
}

static long long number(json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

/* For people: one peer a line, then one fact a line. */
static int print_text(json_t *o) {
    json_t *peers = json_object_get(o, "peers");
    cli_show_peers(stdout, peers);
    if (json_array_size(peers) > 0)
        putchar('\n');
    printf("name:      %s\n", text(o, "name"));
    printf("state:     %s\n", text(o, "state"));
    printf("overlay:   %s\n", text(o, "overlay"));
    printf("signpost:  %s port %lld\n", text(o, "signpost"), number(o, "signpost_port"));
    printf("trust:     %s (the signpost holds the zone's root)\n", text(o, "trust"));
    json_t *published = json_object_get(o, "published"), *addr;
    size_t i;
    json_array_foreach(published, i, addr) printf("published: %s\n", json_string_value(addr));
    if (json_array_size(published) == 0)
        printf("published: nothing\n");
    if (number(o, "lease_s") > 0)
        printf("lease:     %lld s, registered %lld s ago\n", number(o, "lease_s"), number(o, "registered_ago_s"));
    if (json_object_get(o, "next_in_s") != NULL)
        printf("next:      in %lld s\n", number(o, "next_in_s"));
    cli_show_session(stdout, json_object_get(o, "session"));
    cli_show_net(stdout, json_object_get(o, "net"));
    cli_show_userspace(stdout, json_object_get(o, "userspace"));
    if (json_is_true(json_object_get(o, "clock_adjusted")))
        printf("clock:     differs from the signpost's; its time is used for signatures\n");
    if (text(o, "last_error")[0] != 0)
        printf("problem:   %s%s%s\n", text(o, "last_error"), text(o, "last_ede_text")[0] != 0 ? ": " : "",
               text(o, "last_ede_text"));
    if (json_object_get(o, "unsigned_rcode") != NULL)
        printf("note:      unsigned replies were dropped; the last said: %s\n",
               text(o, "unsigned_text")[0] != 0 ? text(o, "unsigned_text") : "nothing more");
    return fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}

static int not_running(const struct sp_agent_identity *id, bool json) {
    char name[SP_NAME_TEXT_MAX];
    cli_name_text(&id->name, name);
    if (json)
        (void)cli_print_json(json_pack("{s:i, s:b, s:s}", "schema", CLI_JSON_SCHEMA, "running", 0, "name", name));
    spl_say("no agent is running for %s; start it with: signpost-agent up", name);
    return CLI_FAILED;
}

int cli_status(const struct cli *cli, int argc, char **argv) {
    bool json;
    int r = cli_only_json(argc, argv, &json);
    if (r != CLI_OK)
        return r;
    struct spl_state state;
    struct sp_agent_identity id;
    struct spl_error err;
    if (cli_state(cli, &state, &id, &err) != SP_OK)
        return cli_fail(&err);
    uint8_t *reply;
    struct sp_rd rd;
    enum sp_op_status status;
    sp_err e = cli_call(&state, SP_AGENT_OP_STATUS, NULL, 0, &reply, &rd, &status, &err);
    if (e == SP_ERR_NOENT) {
        r = not_running(&id, json);
    } else if (e != SP_OK) {
        r = cli_fail(&err);
    } else {
        json_t *o = cli_json(rd);
        if (o != NULL)
            (void)json_object_set_new(o, "running", json_true());
        if (json || o == NULL) {
            r = cli_print_json(o);
        } else {
            r = print_text(o);
            json_decref(o);
        }
        free(reply);
    }
    sp_wipe(&id, sizeof id);
    spl_state_close(&state);
    return r;
}
