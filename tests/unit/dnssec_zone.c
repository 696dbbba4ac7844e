/* Prints a zone signed now, with an NSEC chain, in zone text with generic rdata (RFC 3597), for other people's
 * validators. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/dns/dnssec.h"
#include "proto/dns/rrtype.h"

static struct sp_zone_key key;
static uint8_t scratch[65536];

static struct sp_name name_of(const char *text) {
    struct sp_name name;
    if (sp_name_from_text(&name, text, strlen(text), NULL) != SP_OK)
        sp_panic(__FILE__, __LINE__, text);
    return name;
}

static void print_rr(const struct sp_name *owner, uint16_t type, const uint8_t *rdata, size_t len) {
    char name[SP_NAME_TEXT_MAX];
    sp_name_to_text(owner, name);
    printf("%s 300 IN TYPE%u \\# %zu ", name, type, len);
    for (size_t i = 0; i < len; i++)
        printf("%02x", rdata[i]);
    printf("\n");
}

static void print_signed(const struct sp_name *owner, uint16_t type, const uint8_t *data, size_t len) {
    struct sp_rrs rrs = {type, SP_CLASS_IN, 300, 0, data, len};
    struct sp_rd rd = sp_rd_init(data, len);
    const uint8_t *rdata;
    size_t n;
    uint8_t sig[SP_RRSIG_RDATA_MAX];
    for (; sp_rrs_next(&rd, &rdata, &n); rrs.count++)
        print_rr(owner, type, rdata, n);
    sp_wall now = sp_wall_from_sec((uint64_t)time(NULL));
    if (sp_dnssec_sign(&key, owner, &rrs, sp_sig_window_at(now), scratch, sizeof scratch, sig, &n) != SP_OK)
        sp_panic(__FILE__, __LINE__, "sign");
    print_rr(owner, SP_TYPE_RRSIG, sig, n);
}

#define PRINT(type, bytes) print_signed(&owner, type, (const uint8_t *)bytes, sizeof bytes - 1)

static void print_nsec(const char *text, const char *next_text, const uint16_t *types, size_t n) {
    struct sp_name owner = name_of(text), next = name_of(next_text);
    uint8_t buf[300];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    size_t at = sp_wr_len16_begin(&wr);
    sp_name_write(&wr, &next);
    sp_type_bitmap(&wr, types, n);
    sp_wr_len16_end(&wr, at);
    print_signed(&owner, SP_TYPE_NSEC, buf, sp_wr_len(&wr));
}

int main(void) {
    struct sp_ed25519 ed;
    struct sp_name zone = name_of("me.signpost."), owner = zone;
    uint8_t dnskey[2 + SP_DNSKEY_RDATA] = {0, SP_DNSKEY_RDATA}, ds[SP_DS_RDATA];
    if (sp_crypto_init() != SP_OK)
        return 1;
    sp_ed25519_from_seed(&ed, (const uint8_t *)"a seed of thirty-two bytes, here");
    sp_zone_key_init(&key, &zone, &ed);
    sp_dnskey_rdata(&key, dnskey + 2);
    sp_ds_rdata(&key, ds);
    printf("; DS ");
    for (size_t i = 0; i < sizeof ds; i++)
        printf("%02x", ds[i]);
    printf("\n");
    PRINT(SP_TYPE_SOA, "\0\x36\2ns\2me\x08signpost\0\4host\2me\x08signpost\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5");
    PRINT(SP_TYPE_NS, "\0\x10\2ns\2me\x08signpost\0");
    print_signed(&zone, SP_TYPE_DNSKEY, dnskey, sizeof dnskey);
    print_nsec("me.signpost.", "*.me.signpost.", (uint16_t[]){2, 6, 46, 47, 48}, 5);
    owner = name_of("*.me.signpost.");
    PRINT(SP_TYPE_TXT, "\0\4\3any\0\6\5"
                       "bytes");
    print_nsec("*.me.signpost.", "Laptop.me.signpost.", (uint16_t[]){16, 46, 47}, 3);
    owner = name_of("Laptop.me.signpost.");
    PRINT(SP_TYPE_A, "\0\4\300\0\2\1\0\4\300\0\2\2\0\4\300\0\2\3");
    PRINT(SP_TYPE_MX, "\0\x12\0\x0a\2mx\2me\x08signpost\0");
    print_nsec("Laptop.me.signpost.", "ns.me.signpost.", (uint16_t[]){1, 15, 46, 47}, 4);
    owner = name_of("ns.me.signpost.");
    PRINT(SP_TYPE_AAAA, "\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1");
    PRINT(65400, "\0\0\0\2\1\2");
    print_nsec("ns.me.signpost.", "me.signpost.", (uint16_t[]){28, 46, 47, 65400}, 4);
    return 0;
}
