#include "proto/dns/rdata.h"
#include "proto/dns/text.h"

/* The one table. Direct index: a lookup is on the path of every record that is written. */
#define ROWS 258
static const struct sp_type_row rows[ROWS] = {
    [SP_TYPE_A] = {"A", "a"},                      /* RFC 1035 3.4.1 */
    [SP_TYPE_NS] = {"NS", "N"},                    /* RFC 1035 3.3.11 */
    [SP_TYPE_CNAME] = {"CNAME", "N"},              /* RFC 1035 3.3.1 */
    [SP_TYPE_SOA] = {"SOA", "NN4pppp"},            /* RFC 1035 3.3.13 */
    [SP_TYPE_PTR] = {"PTR", "N"},                  /* RFC 1035 3.3.12 */
    [SP_TYPE_MX] = {"MX", "2N"},                   /* RFC 1035 3.3.9 */
    [SP_TYPE_TXT] = {"TXT", "S"},                  /* RFC 1035 3.3.14 */
    [SP_TYPE_SIG] = {"SIG", "tA14ee2DB"},          /* RFC 2535 4.1, RFC 2931 */
    [SP_TYPE_KEY] = {"KEY", "21AO"},               /* RFC 2535 3.1, RFC 3445 */
    [SP_TYPE_AAAA] = {"AAAA", "b"},                /* RFC 3596 2.2 */
    [SP_TYPE_SRV] = {"SRV", "222D"},               /* RFC 2782 */
    [SP_TYPE_DNAME] = {"DNAME", "L"},              /* RFC 6672 2.1 */
    [SP_TYPE_OPT] = {"OPT", "o"},                  /* RFC 6891 6.1 */
    [SP_TYPE_DS] = {"DS", "2A1G"},                 /* RFC 4034 5 */
    [SP_TYPE_SSHFP] = {"SSHFP", "11H"},            /* RFC 4255 3 */
    [SP_TYPE_RRSIG] = {"RRSIG", "tA14ee2LB"},      /* RFC 4034 3 */
    [SP_TYPE_NSEC] = {"NSEC", "PT"},               /* RFC 4034 4 */
    [SP_TYPE_DNSKEY] = {"DNSKEY", "21AB"},         /* RFC 4034 2 */
    [SP_TYPE_NSEC3] = {"NSEC3", "112xzT"},         /* RFC 5155 3 */
    [SP_TYPE_NSEC3PARAM] = {"NSEC3PARAM", "112x"}, /* RFC 5155 4 */
    [SP_TYPE_TLSA] = {"TLSA", "111H"},             /* RFC 6698 2 */
    [SP_TYPE_CDS] = {"CDS", "2A1G"},               /* RFC 7344 3.1, RFC 8078 4 */
    [SP_TYPE_CDNSKEY] = {"CDNSKEY", "21AB"},       /* RFC 7344 3.2 */
    [SP_TYPE_CSYNC] = {"CSYNC", "42T"},            /* RFC 7477 2 */
    [SP_TYPE_SVCB] = {"SVCB", "2Pk"},              /* RFC 9460 2 */
    [SP_TYPE_HTTPS] = {"HTTPS", "2Pk"},            /* RFC 9460 9 */
    [SP_TYPE_NXNAME] = {"NXNAME", NULL},           /* RFC 9824 2 */
    [SP_TYPE_TKEY] = {"TKEY", NULL},               /* RFC 2930 */
    [SP_TYPE_TSIG] = {"TSIG", "P62m22m"},          /* RFC 8945 4.2 */
    [SP_TYPE_IXFR] = {"IXFR", NULL},               /* RFC 1995 */
    [SP_TYPE_AXFR] = {"AXFR", NULL},               /* RFC 5936 */
    [SP_TYPE_ANY] = {"ANY", NULL},                 /* RFC 1035 3.2.3 */
    [SP_TYPE_CAA] = {"CAA", "1gv"},                /* RFC 8659 4.1 */
};

static const struct sp_type_row no_row = {NULL, NULL};

const struct sp_type_row *sp_type_row(uint16_t type) {
    return type < ROWS ? &rows[type] : &no_row;
}

void sp_type_to_text(uint16_t type, char ret[16]) {
    struct sp_wr wr = sp_wr_init(ret, 15);
    const char *name = sp_type_row(type)->name;
    if (name != NULL) {
        sp_text_string(&wr, name);
    } else {
        sp_text_string(&wr, "TYPE");
        sp_text_u32(&wr, type);
    }
    *wr.pos = 0;
}

sp_err sp_type_from_text(const char *text, size_t len, uint16_t *ret) {
    for (uint16_t type = 0; type < ROWS; type++) {
        if (rows[type].name != NULL && sp_text_same(text, len, rows[type].name)) {
            *ret = type;
            return SP_OK;
        }
    }
    uint64_t v;
    if (len <= 4 || !sp_text_same(text, 4, "TYPE") || sp_text_to_u64(text + 4, len - 4, UINT16_MAX, &v) != SP_OK)
        return SP_ERR_NOENT;
    *ret = (uint16_t)v;
    return SP_OK;
}

bool sp_type_is_meta(uint16_t type) {
    return type == 0 || type == SP_TYPE_OPT || (type >= 128 && type <= 255) || (type >= SP_TYPE_SPJOIN && type <= SP_TYPE_SPPEERS);
}
