/* The options of `up`. */
#ifndef SP_CLI_UPARGS_H
#define SP_CLI_UPARGS_H

#include "client/linux/host.h"

/* CLI_OK, or CLI_USAGE after saying what is wrong. */
int cli_up_args(struct sp_agent_config *config, struct spl_agent_options *options, int argc, char **argv);

#endif
