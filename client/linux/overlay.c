#define _GNU_SOURCE
#include "client/linux/overlay.h"

#include <string.h>

#include "client/core/resolver.h"
#include "client/linux/privilege.h"
#include "proto/crypto/aead_openssl.h"
#include "proto/linux/clock.h"
#include "proto/linux/tcp.h"

/* Without the final dot. */
static void zone_text(const struct sp_name *zone, char ret[SP_NAME_TEXT_MAX]) {
    size_t len = sp_name_to_text(zone, ret);
    if (len > 1 && ret[len - 1] == '.')
        ret[len - 1] = 0;
}

static void own_address(const struct sp_agent_config *config, uint8_t ret[16]) {
    struct sp_ed25519 key;
    sp_ed25519_from_seed(&key, config->id.device_seed);
    sp_overlay_addr(config->id.root_hash, key.pub, ret);
    sp_wipe(&key, sizeof key);
}

sp_err spl_overlay_open(struct spl_overlay *o, struct sp_agent_config *config, const char *interface, enum spl_dns_mode dns,
                        struct spl_error *err) {
    struct sp_overlay_config *oc = &config->overlay;
    struct spl_tun_config c = {.name = interface, .mtu = oc->mtu != 0 ? oc->mtu : SPL_TUN_MTU};
    if (!spl_privilege_network())
        return spl_error_set(err, SP_ERR_DENIED,
                             "the overlay needs root or CAP_NET_ADMIN, to make a network device: run as root; or only register the "
                             "name: signpost-agent up --register-only");
    own_address(config, c.addr);
    SP_TRY(spl_tun_open(&o->tun, &c, err));
    if (sp_aead_openssl_new(&o->aead) != SP_OK)
        o->aead = (struct sp_aead){0};
    o->dns = dns;
    zone_text(&config->id.zone, o->zone);
    sp_resolver_addr(config->id.root_hash, o->resolver);
    oc->grant = spl_grant_small();
    oc->aead = o->aead;
    oc->mtu = c.mtu;
    oc->tun_udp = spl_tun_udp(o->tun);
    oc->forward = o->dns == SPL_DNS_RESOLVCONF;
    oc->search = o->dns == SPL_DNS_NSS || o->dns == SPL_DNS_NONE; /* others have search domains of their own */
    return SP_OK;
}

sp_err spl_overlay_start(struct spl_overlay *o, struct spl_loop *loop, struct spl_error *err) {
    o->loop = loop;
    spl_say("the overlay is on %s, with %s's ChaCha20-Poly1305", spl_tun_name(o->tun),
            o->aead.seal != NULL ? "OpenSSL" : "libsodium");
    return spl_tun_start(o->tun, loop, err);
}

void spl_overlay_stop(struct spl_overlay *o) {
    spl_tun_close(o->tun);
    o->tun = NULL;
}

void spl_overlay_close(struct spl_overlay *o) {
    spl_overlay_stop(o);
    if (o->aead.seal != NULL)
        sp_aead_openssl_free(&o->aead);
    o->aead = (struct sp_aead){0};
}

void spl_overlay_given(struct spl_overlay *o, const struct sp_out *out) {
    if (out->kind == SP_OUT_PACKET && o->tun != NULL)
        spl_tun_write(o->tun, out);
}

void spl_overlay_effect(struct spl_overlay *o, const struct sp_event *ev) {
    if (ev->kind == SP_EV_CONNECT)
        spl_tcp_connect(o->loop, ev->id, &ev->addr);
}
