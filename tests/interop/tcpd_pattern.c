/* Bytes that can be told apart, and a sum of bytes. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "tests/interop/tcpd.h"

#define KEPT 8

/* splitmix64, low byte first: any language makes the same bytes in a few lines. */
static uint64_t next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

const uint8_t *pattern_of(uint64_t seed) {
    static struct {
        uint64_t seed;
        uint8_t *bytes;
    } kept[KEPT];
    static unsigned newest;
    for (unsigned i = 0; i < KEPT; i++)
        if (kept[i].bytes != NULL && kept[i].seed == seed)
            return kept[i].bytes;
    newest = (newest + 1) % KEPT;
    uint8_t *bytes = kept[newest].bytes;
    if (bytes == NULL && (bytes = malloc(2 * PATTERN_LEN + 8)) == NULL)
        abort();
    uint64_t state = seed;
    for (size_t at = 0; at < PATTERN_LEN; at += 8) {
        uint64_t word = next(&state);
        for (unsigned k = 0; k < 8; k++)
            bytes[at + k] = (uint8_t)(word >> 8 * k);
    }
    memcpy(bytes + PATTERN_LEN, bytes, PATTERN_LEN);
    kept[newest].seed = seed;
    kept[newest].bytes = bytes;
    return bytes;
}

/* CRC-32 of ITU-T V.42, four bytes at a time. */
static uint32_t table[4][256];

static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (unsigned bit = 0; bit < 8; bit++)
            c = c >> 1 ^ ((c & 1) != 0 ? 0xedb88320u : 0);
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (unsigned k = 1; k < 4; k++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t len) {
    if (table[0][1] == 0)
        make_table();
    crc = ~crc;
    for (; len >= 4; len -= 4, data += 4) {
        crc ^= (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = table[3][crc & 255] ^ table[2][crc >> 8 & 255] ^ table[1][crc >> 16 & 255] ^ table[0][crc >> 24];
    }
    for (; len > 0; len--, data++)
        crc = crc >> 8 ^ table[0][(crc ^ *data) & 255];
    return ~crc;
}
