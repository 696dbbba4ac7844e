/* Zones from text, queries against them, and replies as lines of text, for tests of the store and of answering. */
#ifndef SP_TESTS_ZONE_BUILD_H
#define SP_TESTS_ZONE_BUILD_H

#include "proto/dns/zonetext.h"
#include "signpostd/core/answer.h"

#define SP_TEST_NOW 1800000000 /* wall seconds */

/* For cmocka: the beginning of a text. */
#define assert_starts(text, prefix) assert_memory_equal(text, prefix, strlen(prefix))

struct sp_test_world {
    struct sp_mem mem;
    struct sp_zones *zones;
    struct sp_view view;
    struct sp_scratch *scratch;
    struct sp_addr client;
    sp_wall now;
    uint32_t next_id;
    uint8_t query[SP_MSG_MAX], reply[SP_MSG_MAX];
    size_t query_len, reply_len;
    struct sp_msg msg;  /* the last reply */
    char text[1 << 20]; /* the last reply as lines, see sp_test_ask */
};

struct sp_test_world *sp_test_world_new(void);
/* Frees all, and aborts when the zones did not give back what they took. */
void sp_test_world_free(struct sp_test_world *w);

/* Adds a zone; text NULL: empty. Aborts on any error. */
struct sp_zone *sp_test_zone(struct sp_test_world *w, const char *apex, bool with_key, const char *text);
/* Loads zone text; "" when all is well, else "LINE: WHAT". */
const char *sp_test_load(struct sp_zone *z, const char *text);
struct sp_name sp_test_name(const char *text);
struct sp_rrs sp_test_rrs(const char *type, uint32_t ttl, const char *rdata, uint8_t *buf, size_t cap);
uint16_t sp_test_type(const char *text);

struct sp_test_q {
    const char *name, *type; /* "www.example.", "A" */
    enum sp_transport via;
    bool edns, dnssec, compact_ok;
    uint16_t flags, udp_size, rclass; /* 0: none, 1232, IN */
    const uint8_t *options;           /* EDNS options, wire */
    size_t options_len;
};
/* Writes the query into w->query. */
void sp_test_query(struct sp_test_world *w, const struct sp_test_q *q);
/* Sends w->query. */
enum sp_verdict sp_test_send(struct sp_test_world *w, enum sp_transport via);
/* Asks; returns w->text: "RCODE flags\n", then a line a record "an|ns|ar OWNER TTL TYPE RDATA". An RRSIG is verified
 * against the zone's key and reads "RRSIG TYPE ok" or "RRSIG TYPE bad"; the OPT reads "ar OPT VERSION FLAGS code:hex
 * ...". */
const char *sp_test_ask(struct sp_test_world *w, struct sp_test_q q);
/* w->reply as such lines. */
const char *sp_test_text(struct sp_test_world *w);

#endif
