/* The table of RR types, as the files of this room see it. */
#ifndef SP_DNS_RDATA_H
#define SP_DNS_RDATA_H

#include "proto/dns/rrtype.h"
#include "proto/dns/scan.h"

/* A layout is a string of these codes, one a field. Names: what a sender may compress, a receiver must expand and the
 * canonical form lowers differs by type (RFC 3597 4, RFC 4034 6.2, RFC 6840 5.1). */
enum sp_field {
    SP_F_U8 = '1',
    SP_F_U16 = '2',
    SP_F_U32 = '4',
    SP_F_U48 = '6',
    SP_F_PERIOD = 'p',     /* u32 seconds, text may have units */
    SP_F_TIME = 'e',       /* u32 seconds since 1970, text is a date */
    SP_F_ALG = 'A',        /* u8 DNSSEC algorithm, text may be a mnemonic */
    SP_F_TYPE = 't',       /* u16 RR type */
    SP_F_IP4 = 'a',        /* 4 bytes */
    SP_F_IP6 = 'b',        /* 16 bytes */
    SP_F_NAME = 'N',       /* name of RFC 1035: compressed when sent, lowered */
    SP_F_NAME_LATER = 'D', /* not compressed when sent, expanded when received, lowered */
    SP_F_NAME_LOWER = 'L', /* never compressed, lowered */
    SP_F_NAME_PLAIN = 'P', /* never compressed, case kept */
    SP_F_STRING = 's',     /* character-string */
    SP_F_STRINGS = 'S',    /* one or more, to the end */
    SP_F_TAG = 'g',        /* character-string of letters and digits, text unquoted */
    SP_F_TEXT = 'v',       /* the rest, text quoted */
    SP_F_BASE64 = 'B',     /* the rest, not empty */
    SP_F_BASE64_OPT = 'O', /* the rest, may be empty */
    SP_F_HEX = 'H',        /* the rest, not empty */
    SP_F_DIGEST = 'G',     /* the rest in hex; the byte before names the digest (DS) */
    SP_F_SALT = 'x',       /* u8 length and bytes, text hex or "-" */
    SP_F_HASH32 = 'z',     /* u8 length and bytes, text base32hex */
    SP_F_MAC = 'm',        /* u16 length and bytes, text the length and base64 */
    SP_F_BITMAP = 'T',     /* type bitmap, to the end */
    SP_F_PARAMS = 'k',     /* SvcParams, to the end */
    SP_F_OPTIONS = 'o',    /* EDNS options, to the end; no text form of its own */
};

struct sp_type_row {
    const char *name;   /* NULL: no mnemonic */
    const char *layout; /* NULL: any bytes (RFC 3597) */
};

/* The row of a type; never NULL. */
const struct sp_type_row *sp_type_row(uint16_t type);
/* Checks one field that is no name and moves the reader past it; `start` is the rdata's first byte. */
void sp_field_skip(char field, struct sp_rd *rd, const uint8_t *start);

/* Reads rdata from tokens to the end of the line, which is consumed too. *error is set on failure. */
SP_CHECK sp_err sp_rdata_scan(uint16_t type, struct sp_scan *s, const struct sp_name *origin, struct sp_wr *ret,
                              struct sp_zonetext_error *error);

/* Type bitmaps (RFC 4034 4.1.2): framing, windows ascending, no zero byte at a window's end. */
void sp_bitmap_skip(struct sp_rd *rd);
/* The lowest type >= from in a checked bitmap; false when there is none. */
bool sp_bitmap_next(const uint8_t *bitmap, size_t len, uint32_t from, uint16_t *ret);
/* Writes the bitmap of a set of types: bit (0x80 >> t % 8) of byte t / 8. */
void sp_bitmap_write(struct sp_wr *wr, const uint8_t set[8192]);

/* SvcParams. RFC 9460 2.2, 7, 8. */
void sp_params_skip(struct sp_rd *rd);
void sp_params_to_text(const uint8_t *params, size_t len, struct sp_wr *ret);
/* One "key=value" or "key" token (raw, its quotes and escapes in place) inserted into the sorted params that begin at
 * `first` of ret and reach to its end. ERR_EXIST for a repeated key. */
SP_CHECK sp_err sp_param_from_text(const char *text, size_t len, struct sp_wr *ret, size_t first);

#endif
