/* What the commands of signpost-agent share. */
#ifndef SP_CLI_CLI_H
#define SP_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "client/linux/host.h"
#include "proto/control/operator.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

#define CLI_JSON_SCHEMA 1

struct cli {
    const char *state; /* --state, or NULL */
};

/* Each takes its own arguments, argv[0] being the verb, and returns an exit status. */
int cli_join(const struct cli *cli, int argc, char **argv);
int cli_up(const struct cli *cli, int argc, char **argv);
int cli_down(const struct cli *cli, int argc, char **argv);
int cli_leave(const struct cli *cli, int argc, char **argv);
int cli_status(const struct cli *cli, int argc, char **argv);
int cli_ping(const struct cli *cli, int argc, char **argv);
int cli_netcheck(const struct cli *cli, int argc, char **argv);
int cli_resolve(const struct cli *cli, int argc, char **argv);

/* "signpost-agent VERB: ..." and a hint at help, on stderr; CLI_USAGE. */
int cli_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The error on stderr; CLI_FAILED. */
int cli_fail(const struct spl_error *err);
/* For verbs whose one option is --json: parses, refuses arguments. CLI_OK or CLI_USAGE. */
int cli_only_json(int argc, char **argv, bool *ret_json);

/* Opens the state of a device that has joined; the identity too unless NULL. */
SP_CHECK sp_err cli_state(const struct cli *cli, struct spl_state *state, struct sp_agent_identity *id,
                          struct spl_error *err);
/* A verb with n arguments (as text) to the running agent. ERR_NOENT: none runs. The reply's items are left in *rd, over *ret_reply:
 * free it. */
SP_CHECK sp_err cli_call(const struct spl_state *state, enum sp_agent_verb verb, const char *const *args, size_t n,
                         uint8_t **ret_reply, struct sp_rd *rd, enum sp_op_status *ret_status, struct spl_error *err);
/* Turns a failed reply into an error. */
sp_err cli_reply_error(struct sp_rd *rd, struct spl_error *err);
/* Why a one-shot that ended in this status did not do what it should; what: "could not join". CLI_FAILED. */
int cli_explain(const struct sp_agent_status *s, const char *what);

/* The items of a reply as a JSON object with "schema"; NULL without memory or when malformed. */
json_t *cli_json(struct sp_rd rd);
/* Prints it with a newline and frees it; NULL and a failing stdout are CLI_FAILED. */
int cli_print_json(json_t *object);

/* Without the final dot, as people write names. */
void cli_name_text(const struct sp_name *name, char ret[SP_NAME_TEXT_MAX]);

#endif
