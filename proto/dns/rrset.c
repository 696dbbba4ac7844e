#include "proto/dns/rrset.h"

/* RFC 4034 6.3: left-justified octet strings. */
int sp_rdata_cmp(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len) {
    size_t n = a_len < b_len ? a_len : b_len;
    int d = n > 0 ? memcmp(a, b, n) : 0;
    return d != 0 ? d : (a_len > b_len) - (a_len < b_len);
}
