#define _GNU_SOURCE
#include "signpostd/ctl/keyfile.h"

#include <stdio.h>
#include <string.h>

#include "proto/crypto/crypto.h"
#include "proto/dns/rrtype.h"
#include "proto/dns/zonetext.h"

/* ---- tsig-keygen: the syntax of named.conf ---- */

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_SIGN, TOKEN_BAD };

struct token {
    enum token_kind kind;
    const char *text;
    size_t len;
};

struct lexer {
    const char *pos, *end;
    unsigned line;
};

/* White space and the three kinds of comments. False: a comment without an end. */
static bool skip_blank(struct lexer *lx) {
    while (lx->pos < lx->end) {
        size_t left = (size_t)(lx->end - lx->pos);
        if (*lx->pos == '\n') {
            lx->line++;
            lx->pos++;
        } else if (*lx->pos == ' ' || *lx->pos == '\t' || *lx->pos == '\r') {
            lx->pos++;
        } else if (*lx->pos == '#' || (left >= 2 && memcmp(lx->pos, "//", 2) == 0)) {
            while (lx->pos < lx->end && *lx->pos != '\n')
                lx->pos++;
        } else if (left >= 2 && memcmp(lx->pos, "/*", 2) == 0) {
            const char *close = memmem(lx->pos + 2, left - 2, "*/", 2);
            if (close == NULL)
                return false;
            for (; lx->pos < close + 2; lx->pos++)
                lx->line += *lx->pos == '\n';
        } else {
            break;
        }
    }
    return true;
}

static struct token next(struct lexer *lx) {
    if (!skip_blank(lx))
        return (struct token){TOKEN_BAD, NULL, 0};
    if (lx->pos == lx->end)
        return (struct token){TOKEN_END, NULL, 0};
    if (strchr("{};", *lx->pos) != NULL && *lx->pos != 0)
        return (struct token){TOKEN_SIGN, lx->pos++, 1};
    bool quoted = *lx->pos == '"';
    const char *start = lx->pos + quoted, *p = start;
    while (p < lx->end && *p != '\n' && (quoted ? *p != '"' : strchr(" \t\r{};\"#", *p) == NULL))
        p++;
    struct token t = {TOKEN_WORD, start, (size_t)(p - start)};
    if (quoted && (p == lx->end || *p != '"'))
        t.kind = TOKEN_BAD;
    if (!quoted && t.len == 0)
        t.kind = TOKEN_BAD;
    lx->pos = p + (quoted && t.kind == TOKEN_WORD);
    return t;
}

static bool is(struct token t, enum token_kind kind, const char *text) {
    return t.kind == kind && t.len == strlen(text) && strncasecmp(t.text, text, t.len) == 0;
}

#define REFUSE(text_)                                                                                                  \
    do {                                                                                                               \
        *what = (text_);                                                                                               \
        return SP_ERR_FORM;                                                                                            \
    } while (0)

/* One "algorithm X;" or "secret X;". */
static sp_err read_clause(struct spl_key *key, struct lexer *lx, struct token word, const char **what) {
    struct token value = next(lx);
    if (value.kind != TOKEN_WORD)
        REFUSE("a value is missing");
    if (is(word, TOKEN_WORD, "algorithm")) {
        if (value.len == 0 || value.len >= sizeof key->algorithm || key->algorithm[0] != 0)
            REFUSE("the algorithm is not one that is known, or is given twice");
        for (size_t i = 0; i < value.len; i++)
            key->algorithm[i] =
                (char)(value.text[i] >= 'A' && value.text[i] <= 'Z' ? value.text[i] + 32 : value.text[i]);
    } else if (is(word, TOKEN_WORD, "secret")) {
        if (key->len != 0)
            REFUSE("a second secret");
        if (sp_base64_decode(value.text, value.len, key->bytes, sizeof key->bytes, &key->len) != SP_OK || key->len == 0)
            REFUSE("the secret is not base64");
    } else {
        REFUSE("only 'algorithm' and 'secret' may stand in a key");
    }
    if (!is(next(lx), TOKEN_SIGN, ";"))
        REFUSE("';' is missing");
    return SP_OK;
}

static bool known_algorithm(const char *name) {
    static const char *const known[] = {"hmac-sha256", "hmac-sha384", "hmac-sha512"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

static sp_err read_tsig(struct spl_key *key, struct lexer *lx, const char **what) {
    struct token t = next(lx); /* the word "key" has been read */
    if (t.kind != TOKEN_WORD || t.len == 0 || sp_name_from_text(&key->name, t.text, t.len, NULL) != SP_OK)
        REFUSE("the key's name is missing or no domain name");
    if (!is(next(lx), TOKEN_SIGN, "{"))
        REFUSE("'{' is missing");
    for (t = next(lx); !is(t, TOKEN_SIGN, "}"); t = next(lx)) {
        if (t.kind != TOKEN_WORD)
            REFUSE("the key ends too early; '}' is missing");
        SP_TRY(read_clause(key, lx, t, what));
    }
    if (!is(next(lx), TOKEN_SIGN, ";"))
        REFUSE("';' is missing after '}'");
    if (key->len == 0)
        REFUSE("the key has no secret");
    if (!known_algorithm(key->algorithm))
        REFUSE("the algorithm must be hmac-sha256, hmac-sha384 or hmac-sha512");
    if (next(lx).kind != TOKEN_END)
        REFUSE("something follows the key; only one key may stand in a file");
    key->kind = SPL_KEY_TSIG;
    return SP_OK;
}

/* ---- dnssec-keygen: a record of zone text ---- */

static sp_err read_record(struct spl_key *key, const char *text, size_t len, unsigned *line, const char **what) {
    struct sp_zonetext z;
    struct sp_zonetext_rr rr;
    struct sp_name root;
    sp_name_root(&root);
    sp_zonetext_begin(&z, text, len, &root);
    z.have_default = true; /* dnssec-keygen writes no TTL */
    sp_err e = sp_zonetext_next(&z, &rr, key->bytes, sizeof key->bytes);
    *line = e == SP_OK ? rr.line : z.error.line;
    if (e == SP_ERR_NOENT)
        REFUSE("holds no key");
    if (e != SP_OK)
        REFUSE(z.error.what != NULL ? z.error.what : "is neither a TSIG key nor a KEY record");
    if (rr.type == SP_TYPE_DNSKEY)
        REFUSE("holds a DNSKEY, which signs zones; make a key for updates with: dnssec-keygen -T KEY -n HOST -a "
               "ED25519 NAME");
    if (rr.type != SP_TYPE_KEY)
        REFUSE("holds no KEY record; give the .key file of: dnssec-keygen -T KEY -n HOST -a ED25519 NAME");
    if (rr.rdata_len < 5)
        REFUSE("the KEY record holds no key");
    key->kind = SPL_KEY_SIG0;
    key->name = rr.owner;
    key->len = rr.rdata_len;
    memmove(key->bytes, rr.rdata, rr.rdata_len);
    snprintf(key->algorithm, sizeof key->algorithm, "%u", key->bytes[3]);
    if (key->bytes[3] != 15)
        REFUSE("the key's algorithm is not Ed25519 (15); make one with: dnssec-keygen -T KEY -n HOST -a ED25519 NAME");
    struct sp_zonetext_rr more;
    uint8_t rest[SPL_KEY_BYTES];
    if (sp_zonetext_next(&z, &more, rest, sizeof rest) != SP_ERR_NOENT)
        REFUSE("something follows the key; only one key may stand in a file");
    return SP_OK;
}

sp_err spl_key_read(struct spl_key *ret, const char *text, size_t len, unsigned *ret_line, const char **ret_what) {
    memset(ret, 0, sizeof *ret);
    struct lexer lx = {text, text + len, 1};
    if (memmem(text, len, "Private-key-format:", 19) != NULL) {
        *ret_line = 1;
        *ret_what = "is the private half of a key, which stays with its owner; give the .key file";
        return SP_ERR_FORM;
    }
    struct lexer look = lx;
    if (is(next(&look), TOKEN_WORD, "key")) {
        sp_err e = read_tsig(ret, &look, ret_what);
        *ret_line = look.line;
        return e;
    }
    return read_record(ret, text, len, ret_line, ret_what);
}
