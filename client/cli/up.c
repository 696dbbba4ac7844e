#define _GNU_SOURCE
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/upargs.h"

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
    struct cli_user user = {0};
    int r = cli_up_args(&config, &options, &user, argc, argv);
    if (r != CLI_OK)
        return r;
    struct spl_state state;
    struct spl_error err;
    if (cli_state(cli, &state, &config.id, &err) != SP_OK)
        return cli_fail(&err);
    r = cli_user_names(&user, &config.id.zone);
    if (r == CLI_OK && spl_state_lock(&state, &err) != SP_OK)
        r = cli_fail(&err);
    else if (r == CLI_OK)
        r = serve(&state, &config, &options);
    sp_wipe(&config, sizeof config);
    spl_state_close(&state);
    return r;
}
