/* Tokens of presentation text: words, quoted strings, ends of lines. Parentheses join lines, a semicolon begins a
 * comment. RFC 1035 5.1. */
#ifndef SP_DNS_SCAN_H
#define SP_DNS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/err.h"

/* Where and what went wrong, for a person. */
struct sp_zonetext_error {
    unsigned line, column; /* from 1 */
    const char *what;      /* static text */
};

/* A cursor over text that stays in the caller's memory. A copy of it is a place to come back to. */
struct sp_scan {
    const char *text;
    size_t len, pos, line_start;
    unsigned line;
    unsigned depth;                  /* of parentheses */
    bool params;                     /* a quote may follow "=" inside a word (SvcParams, RFC 9460 2.1) */
    unsigned open_line, open_column; /* of the outermost open parenthesis */
};

enum sp_scan_kind { SP_SCAN_WORD, SP_SCAN_EOL, SP_SCAN_END };

struct sp_scan_token {
    enum sp_scan_kind kind;
    const char *text; /* raw: escapes stand, quotes around it do not */
    size_t len;
    bool quoted;
    unsigned line, column;
};

struct sp_scan sp_scan_init(const char *text, size_t len);
/* The next token. ERR_FORM with *error set for unbalanced quotes and parentheses and for control characters. */
SP_CHECK sp_err sp_scan_next(struct sp_scan *s, struct sp_scan_token *ret, struct sp_zonetext_error *error);
/* Sets *error to the token's place and returns err. */
sp_err sp_scan_fail(const struct sp_scan_token *token, sp_err err, const char *what, struct sp_zonetext_error *error);

#endif
