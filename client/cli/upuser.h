/* The options of `up` about userspace mode. */
#ifndef SP_CLI_UPUSER_H
#define SP_CLI_UPUSER_H

#include "client/linux/host.h"

struct cli_user {
    struct sp_userspace_config *config;
    bool no_proxy, asked; /* asked: some option is about userspace mode alone */
    char names[SP_USERSPACE_FORWARDS][256]; /* of the forwards' devices: the zone is not known yet */
};

/* One option's value: "[ADDR:]PORT" or "none"; "[ADDR:]PORT:NAME:PORT"; "PORT[:TARGET]". CLI_OK, or CLI_USAGE after saying what is wrong. */
int cli_user_proxy(struct cli_user *u, const char *text);
int cli_user_forward(struct cli_user *u, const char *text);
int cli_user_serve(struct cli_user *u, const char *text);
/* After all of them: what was not said. */
int cli_user_complete(struct cli_user *u);
/* The forwards' names, now that the zone is known. */
int cli_user_names(struct cli_user *u, const struct sp_name *zone);

#endif
