/* The two ways in which dns_hook.c sets the host's resolver up; not for others. */
#ifndef SPL_DNS_BACKEND_H
#define SPL_DNS_BACKEND_H

#include "client/linux/dns_hook.h"

/* Whether the hosts line of /etc/nsswitch.conf names this source. */
bool spl_nsswitch_names(const char *source);

/* ---- systemd-resolved ---- */

bool spl_resolved_runs(void);
SP_CHECK sp_err spl_resolved_set(const struct spl_dns_hook_config *config, struct spl_error *err);
void spl_resolved_revert(unsigned ifindex);

/* Sets it again whenever systemd-resolved starts anew; it keeps what it was told over its own restarts, but not over a
 * stop. config is borrowed until free. NULL: it cannot be watched, which matters little. */
struct spl_resolved_watch;
struct spl_resolved_watch *spl_resolved_watch_new(struct event_base *base, const struct spl_dns_hook_config *config);
void spl_resolved_watch_free(struct spl_resolved_watch *w);

/* ---- resolvconf ---- */

bool spl_resolvconf_exists(void);
SP_CHECK sp_err spl_resolvconf_set(const struct spl_dns_hook_config *config, struct spl_error *err);
/* Removes the device's entry, if there is one. */
void spl_resolvconf_remove(const char *ifname);

#endif
