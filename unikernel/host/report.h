/* What the console says of the network: addresses that came and went, the link, what is waited for; and the syslog
 * messages of all that the console says, where the operator asks for them. Looked at in each turn of the loop, which
 * costs a comparison when nothing has changed.
 *
 * Lines are bounded: 20 at once and one each 2 seconds after that. They compare what was said last with what is, so
 * that what comes and goes meanwhile is passed over and the last word is right. */
#ifndef SPX_REPORT_H
#define SPX_REPORT_H

#include "proto/base/bucket.h"
#include "proto/direct/direct.h"
#include "unikernel/host/cmdline.h"
#include "unikernel/host/syslog.h"

struct spx_loop;

struct spx_report {
    sp_instant wake; /* when there is more to do, without an event */
    uint32_t generation;
    uint64_t conflicts;
    bool behind; /* not all was said yet */
    bool link_down;
    struct sp_addr said[SP_NET_ADDRESSES], doubles[SP_NET_ADDRESSES];
    uint8_t said_count, double_count;
    struct {
        bool automatic, waiting, late;
        sp_instant patience;
    } families[2]; /* IPv4, IPv6 */
    struct sp_bucket lines, messages;
    struct sp_addr syslog; /* family 0: none */
    const char *hostname;  /* in the messages */
    struct spx_syslog queue;
};

/* From now on the console's lines go to syslog=ADDR too, if there is one; they wait until it can be reached. */
void spx_report_syslog(struct spx_report *r, const struct spx_cmdline *wanted);
/* What is to be waited for. */
void spx_report_start(struct spx_report *r, const struct spx_cmdline *wanted);
void spx_report_turn(struct spx_loop *l);
/* Sends what syslog messages there are, whatever their pace. */
void spx_report_flush(struct spx_loop *l);

void spx_report_addr(struct spx_text *t, const struct sp_addr *addr);

#endif
