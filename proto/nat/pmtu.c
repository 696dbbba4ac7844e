#include "proto/nat/probe.h"

#define ASKED       4 /* PINGs of a first question: one and three repeats */
#define ASKED_AGAIN 3 /* of a verification */
#define REPEAT_MIN  (100 * SP_MS)
#define VERIFY      (15 * SP_SEC)
#define RETRY       (60 * SP_SEC)

void sp_pmtu_begin(struct sp_pmtu *m, sp_instant now) {
    *m = (struct sp_pmtu){.state = SP_PMTU_PROBING, .next = now};
}

bool sp_pmtu_due(struct sp_pmtu *m, sp_instant now, sp_duration rtt, uint64_t cookie) {
    if (m->state == SP_PMTU_UNKNOWN || now < m->next)
        return false;
    if (m->state == SP_PMTU_SMALL)
        m->state = SP_PMTU_PROBING;
    if (m->sent >= (m->state == SP_PMTU_FULL ? ASKED_AGAIN : ASKED)) {
        m->state = SP_PMTU_SMALL;
        m->sent = 0;
        m->next = sp_instant_add(now, RETRY);
        return false;
    }
    m->cookies[m->sent++] = m->cookie = cookie;
    m->next = sp_instant_add(now, rtt < REPEAT_MIN ? REPEAT_MIN : rtt);
    return true;
}

bool sp_pmtu_pong(struct sp_pmtu *m, const struct sp_probe *pong, sp_instant now) {
    if (pong->kind != SP_PROBE_PONG || pong->size < SP_PATH_FULL)
        return false;
    /* One that comes later than the repeat counts as well. */
    for (unsigned i = 0; i < m->sent; i++)
        if (m->cookies[i] == pong->cookie) {
            m->state = SP_PMTU_FULL;
            m->sent = 0;
            m->next = sp_instant_add(now, VERIFY);
            return true;
        }
    return false;
}
