#define _GNU_SOURCE
#include "client/linux/overlay.h"

#include <string.h>

#include "client/core/resolver.h"
#include "client/linux/privilege.h"
#include "client/linux/resolve_socket.h"
#include "client/linux/upstream.h"
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

static void give_engine(struct spl_overlay *o, struct sp_overlay_config *oc) {
    if (sp_aead_openssl_new(&o->aead) != SP_OK)
        o->aead = (struct sp_aead){0};
    oc->aead = o->aead;
    oc->grant = spl_grant_small();
}

void spl_overlay_open_userspace(struct spl_overlay *o, struct sp_agent_config *config) {
    give_engine(o, &config->overlay);
    config->overlay.mtu = config->overlay.mtu != 0 ? config->overlay.mtu : SPL_TUN_MTU;
    o->userspace = true;
    o->dns = SPL_DNS_NONE;
}

sp_err spl_overlay_open(struct spl_overlay *o, struct sp_agent_config *config, const char *interface, enum spl_dns_mode dns,
                        struct spl_error *err) {
    struct sp_overlay_config *oc = &config->overlay;
    struct spl_tun_config c = {.name = interface, .mtu = oc->mtu != 0 ? oc->mtu : SPL_TUN_MTU};
    if (!spl_privilege_network())
        return spl_error_set(err, SP_ERR_DENIED,
                             "the overlay needs root or CAP_NET_ADMIN, to make a network device: run as root; or without a device: "
                             "signpost-agent up --userspace; or only register the name: signpost-agent up --register-only");
    own_address(config, c.addr);
    spl_dns_hook_heal(interface != NULL ? interface : SPL_TUN_NAME);
    SP_TRY(spl_tun_open(&o->tun, &c, err));
    give_engine(o, oc);
    o->dns = spl_dns_mode_choose(dns);
    zone_text(&config->id.zone, o->zone);
    sp_resolver_addr(config->id.root_hash, o->resolver);
    oc->mtu = c.mtu;
    oc->tun_udp = spl_tun_udp(o->tun);
    oc->forward = o->dns == SPL_DNS_RESOLVCONF;
    oc->search = o->dns == SPL_DNS_NSS || o->dns == SPL_DNS_NONE; /* others have search domains of their own */
    return SP_OK;
}

static void start_resolver(struct spl_overlay *o) {
    struct spl_error err;
    struct spl_dns_hook_config c = {
        .mode = o->dns, .ifname = spl_tun_name(o->tun), .ifindex = (unsigned)spl_tun_index(o->tun), .zone = o->zone};
    memcpy(c.server, o->resolver, sizeof c.server);
    if (o->dns != SPL_DNS_NONE && spl_resolve_socket_open(&o->socket, o->loop, SPL_RESOLVE_PATH, &err) != SP_OK)
        spl_say("warning: %s; programs cannot ask through libnss_signpost", err.text);
    if (o->dns == SPL_DNS_RESOLVCONF && spl_upstream_new(&o->upstream, o->loop, o->resolver, NULL, &err) != SP_OK)
        spl_say("warning: %s; names outside the zone are not forwarded", err.text);
    if (spl_dns_hook_set(&o->hook, spl_loop_base(o->loop), &c, &err) != SP_OK)
        spl_say("warning: %s; names of the zone can be asked at the overlay's resolver, whose address ends in ::53", err.text);
}

sp_err spl_overlay_start(struct spl_overlay *o, struct spl_loop *loop, struct spl_error *err) {
    o->loop = loop;
    if (o->userspace) {
        spl_say("userspace mode, with %s's ChaCha20-Poly1305", o->aead.seal != NULL ? "OpenSSL" : "libsodium");
        return SP_OK;
    }
    spl_say("the overlay is on %s, with %s's ChaCha20-Poly1305; names: %s", spl_tun_name(o->tun),
            o->aead.seal != NULL ? "OpenSSL" : "libsodium", spl_dns_mode_text(o->dns));
    start_resolver(o);
    return spl_tun_start(o->tun, loop, err);
}

void spl_overlay_stop(struct spl_overlay *o) {
    spl_dns_hook_free(o->hook);
    spl_upstream_free(o->upstream);
    spl_resolve_socket_free(o->socket);
    spl_tun_close(o->tun);
    o->hook = NULL;
    o->upstream = NULL;
    o->socket = NULL;
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
    else if (out->kind == SP_OUT_RESOLVED && o->socket != NULL)
        spl_resolve_socket_given(o->socket, out);
}

void spl_overlay_effect(struct spl_overlay *o, const struct sp_event *ev) {
    if (ev->kind == SP_EV_CONNECT)
        spl_tcp_connect(o->loop, ev->id, &ev->addr);
    else if (ev->kind == SP_EV_FORWARD && o->upstream != NULL)
        spl_upstream_ask(o->upstream, ev);
}
