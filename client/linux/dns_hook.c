#define _GNU_SOURCE
#include "client/linux/dns_hook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/linux/dns_backend.h"

static const char *const mode_names[] = {[SPL_DNS_AUTO] = "auto",
                                         [SPL_DNS_RESOLVED] = "resolved",
                                         [SPL_DNS_RESOLVCONF] = "resolvconf",
                                         [SPL_DNS_NSS] = "nss",
                                         [SPL_DNS_NONE] = "none"};
#define MODES (sizeof mode_names / sizeof mode_names[0])

struct spl_dns_hook {
    struct spl_dns_hook_config config; /* its texts are the two below */
    char ifname[64], zone[1024];
    struct spl_resolved_watch *watch;
};

sp_err spl_dns_mode_parse(const char *text, enum spl_dns_mode *ret) {
    for (unsigned i = 0; i < MODES; i++) {
        if (strcmp(text, mode_names[i]) != 0)
            continue;
        *ret = (enum spl_dns_mode)i;
        return SP_OK;
    }
    return SP_ERR_NOENT;
}

const char *spl_dns_mode_text(enum spl_dns_mode mode) {
    return (unsigned)mode < MODES ? mode_names[mode] : "?";
}

enum spl_dns_mode spl_dns_mode_choose(enum spl_dns_mode mode) {
    if (mode != SPL_DNS_AUTO)
        return mode;
    if (spl_resolved_runs())
        return SPL_DNS_RESOLVED;
    return spl_resolvconf_exists() ? SPL_DNS_RESOLVCONF : SPL_DNS_NSS;
}

bool spl_nsswitch_names(const char *source) {
    char line[512], *rest;
    bool found = false;
    FILE *f = fopen("/etc/nsswitch.conf", "re");
    while (f != NULL && !found && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "#\n")] = 0;
        const char *word = strtok_r(line, " \t", &rest);
        if (word == NULL || strcmp(word, "hosts:") != 0)
            continue;
        while (!found && (word = strtok_r(NULL, " \t", &rest)) != NULL)
            found = strcmp(word, source) == 0;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

/* Programs find us only if their owner says so. */
static void advise_nss(void) {
    if (!spl_nsswitch_names("signpost"))
        spl_say("programs of this host do not look here for names yet: in /etc/nsswitch.conf, put \"signpost "
                "[!UNAVAIL=return]\" before "
                "\"dns\" (nss-signpost(8))");
}

sp_err spl_dns_hook_set(struct spl_dns_hook **ret, struct event_base *base, const struct spl_dns_hook_config *config,
                        struct spl_error *err) {
    struct spl_dns_hook *h = calloc(1, sizeof *h);
    if (h == NULL || strlen(config->ifname) >= sizeof h->ifname || strlen(config->zone) >= sizeof h->zone) {
        free(h);
        return spl_error_set(err, SP_ERR_RANGE, "no room for the names %s and %s", config->ifname, config->zone);
    }
    h->config = *config;
    h->config.ifname = strcpy(h->ifname, config->ifname);
    h->config.zone = strcpy(h->zone, config->zone);
    sp_err e = SP_OK;
    if (config->mode == SPL_DNS_RESOLVED)
        e = spl_resolved_set(&h->config, err);
    else if (config->mode == SPL_DNS_RESOLVCONF)
        e = spl_resolvconf_set(&h->config, err);
    if (e != SP_OK) {
        free(h);
        return e;
    }
    if (config->mode == SPL_DNS_RESOLVED)
        h->watch = spl_resolved_watch_new(base, &h->config);
    if (config->mode == SPL_DNS_NSS)
        advise_nss();
    *ret = h;
    return SP_OK;
}

void spl_dns_hook_free(struct spl_dns_hook *h) {
    if (h == NULL)
        return;
    spl_resolved_watch_free(h->watch);
    if (h->config.mode == SPL_DNS_RESOLVED)
        spl_resolved_revert(h->config.ifindex);
    else if (h->config.mode == SPL_DNS_RESOLVCONF)
        spl_resolvconf_remove(h->ifname);
    free(h);
}

/* systemd-resolved forgets a link with the device itself. */
void spl_dns_hook_heal(const char *ifname) {
    if (spl_resolvconf_exists())
        spl_resolvconf_remove(ifname);
}
