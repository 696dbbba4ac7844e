#include "client/core/mesh.h"
#include "client/core/report.h"
#include "proto/control/operator.h"

static void put_places(struct sp_wr *wr, const struct sp_userspace_config *c) {
    sp_op_begin(wr, SP_OP_LIST, "proxies");
    for (unsigned i = 0; i < c->proxy_count; i++)
        sp_report_endpoint(wr, "", &c->proxies[i]);
    sp_op_end(wr);
    sp_op_begin(wr, SP_OP_LIST, "forwards");
    for (unsigned i = 0; i < c->forward_count; i++) {
        sp_op_begin(wr, SP_OP_RECORD, "");
        sp_report_endpoint(wr, "listen", &c->forwards[i].listen);
        sp_report_name(wr, "name", &c->forwards[i].name);
        sp_op_u64(wr, "port", c->forwards[i].port);
        sp_op_end(wr);
    }
    sp_op_end(wr);
    sp_op_begin(wr, SP_OP_LIST, "serves");
    for (unsigned i = 0; i < c->serve_count; i++) {
        sp_op_begin(wr, SP_OP_RECORD, "");
        sp_op_u64(wr, "port", c->serves[i].port);
        sp_report_endpoint(wr, "target", &c->serves[i].target);
        sp_op_end(wr);
    }
    sp_op_end(wr);
}

/* Those that came: there are many reasons, and most never occur. */
static void put_refusals(struct sp_wr *wr, const struct sp_userspace *us) {
    const struct sp_tcp_counts *t = sp_tcp_counts(us->tcp);
    sp_op_begin(wr, SP_OP_RECORD, "refusals");
    for (unsigned i = SP_PROXY_OK + 1; i < SP_PROXY_RESULTS; i++)
        if (us->counts.refusals[i] > 0)
            sp_op_u64(wr, sp_proxy_result_name(i), us->counts.refusals[i]);
    if (t->drops[SP_TCP_DROP_CLOSED] > 0)
        sp_op_u64(wr, "not_served", t->drops[SP_TCP_DROP_CLOSED]);
    sp_op_end(wr);
}

static void put_counts(struct sp_wr *wr, const struct sp_userspace *us) {
    const struct sp_point_counts *p = sp_point_counts(us->point);
    const struct sp_tcp_counts *t = sp_tcp_counts(us->tcp);
    sp_op_begin(wr, SP_OP_RECORD, "counts");
#define X(name) sp_op_u64(wr, #name, us->counts.name);
    SP_USERSPACE_COUNT_LIST(X)
#undef X
    sp_op_u64(wr, "packets_in", p->packets_in);
    sp_op_u64(wr, "packets_out", p->packets_out);
    sp_op_u64(wr, "retransmitted", t->retransmitted);
    sp_op_u64(wr, "timeouts", t->timeouts);
    sp_op_end(wr);
}

void sp_userspace_report(const struct sp_mesh *mesh, struct sp_wr *wr) {
    const struct sp_userspace *us = mesh->userspace;
    if (us == NULL)
        return;
    sp_op_begin(wr, SP_OP_RECORD, "userspace");
    put_places(wr, &mesh->config.userspace);
    sp_op_u64(wr, "connections", us->pairs);
    sp_op_u64(wr, "limit", us->limit);
    put_counts(wr, us);
    put_refusals(wr, us);
    sp_op_end(wr);
}
