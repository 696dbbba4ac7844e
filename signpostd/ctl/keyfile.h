/* Key files: what tsig-keygen and dnssec-keygen write. */
#ifndef SPL_KEYFILE_H
#define SPL_KEYFILE_H

#include "proto/dns/name.h"
#include "proto/linux/error.h"

#define SPL_KEYFILE_MAX 65536u
#define SPL_KEY_BYTES   4096

enum spl_key_kind { SPL_KEY_TSIG, SPL_KEY_SIG0 };

struct spl_key {
    enum spl_key_kind kind;
    struct sp_name name;
    char algorithm[32];           /* "hmac-sha256"; of a KEY record its number */
    uint8_t bytes[SPL_KEY_BYTES]; /* the secret, or the KEY record's rdata */
    size_t len;
};

/* Reads the one key of a file's text: `key "name" { algorithm hmac-sha256; secret "..."; };` or a KEY record, comments
 * aside. ERR_FORM; *ret_line and *ret_what (static) say where and what. Wipe *ret when done. */
SP_CHECK sp_err spl_key_read(struct spl_key *ret, const char *text, size_t len, unsigned *ret_line,
                             const char **ret_what);

#endif
