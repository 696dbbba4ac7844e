/* Behaviour discovery (RFC 5780 4): finds out how the NAT in front of one socket maps and filters, by Binding requests to the
 * signpost's addresses. With one address and one port at the server much stays UNKNOWN, and is said to be. Sans-I/O. */
#ifndef SP_NAT_BEHAVE_H
#define SP_NAT_BEHAVE_H

#include "proto/base/rng.h"
#include "proto/nat/stun.h"

#define SP_BEHAVE_SERVERS 8
#define SP_BEHAVE_TESTS   16

struct sp_behave_result {
    bool done;
    bool udp;                     /* any answer came */
    uint8_t mapping, filtering;
    bool hairpin_known, hairpin;
    bool sequential;              /* outside ports of two new mappings follow each other (by at most 4) */
    struct sp_addr mapped[2];     /* seen from outside: [0] first server; [1] another, if it differs; family 0: none */
    sp_duration rtt;              /* least of all answers; 0: none */
};

/* One test under way; this struct's fields and the next one's are this room's. */
struct sp_behave_test {
    uint8_t id[12];
    uint8_t what, sent;
    bool answered, refused;
    sp_instant at, resend_at;     /* sent first; to be sent next */
    struct sp_addr to, mapped;    /* mapped: seen in the answer; in the tests of filtering, where the answer came from */
};
struct sp_behave {
    struct sp_addr servers[SP_BEHAVE_SERVERS];
    unsigned count, tried;        /* servers; asked until one answers */
    struct sp_addr own[SP_CANDIDATES_MAX];
    unsigned own_count;
    struct sp_addr primary, other; /* the server that answered first, and its OTHER-ADDRESS */
    struct sp_behave_test tests[SP_BEHAVE_TESTS];
    unsigned test_count;
    uint8_t phase;
    sp_instant end, phase_end;
    struct sp_behave_result result;
};

/* servers: of one address family, the preferred first; own: the host's addresses with the socket's port (to see that there is no
 * NAT). At most 8 and 12 of them count. Takes at most 5 s, often one; requests are repeated after 250 ms, doubled, 4 times at most.
 * The socket may have talked to any of them before, and filters let in whom one talked to: filtering is told by addresses
 * and ports of the first server that are not among them, so the fewer are named the more is found.
 * The result's `udp`, `mapped[0]` and `rtt` are there as soon as known, the rest when `done`. */
void sp_behave_start(struct sp_behave *b, const struct sp_addr *servers, unsigned n, const struct sp_addr *own, unsigned n_own,
                     struct sp_rng *rng, sp_instant now);
/* A STUN message came to the socket. True: it was of this run. */
bool sp_behave_input(struct sp_behave *b, const struct sp_stun *m, const struct sp_addr *src, struct sp_rng *rng, sp_instant now);
void sp_behave_expire(struct sp_behave *b, struct sp_rng *rng, sp_instant now);
sp_instant sp_behave_deadline(const struct sp_behave *b); /* SP_NEVER when idle */
/* The next request to send; 0: none now. */
size_t sp_behave_output(struct sp_behave *b, sp_instant now, uint8_t *out, size_t cap, struct sp_addr *ret_to);
const struct sp_behave_result *sp_behave_result(const struct sp_behave *b);
/* A second run on the same socket, with the same mapping: the first has opened the filter for all addresses that it asked, so
 * its verdict on filtering stays, unless even those are kept out now. before: of the run before, or zeroed. */
void sp_behave_keep(struct sp_behave_result *r, const struct sp_behave_result *before);

#endif
