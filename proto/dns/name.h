/* Domain names in wire form. RFC 1035 3.1, 4.1.4; RFC 4343 (case); RFC 4034 6.1 (order). */
#ifndef SP_DNS_NAME_H
#define SP_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/bytes.h"

#define SP_NAME_MAX 255
#define SP_LABEL_MAX 63
#define SP_NAME_TEXT_MAX 1025 /* every byte as \DDD, dots, terminating zero */

/* An absolute name, uncompressed; case as it came. A zeroed struct is not a name; sp_name_root is the root. */
struct sp_name {
    uint8_t len;    /* bytes of wire, the root's zero byte included: 1..255 */
    uint8_t labels; /* without the root label: 0..127 */
    uint8_t wire[SP_NAME_MAX];
};

void sp_name_root(struct sp_name *ret);
/* Reads a name at the reader; follows compression pointers into the message at rd->base, whose offsets must strictly
 * decrease. ERR_FORM (sticky in rd too) on loops, label types, overlong names. */
SP_CHECK sp_err sp_name_read(struct sp_rd *rd, struct sp_name *ret);
/* The same, but a pointer is ERR_FORM (stored rdata, RFC 3597). */
SP_CHECK sp_err sp_name_read_plain(struct sp_rd *rd, struct sp_name *ret);
/* Moves past a name, checked as sp_name_read does. */
SP_CHECK sp_err sp_name_skip(struct sp_rd *rd);
/* Uncompressed. */
void sp_name_write(struct sp_wr *wr, const struct sp_name *name);
/* From text with \DDD and \X escapes; relative names get origin (NULL: relative means absolute); "@" is the origin.
 * ERR_FORM for bad escapes and empty labels, ERR_RANGE for long labels and names. origin may be ret. */
SP_CHECK sp_err sp_name_from_text(struct sp_name *ret, const char *text, size_t len, const struct sp_name *origin);
/* Writes text with the final dot and a terminating zero; returns the length without the zero. */
size_t sp_name_to_text(const struct sp_name *name, char ret[SP_NAME_TEXT_MAX]);

bool sp_name_equal(const struct sp_name *a, const struct sp_name *b); /* ASCII case aside */
int sp_name_cmp(const struct sp_name *a, const struct sp_name *b);    /* canonical order, RFC 4034 6.1 */
bool sp_name_under(const struct sp_name *name, const struct sp_name *top); /* equal to top or below it */
void sp_name_lower(struct sp_name *name);
/* The same on uncompressed wire names elsewhere. */
void sp_name_lower_bytes(uint8_t *wire, size_t len);
bool sp_name_equal_bytes(const uint8_t *a, const uint8_t *b, size_t len);
bool sp_name_is_wildcard(const struct sp_name *name);
/* Drops the first n labels (n <= labels). */
void sp_name_strip(const struct sp_name *name, unsigned n, struct sp_name *ret);
/* label + name; ERR_RANGE when too long. */
SP_CHECK sp_err sp_name_prepend(struct sp_name *ret, const void *label, size_t label_len, const struct sp_name *name);
/* Replaces the suffix `from` of name by `to` (DNAME, RFC 6672 2.2); ERR_RANGE when too long (YXDOMAIN), ERR_NOENT when name
 * is not under from. */
SP_CHECK sp_err sp_name_resuffix(struct sp_name *ret, const struct sp_name *name, const struct sp_name *from,
                                 const struct sp_name *to);

#endif
