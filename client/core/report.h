/* What the overlay shows its owner: items of the operator protocol. */
#ifndef SP_AGENT_REPORT_H
#define SP_AGENT_REPORT_H

#include "client/core/peer.h"

struct sp_mesh;
/* "session", "net", "peers": as many peers as leave the writer some room. */
void sp_report_status(struct sp_mesh *mesh, struct sp_wr *wr);
void sp_report_netcheck(struct sp_mesh *mesh, struct sp_wr *wr);
/* "endpoint", "rtt_us" of a path. */
void sp_report_way(struct sp_wr *wr, const struct sp_mesh *mesh, const struct sp_path *path);
const char *sp_report_via(const struct sp_mesh *mesh, const struct sp_path *path);
void sp_report_name(struct sp_wr *wr, const char *key, const struct sp_name *name);
void sp_report_ip6(struct sp_wr *wr, const char *key, const uint8_t ip[16]);
void sp_report_endpoint(struct sp_wr *wr, const char *key, const struct sp_addr *a); /* "192.0.2.1:53", "[2001:db8::1]:53"; "" for none */

#endif
