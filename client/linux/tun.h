/* The overlay's network device: IP packets between the host's own network stack and the core, whole or joined (TSO, USO), in batches,
 * on buffers that are made once and not touched while idle. The device and all that hangs on it go with the process. */
#ifndef SPL_AGENT_TUN_H
#define SPL_AGENT_TUN_H

#include "proto/base/host.h"
#include "proto/linux/loop.h"

#define SPL_TUN_BATCH  64                   /* packets delivered at once */
#define SPL_TUN_BUFFER ((size_t)256 << 10)  /* bytes delivered at once: what the cache holds */
#define SPL_TUN_NAME   "signpost0"
#define SPL_TUN_MTU    1280

struct spl_tun;

struct spl_tun_config {
    const char *name; /* NULL: SPL_TUN_NAME */
    uint16_t mtu;     /* 0: SPL_TUN_MTU */
    uint8_t addr[16]; /* the overlay address; its /64 is routed to the device */
};

/* Makes the device and sets its address. ERR_DENIED, ERR_NOENT (no /dev/net/tun), ERR_EXIST (the name is taken, or the zone's overlay
 * is here already), ERR_RANGE (not a name of a device), ERR_UNSUP, ERR_IO. */
SP_CHECK sp_err spl_tun_open(struct spl_tun **ret, const struct spl_tun_config *config, struct spl_error *err);
void spl_tun_close(struct spl_tun *t); /* before its loop is freed; may be NULL */
/* Sets address, MTU and route again: they go when somebody sets the device down. */
SP_CHECK sp_err spl_tun_configure(struct spl_tun *t, struct spl_error *err);
/* Starts to deliver SP_IN_PACKET. If the device is deleted the loop ends with status 1. */
SP_CHECK sp_err spl_tun_start(struct spl_tun *t, struct spl_loop *loop, struct spl_error *err);
/* An SP_OUT_PACKET. */
void spl_tun_write(struct spl_tun *t, const struct sp_out *out);

const char *spl_tun_name(const struct spl_tun *t);
int spl_tun_index(const struct spl_tun *t);
bool spl_tun_udp(const struct spl_tun *t); /* it takes and gives joined UDP */

struct spl_tun_counts {
    uint64_t read, written;
    uint64_t dropped_form, dropped_core, dropped_full, dropped_error; /* read: unusable; not taken. written: no room; failed */
};
const struct spl_tun_counts *spl_tun_counts(const struct spl_tun *t);

#endif
