/* What verbs print for people, from the objects that --json prints. */
#ifndef SP_CLI_SHOW_H
#define SP_CLI_SHOW_H

#include <jansson.h>
#include <stdio.h>

/* One peer a line, in columns: name, address, path (state, endpoint and tactic), RTT, bytes sent and received, since when, why. */
void cli_show_peers(FILE *f, json_t *peers);
/* The control session and the network, as parts of a status. */
void cli_show_session(FILE *f, json_t *session);
void cli_show_net(FILE *f, json_t *net);
void cli_show_userspace(FILE *f, json_t *user); /* NULL: nothing */
void cli_show_netcheck(FILE *f, json_t *check);
/* "pong from NAME (ADDR) via TACTIC ENDPOINT in N ms". */
void cli_show_pong(FILE *f, json_t *pong);

/* Pieces: "1.2 ms", "3.4 MB", "5 min". Each at most CLI_SHOW_SHORT bytes. */
#define CLI_SHOW_SHORT 32
void cli_show_ms(char ret[CLI_SHOW_SHORT], long long us);
void cli_show_bytes(char ret[CLI_SHOW_SHORT], long long bytes);
void cli_show_age(char ret[CLI_SHOW_SHORT], long long seconds);

#endif
