/* How many new signatures a call may make for UDP queries.
 *
 * A signature costs as much as several answers that need none (about 25 us against 4 us with the kernel's share), so a
 * flood of names nobody asked for before could take the CPU from everybody else. But a load of nothing but new names,
 * however many are outstanding, harms nobody by being signed at full speed. So signatures are throttled only while both
 * hold:
 *
 * - The CPU is contended: this call is backed up (SP_SIGNING_BACKED_UP datagrams or more), or what the window's answers
 *   and signatures are known to cost comes near the time that the window took.
 * - Others are served beside it: in the window at least one answer in 64 needed no new signature.
 *
 * Throttled, every SP_SIGNING_BATCH datagrams that arrive pay for budgets.sign_per_batch signatures (2: about a
 * twentieth of the CPU time; a flood's own datagrams take their part too), saved up to a few batches'. Signatures that
 * are kept with what they cover are an investment that a zone can ask for only so often (once an RRset and window):
 * they get SP_SIGNING_KEPT times as many beside, so that a server which has just started warms up soon. Otherwise a
 * call may make all the signatures that its queries ask for.
 *
 * The window is the present and the last finished half of 10 ms each; time is the caller's. */
#ifndef SP_CORE_SIGNING_H
#define SP_CORE_SIGNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/time.h"

#define SP_SIGNING_BACKED_UP     64
#define SP_SIGNING_BATCH         256
#define SP_SIGNING_HALF          (10 * SP_MS)
#define SP_SIGNING_ANSWER_COST   (4 * SP_US)
#define SP_SIGNING_COST          (25 * SP_US)
#define SP_SIGNING_KEPT          8
#define SP_SIGNING_TCP           64 /* a call's own allowance for TCP queries */
#define SP_SIGNING_TCP_THROTTLED 8

struct sp_signing_half {
    uint64_t answers, cold, made; /* cold: answers that needed new signatures, made or refused */
};

struct sp_signing {
    uint32_t per_batch;
    sp_instant half_begin;
    struct sp_signing_half now, before;
    uint32_t saved; /* in parts of a signature, SP_SIGNING_BATCH to one */
    bool throttled; /* this call */
};

void sp_signing_init(struct sp_signing *g, uint32_t per_batch, sp_instant now);
/* The allowance of a call that brings n datagrams, and beside it that for signatures which are kept. */
uint32_t sp_signing_begin(struct sp_signing *g, sp_instant now, size_t n, uint32_t *ret_kept);
/* What the call did over UDP; made: signatures of both kinds, spent: those drawn on the allowance. */
void sp_signing_end(struct sp_signing *g, uint64_t answers, uint64_t cold, uint64_t made, uint64_t spent);

#endif
