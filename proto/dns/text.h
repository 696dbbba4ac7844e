/* Presentation format, the pieces: escapes, numbers, hex, base64, base32hex. RFC 1035 5.1, RFC 4648. */
#ifndef SP_DNS_TEXT_H
#define SP_DNS_TEXT_H

#include "proto/base/bytes.h"
#include "proto/dns/name.h"

/* The byte at text[*i] with \X and \DDD escapes undone, moving *i past it; -1 for a malformed escape. */
int sp_text_char(const char *text, size_t len, size_t *i);
/* One byte, as \X if it stands in `special`, as \DDD if it is not printable ASCII (a space counts as not printable when
 * special). */
void sp_text_escaped(struct sp_wr *wr, uint8_t c, const char *special);
void sp_text_string(struct sp_wr *wr, const char *text);
void sp_text_u32(struct sp_wr *wr, uint32_t v);
void sp_text_u64(struct sp_wr *wr, uint64_t v);
void sp_text_name(struct sp_wr *wr, const struct sp_name *name);
void sp_text_hex(struct sp_wr *wr, const uint8_t *data, size_t len);
void sp_text_base64(struct sp_wr *wr, const uint8_t *data, size_t len);
void sp_text_base32hex(struct sp_wr *wr, const uint8_t *data, size_t len);
/* "YYYYMMDDHHmmSS", RFC 4034 3.2. */
void sp_text_time(struct sp_wr *wr, uint32_t v);

void sp_text_ip4(struct sp_wr *wr, const uint8_t ip[4]);
void sp_text_ip6(struct sp_wr *wr, const uint8_t ip[16]);

SP_CHECK sp_err sp_text_to_ip4(const char *text, size_t len, uint8_t ret[4]);
SP_CHECK sp_err sp_text_to_ip6(const char *text, size_t len, uint8_t ret[16]);
/* Decimal digits alone, at most max. */
SP_CHECK sp_err sp_text_to_u64(const char *text, size_t len, uint64_t max, uint64_t *ret);
/* Seconds, or numbers with units w d h m s ("1h30m"); at most 2^31 - 1 (RFC 2181 8). */
SP_CHECK sp_err sp_text_to_ttl(const char *text, size_t len, uint32_t *ret);
/* 14 digits of date, or seconds. */
SP_CHECK sp_err sp_text_to_time(const char *text, size_t len, uint32_t *ret);
/* Same text, ASCII case aside; word is zero-terminated. */
bool sp_text_same(const char *text, size_t len, const char *word);

/* A decoder of digits that come in pieces. */
struct sp_text_decode {
    unsigned bits_per_digit; /* 4 hex, 5 base32hex, 6 base64 */
    unsigned digits, pads;
    uint32_t acc;
    unsigned bits;
};
/* Decodes a piece; ERR_FORM for a foreign character. */
SP_CHECK sp_err sp_text_decode(struct sp_text_decode *d, const char *text, size_t len, struct sp_wr *ret);
/* The digits must make whole bytes with zero bits left over, base64 padded. */
SP_CHECK sp_err sp_text_decode_end(const struct sp_text_decode *d);

#endif
