/* What the overlay is on a Linux host: the network device, the AEAD engine, and the ways of local programs to the resolver. */
#ifndef SPL_AGENT_OVERLAY_H
#define SPL_AGENT_OVERLAY_H

#include "client/core/agent.h"
#include "client/linux/dns_hook.h"
#include "client/linux/tun.h"

struct spl_overlay {
    struct spl_tun *tun; /* NULL: no overlay, and nothing else is set then; or userspace mode */
    bool userspace;
    struct sp_aead aead; /* OpenSSL's engine; seal NULL: the core uses libsodium's */
    enum spl_dns_mode dns;
    char zone[SP_NAME_TEXT_MAX];
    uint8_t resolver[16];
    struct spl_loop *loop;
    struct spl_resolve_socket *socket;
    struct spl_upstream *upstream;
    struct spl_dns_hook *hook;
};

/* Makes the device and completes config->overlay: memory, engine, MTU, what device and resolver can do. interface NULL: the default
 * name. ERR_DENIED, and spl_tun_open's errors. */
SP_CHECK sp_err spl_overlay_open(struct spl_overlay *o, struct sp_agent_config *config, const char *interface, enum spl_dns_mode dns,
                                 struct spl_error *err);
/* The same for userspace mode: no device, no resolver. */
void spl_overlay_open_userspace(struct spl_overlay *o, struct sp_agent_config *config);
/* Reads packets and queries. What fails about the resolver is said, and is no error: addresses work without names. */
SP_CHECK sp_err spl_overlay_start(struct spl_overlay *o, struct spl_loop *loop, struct spl_error *err);
/* Before the loop is freed; the host's resolver is as before. Safe on what is not open. */
void spl_overlay_stop(struct spl_overlay *o);
/* After the core is wiped, which uses the engine. */
void spl_overlay_close(struct spl_overlay *o);

/* Parts of spl_core. */
void spl_overlay_given(struct spl_overlay *o, const struct sp_out *out);
void spl_overlay_effect(struct spl_overlay *o, const struct sp_event *ev);

#endif
