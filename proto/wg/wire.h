/* The four messages of WireGuard as bytes (P 5.4.2 to 5.4.7). Integers are little endian. */
#ifndef SP_WG_WIRE_H
#define SP_WG_WIRE_H

#include "proto/base/bytes.h"
#include "proto/wg/wg.h"

#define SP_WG_MAC   16
#define SP_WG_MACS  (2 * SP_WG_MAC) /* the end of initiations and responses */
#define SP_WG_STAMP 12              /* TAI64N */

/* Pointers are borrowed from the message. */
struct wg_initiation {
    uint32_t sender;
    const uint8_t *ephemeral, *pub, *stamp; /* pub and stamp are sealed */
};
struct wg_response {
    uint32_t sender, receiver;
    const uint8_t *ephemeral, *nothing; /* nothing is sealed */
};
struct wg_cookie {
    uint32_t receiver;
    const uint8_t *nonce, *cookie; /* cookie is sealed */
};
struct wg_data {
    uint32_t receiver;
    uint64_t counter;
    const uint8_t *sealed;
    size_t len;
};

/* ERR_FORM, ERR_SHORT: not of this kind. Macs are not looked at. */
SP_CHECK sp_err wg_initiation_read(struct wg_initiation *ret, const uint8_t *data, size_t len);
SP_CHECK sp_err wg_response_read(struct wg_response *ret, const uint8_t *data, size_t len);
SP_CHECK sp_err wg_cookie_read(struct wg_cookie *ret, const uint8_t *data, size_t len);
SP_CHECK sp_err wg_data_read(struct wg_data *ret, const uint8_t *data, size_t len);

static inline void wg_put_u32(uint8_t *p, uint32_t v) {
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}
static inline void wg_put_u64(uint8_t *p, uint64_t v) {
    wg_put_u32(p, (uint32_t)v);
    wg_put_u32(p + 4, (uint32_t)(v >> 32));
}
/* Type, three zeros, the first index. */
static inline void wg_put_head(uint8_t *p, enum sp_wg_type type, uint32_t index) {
    wg_put_u32(p, type);
    wg_put_u32(p + 4, index);
}

#endif
