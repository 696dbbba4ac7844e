/* Dynamic update: who may write what, prerequisites, changes, leases, replay state, budgets, joining.
 * RFC 2136, 3007, 2931, 8945, 9664. Pure decisions over zone.h; the log and the transports are server.c's. */
#ifndef SP_CORE_UPDATE_H
#define SP_CORE_UPDATE_H

#include "proto/base/timers.h"
#include "proto/base/trace.h"
#include "proto/dns/sig0.h"
#include "proto/dns/tsig.h"
#include "signpostd/core/answer.h"

/* Kinds of log records; every one says what is (idempotent), see proto/log/log.h. Bodies: signpostd/core/record.h. */
enum sp_record_kind {
    SP_REC_ZONE = 1,   /* zone: apex, DNSSEC seed, root seed, signpost seed */
    SP_REC_ZONE_GONE,
    SP_REC_CHANGE,     /* RRsets as they are now, leases granted, and the replay state of the key that signed */
    SP_REC_KEY,        /* a TSIG key or foreign KEY with its policy */
    SP_REC_KEY_GONE,
    SP_REC_INVITE,     /* public half, name, expiry */
    SP_REC_INVITE_GONE,
};

/* Extended DNS errors (RFC 8914) that updates use; a refused update carries one. */
enum sp_ede { SP_EDE_OTHER = 0, SP_EDE_BOGUS = 6, SP_EDE_SIG_EXPIRED = 7, SP_EDE_SIG_NOT_YET = 8, SP_EDE_NOT_READY = 14,
              SP_EDE_PROHIBITED = 18, SP_EDE_NOT_AUTH = 20, SP_EDE_NOT_SUPPORTED = 21, SP_EDE_INVALID = 24 };

struct sp_budgets {
    uint32_t verify_per_s;            /* global, UDP */
    uint32_t verify_tcp_per_s;        /* global, TCP */
    uint32_t verify_prefix_per_s;     /* per source /24 or /56, UDP, for keys not yet proven from there */
    uint32_t verify_key_per_s;        /* per known key */
    uint32_t sign_per_batch;          /* new signatures while input is backed up */
};

struct sp_update_counts {
    uint64_t received, accepted, unchanged, refused;
    uint64_t sig0_ok, sig0_badkey, sig0_badsig, sig0_time, sig0_replay, sig0_budget, sig0_form;
    uint64_t tsig_ok, tsig_badkey, tsig_badsig, tsig_time, tsig_form;
    uint64_t leases, lease_expiries, joins, joins_refused;
    uint64_t by_rcode[32];
    uint64_t latency_us_sum, latency_us_bucket[16]; /* accepted to acknowledged; bucket i: below 2^(i+4) us */
};

#endif
