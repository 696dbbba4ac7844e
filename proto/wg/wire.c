#include "proto/wg/wire.h"

static uint32_t read_u32(struct sp_rd *r) {
    return __builtin_bswap32(sp_rd_u32(r));
}

static struct sp_rd begin(const uint8_t *data, size_t len, enum sp_wg_type type) {
    struct sp_rd r = sp_rd_init(data, len);
    if (read_u32(&r) != type)
        sp_rd_fail(&r, SP_ERR_FORM);
    return r;
}

sp_err wg_initiation_read(struct wg_initiation *ret, const uint8_t *data, size_t len) {
    struct sp_rd r = begin(data, len, SP_WG_TYPE_INITIATION);
    struct wg_initiation m = {.sender = read_u32(&r)};
    m.ephemeral = sp_rd_bytes(&r, 32);
    m.pub = sp_rd_bytes(&r, 32 + SP_AEAD_TAG);
    m.stamp = sp_rd_bytes(&r, SP_WG_STAMP + SP_AEAD_TAG);
    (void)sp_rd_bytes(&r, SP_WG_MACS);
    SP_TRY(sp_rd_finish(&r));
    *ret = m;
    return SP_OK;
}

sp_err wg_response_read(struct wg_response *ret, const uint8_t *data, size_t len) {
    struct sp_rd r = begin(data, len, SP_WG_TYPE_RESPONSE);
    struct wg_response m = {.sender = read_u32(&r)};
    m.receiver = read_u32(&r);
    m.ephemeral = sp_rd_bytes(&r, 32);
    m.nothing = sp_rd_bytes(&r, SP_AEAD_TAG);
    (void)sp_rd_bytes(&r, SP_WG_MACS);
    SP_TRY(sp_rd_finish(&r));
    *ret = m;
    return SP_OK;
}

sp_err wg_cookie_read(struct wg_cookie *ret, const uint8_t *data, size_t len) {
    struct sp_rd r = begin(data, len, SP_WG_TYPE_COOKIE);
    struct wg_cookie m = {.receiver = read_u32(&r)};
    m.nonce = sp_rd_bytes(&r, SP_XAEAD_NONCE);
    m.cookie = sp_rd_bytes(&r, SP_WG_MAC + SP_AEAD_TAG);
    SP_TRY(sp_rd_finish(&r));
    *ret = m;
    return SP_OK;
}

sp_err wg_data_read(struct wg_data *ret, const uint8_t *data, size_t len) {
    struct sp_rd r = begin(data, len, SP_WG_TYPE_DATA);
    struct wg_data m = {.receiver = read_u32(&r)};
    m.counter = __builtin_bswap64(sp_rd_u64(&r));
    m.len = sp_rd_left(&r);
    m.sealed = sp_rd_bytes(&r, m.len);
    if (m.len < SP_AEAD_TAG) /* others pad to their MTU when that comes first, so any length above is sound */
        sp_rd_fail(&r, SP_ERR_SHORT);
    SP_TRY(r.err);
    *ret = m;
    return SP_OK;
}

bool sp_wg_shaped(const uint8_t *data, size_t len) {
    struct wg_initiation initiation;
    struct wg_response response;
    struct wg_cookie cookie;
    struct wg_data message;
    return wg_data_read(&message, data, len) == SP_OK || wg_initiation_read(&initiation, data, len) == SP_OK ||
           wg_response_read(&response, data, len) == SP_OK || wg_cookie_read(&cookie, data, len) == SP_OK;
}
