/* A reply under construction: whole RRsets or nothing, names as pointers into the question. */
#ifndef SP_CORE_REPLY_H
#define SP_CORE_REPLY_H

#include "signpostd/core/zone_int.h"

enum sp_section { SP_SECTION_ANSWER = 1, SP_SECTION_AUTHORITY, SP_SECTION_ADDITIONAL };

/* A name, and where it stands in the reply (at 0: nowhere yet). */
struct sp_place {
    const uint8_t *wire; /* lower case, uncompressed */
    uint16_t at;
    uint8_t len;
};

struct sp_reply {
    uint8_t *out;
    size_t pos, limit; /* limit: what records may fill; the OPT and a TSIG find their room behind it */
    uint16_t count[4];
    uint16_t flags, rcode;
    int ede; /* RFC 8914 info code, or -1 */
    const char *ede_text;
    struct sp_place question, last; /* names that rdata may point into */
};

struct sp_reply_mark {
    size_t pos;
    struct sp_place last;
    uint16_t count[4];
};

void sp_reply_begin(struct sp_reply *r, uint8_t *out, size_t limit, uint16_t flags);
/* Header and question with the query's spelling; false when there is no room. */
bool sp_reply_question(struct sp_reply *r, const uint8_t *name, size_t len, uint16_t type, uint16_t rclass);

static inline struct sp_reply_mark sp_reply_mark(const struct sp_reply *r) {
    return (struct sp_reply_mark){r->pos, r->last, {r->count[0], r->count[1], r->count[2], r->count[3]}};
}
static inline void sp_reply_rewind(struct sp_reply *r, const struct sp_reply_mark *m) {
    r->pos = m->pos;
    r->last = m->last;
    memcpy(r->count, m->count, sizeof m->count);
}
/* An owner or signer some labels up from a placed name. */
struct sp_place sp_reply_above(const struct sp_reply *r, struct sp_place name, unsigned skip);
/* One record; false changes nothing. */
bool sp_reply_rr(struct sp_reply *r, enum sp_section section, struct sp_place owner, uint16_t type, uint32_t ttl,
                 const uint8_t *rdata, size_t len);
/* All records of an RRset; names in rdata of the types of RFC 1035 are compressed. places (or NULL) gets where the
 * first `cap` names of NS or CNAME rdata stand. False when it does not fit: then nothing is written. */
bool sp_reply_rrset(struct sp_reply *r, enum sp_section section, struct sp_place owner, const struct sp_rrset *set,
                    uint32_t ttl, struct sp_place *places, size_t cap);
/* Counts and flags into the header. */
void sp_reply_header(struct sp_reply *r, uint16_t id);

#endif
