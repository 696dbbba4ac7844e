/* The options of `up`. */
#ifndef SP_CLI_UPARGS_H
#define SP_CLI_UPARGS_H

#include "client/cli/upuser.h"
#include "client/linux/host.h"

/* CLI_OK, or CLI_USAGE after saying what is wrong. user keeps what needs the zone (cli_user_names). */
int cli_up_args(struct sp_agent_config *config, struct spl_agent_options *options, struct cli_user *user, int argc, char **argv);

#endif
