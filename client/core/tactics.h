/* Tactics: which paths to a peer are tried when, and which one its data takes. */
#ifndef SP_AGENT_TACTICS_H
#define SP_AGENT_TACTICS_H

#include "client/core/peer.h"

/* A plan came: its candidates become paths. Nothing is sent. */
void sp_tactics_plan(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_plan *plan);
/* The path to this address; made, for an address seen in an authentic message, if there is none (`make`). NULL: none. */
struct sp_path *sp_tactics_path(struct sp_mesh *mesh, struct sp_peer *p, const struct sp_addr *addr, bool make);
/* Chooses among the valid ones: the lowest class, then the least RTT, with some reluctance to change. True: another one. */
bool sp_tactics_choose(struct sp_mesh *mesh, struct sp_peer *p);
/* Sends a PING over a path. */
void sp_tactics_ping(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path);
void sp_tactics_step(struct sp_mesh *mesh, struct sp_peer *p, struct sp_path *path, enum sp_path_on on, sp_instant at);
/* All candidates are probed anew. */
void sp_tactics_again(struct sp_mesh *mesh, struct sp_peer *p);
/* Steps what is due; when to come back. */
sp_instant sp_tactics_expire(struct sp_mesh *mesh, struct sp_peer *p);
bool sp_tactics_hop(const struct sp_mesh *mesh, const struct sp_peer *p, const struct sp_path *path, struct sp_hop *ret);
bool sp_tactics_active(const struct sp_mesh *mesh, const struct sp_peer *p);

#endif
