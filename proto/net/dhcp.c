#include "proto/net/impl.h"
bool sp_net_dhcp_input(struct sp_net *net, sp_instant now, const struct packet *p) { return false; }
void sp_net_dhcp_link(struct sp_net *net, sp_instant now, bool up) {}
void sp_net_dhcp_probed(struct sp_net *net, sp_instant now, bool ours) {}
size_t sp_net_resolvers(const struct sp_net *net, struct sp_addr *ret, size_t max) { return 0; }
