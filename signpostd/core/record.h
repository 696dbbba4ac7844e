/* Bodies of log records: a version byte, then by kind. All integers big endian, names uncompressed and in lower case.
 *
 *   ZONE         apex, signpost's name, seeds: DNSSEC, root, signpost (32 bytes each)
 *   ZONE_GONE    nothing
 *   CHANGE       u8 flags; with REPLAY: the replay state; with INVITE: the used invite's public key (32); then RRsets
 * to the end replay     u8 kind (enum sp_msg_auth), name, public key (32), u64 inception, u64 expiration, u64 signature
 * hash, u16 rcode RRset      owner, u16 type, u32 TTL, u16 count (0: gone), u32 length, that many bytes of (u16 length,
 * rdata) in canonical order, u8 whether leases follow, then count times u32 lease in seconds (0: none) KEY          u8
 * kind, name; TSIG: u8 hash, u8 length, secret; SIG(0): public key (32); u16 length, policy text KEY_GONE     name
 *   INVITE       public key (32), name, u64 expiry
 *   INVITE_GONE  public key (32)
 */
#ifndef SP_CORE_RECORD_H
#define SP_CORE_RECORD_H

#include "signpostd/core/update.h"

#define SP_RECORD_VERSION 1

enum sp_change_flag {
    SP_CHANGE_REPLAY = 1,
    SP_CHANGE_INVITE = 2,
    SP_CHANGE_BULK = 4,      /* part of a transaction that needs several records; holds no leases */
    SP_CHANGE_CONTINUES = 8, /* not the first of them */
    SP_CHANGE_MORE = 16,     /* not the last of them */
};

struct sp_rec_replay {
    enum sp_msg_auth kind;
    struct sp_name name;
    uint8_t pub[SP_ED25519_PUB];
    uint64_t inception, expiration, hash;
    uint16_t rcode;
};

struct sp_rec_change {
    uint8_t flags;
    struct sp_rec_replay replay;
    const uint8_t *invite; /* in the body */
};

struct sp_rec_rrset {
    struct sp_name owner;
    struct sp_rrs rrs;     /* borrows the body */
    const uint8_t *leases; /* rrs.count times u32, or NULL */
};

struct sp_rec_key {
    enum sp_msg_auth kind;
    struct sp_tsig_key tsig; /* its name for both kinds */
    uint8_t pub[SP_ED25519_PUB];
    const char *policy; /* in the body */
    size_t policy_len;
};

/* Longest policy text. */
#define SP_POLICY_TEXT_MAX 1024

/* Writers begin with the version; the cursor's error tells whether it fitted. */
void sp_record_zone_write(struct sp_wr *wr, const struct sp_zone_secrets *z);
void sp_record_change_write(struct sp_wr *wr, const struct sp_rec_change *c);
/* lease: NULL, or a function that tells each rdata's lease; `ctx` is passed on. */
typedef uint32_t sp_record_lease(void *ctx, const uint8_t *rdata, size_t len);
void sp_record_rrset_write(struct sp_wr *wr, const struct sp_name *owner, const struct sp_rrs *rrs,
                           sp_record_lease *lease, void *ctx);
void sp_record_key_write(struct sp_wr *wr, const struct sp_rec_key *k);
void sp_record_name_write(struct sp_wr *wr, const struct sp_name *name); /* KEY_GONE */
void sp_record_invite_write(struct sp_wr *wr, const struct sp_invite_info *i);
void sp_record_pub_write(struct sp_wr *wr, const uint8_t pub[SP_ED25519_PUB]); /* INVITE_GONE */
void sp_record_empty_write(struct sp_wr *wr);                                  /* ZONE_GONE */

/* Readers check everything. ERR_CORRUPT: damaged; ERR_UNSUP: a later version's. */
SP_CHECK sp_err sp_record_open(struct sp_rd *ret, const uint8_t *body, size_t len); /* past the version */
SP_CHECK sp_err sp_record_zone_read(struct sp_rd *rd, struct sp_zone_secrets *ret);
/* Up to the RRsets, which sp_record_rrset_read then gives one by one; ERR_NOENT at the end. */
SP_CHECK sp_err sp_record_change_read(struct sp_rd *rd, struct sp_rec_change *ret);
SP_CHECK sp_err sp_record_rrset_read(struct sp_rd *rd, struct sp_rec_rrset *ret);
SP_CHECK sp_err sp_record_key_read(struct sp_rd *rd, struct sp_rec_key *ret);
SP_CHECK sp_err sp_record_name_read(struct sp_rd *rd, struct sp_name *ret);
SP_CHECK sp_err sp_record_invite_read(struct sp_rd *rd, struct sp_invite_info *ret);
SP_CHECK sp_err sp_record_pub_read(struct sp_rd *rd, uint8_t ret[SP_ED25519_PUB]);

#endif
