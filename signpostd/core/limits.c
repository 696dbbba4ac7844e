/* How much a server may hold. */
#include "signpostd/core/budget.h"
#include "signpostd/core/ctl.h"
#include "signpostd/core/server_int.h"

void sp_limits_default(struct sp_limits *ret) {
    *ret = (struct sp_limits){
        .zones = 1024,
        .names = 2000000,
        .devices = 1000000,
        .leases = 2000000,
        .keys = 10000,
        .invites = 10000,
        .streams = 4096,
        .streams_per_prefix = 256,
        .updates_in_flight = 4096,
        .sessions = 100000,
        .channels = 200000,
        .channels_per_session = 256,
        .operator_request = 1u << 20,
        .prefixes = 8192,
        .outbox = 512u << 10,
        .reply = 256u << 10,
        .log_blocks = SP_LOG_GROUP_MAX,
        .memory = (size_t)4 << 30,
    };
}

bool sp_limits_ok(const struct sp_limits *l) {
    return l->channels_per_session > 0 && l->zones > 0 && l->names > 0 && l->updates_in_flight > 0 &&
           l->prefixes >= SP_PREFIX_WAYS && (l->prefixes & (l->prefixes - 1)) == 0 && l->outbox >= SP_OUTBOX_MIN &&
           l->reply >= SP_CTL_REPLY_MIN && l->log_blocks >= SP_LOG_GROUP_MIN && l->log_blocks <= SP_LOG_GROUP_MAX;
}
