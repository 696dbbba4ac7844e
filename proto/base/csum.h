/* The Internet checksum: a one's complement sum of 16-bit big-endian words. RFC 1071. */
#ifndef SP_BASE_CSUM_H
#define SP_BASE_CSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds bytes to a sum (start with 0); the result fits in 17 bits, so a few u16 may be added to it by hand. An odd
 * length counts as if a zero byte followed: only the last piece of a whole may be odd. */
uint32_t sp_csum_add(uint32_t sum, const uint8_t *data, size_t len);
/* The 16-bit sum, not yet complemented: a checksum field holds its complement, and a whole that has its checksum sums
 * to 0xffff. */
uint16_t sp_csum_fold(uint32_t sum);
/* The sum of the pseudo header of IPv6 (alen 16, RFC 8200 8.1) or IPv4 (alen 4) before len bytes of transport. */
uint32_t sp_csum_pseudo(const uint8_t *src, const uint8_t *dst, size_t alen, uint8_t proto, size_t len);

#endif
