/* How the host's own resolver comes to ask the agent for the zone's names. /etc/resolv.conf is never written here.
 *
 *   resolved    systemd-resolved gets our resolver for the zone alone, on the TUN device's link, over D-Bus. The
 * setting belongs to the link, so that it goes with the device, however the agent ends. resolvconf  the command of that
 * name gets an entry for the device; the agent then forwards what is not the zone's. An entry that a killed run left is
 * replaced by the next one, since it has the device's name. nss         nothing is touched: libnss_signpost asks the
 * agent, where /etc/nsswitch.conf names it. none        nothing is touched. */
#ifndef SPL_DNS_HOOK_H
#define SPL_DNS_HOOK_H

#include "proto/base/host.h"
#include "proto/linux/error.h"

struct event_base;

enum spl_dns_mode { SPL_DNS_AUTO, SPL_DNS_RESOLVED, SPL_DNS_RESOLVCONF, SPL_DNS_NSS, SPL_DNS_NONE };

/* Of --dns. ERR_NOENT. */
SP_CHECK sp_err spl_dns_mode_parse(const char *text, enum spl_dns_mode *ret);
const char *spl_dns_mode_text(enum spl_dns_mode mode);

/* What AUTO comes to on this host now: RESOLVED where systemd-resolved runs, else RESOLVCONF where the command exists,
 * else NSS; other modes as they are. Asked before the core is made: the core forwards (sp_overlay_config.forward) with
 * RESOLVCONF alone. Blocks for at most 2 s. */
enum spl_dns_mode spl_dns_mode_choose(enum spl_dns_mode mode);

struct spl_dns_hook_config {
    enum spl_dns_mode mode; /* chosen */
    const char *ifname;     /* of the TUN device, which is up and has its addresses */
    unsigned ifindex;
    uint8_t server[16]; /* the resolver's address: sp_resolver_addr */
    const char *zone;   /* as text */
};

struct spl_dns_hook;

/* Sets the host's resolver up; blocks for at most 10 s. On an error nothing is left set, and the agent can go on
 * without. A systemd-resolved that starts later is told again. */
SP_CHECK sp_err spl_dns_hook_set(struct spl_dns_hook **ret, struct event_base *base,
                                 const struct spl_dns_hook_config *config, struct spl_error *err);
/* Undoes it; NULL is fine. Before the TUN device goes. */
void spl_dns_hook_free(struct spl_dns_hook *h);
/* What a killed run may have left, whatever mode is used now: called at start and by `down` when no agent runs. */
void spl_dns_hook_heal(const char *ifname);

#endif
