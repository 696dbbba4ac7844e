/* Replies as the NSS module reads them, inside every program of a host: first byte the type of the question, then the
 * reply with id and question put in. Also the bytes as a name to ask for. */
#include "client/nss/wire.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_name(const uint8_t *data, size_t len) {
    uint8_t query[NSS_QUERY_MAX];
    char *name = malloc(len + 1);
    memcpy(name, data, len);
    name[len] = 0;
    size_t n = nss_wire_query(name, NSS_TYPE_A, 1, query, sizeof query);
    if (n != 0 && (n < 12 + 3 + 4 || n > 12 + 255 + 4))
        abort();
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const uint16_t types[] = {NSS_TYPE_A, NSS_TYPE_AAAA, NSS_TYPE_PTR};
    uint8_t query[NSS_QUERY_MAX];
    struct nss_reply r;
    if (len < 10 || len > NSS_REPLY_MAX)
        return 0;
    fuzz_name(data, len);
    size_t query_len = nss_wire_query("laptop.me.signpost", types[data[0] % 3], 0x5350, query, sizeof query);
    /* An exact allocation: id, flags and counts of the input, our question, the rest. */
    size_t n = query_len + len - 10;
    uint8_t *reply = malloc(n);
    memcpy(reply, query, query_len);
    memcpy(reply + 2, data + 1, 2);
    memcpy(reply + 6, data + 3, 6);
    memcpy(reply + query_len, data + 10, len - 10);
    if (nss_wire_reply(&r, query, query_len, reply, n) &&
        (r.count > NSS_ADDRS_MAX || memchr(r.name, 0, sizeof r.name) == NULL))
        abort();
    free(reply);
    return 0;
}
