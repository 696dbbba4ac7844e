/* A whole signpost: clients update their names over a bad net while the power fails; after each restart the names show
 * every acknowledged update, unacknowledged ones wholly or not at all, and at the end the zone's hash chain is the same
 * from the disk. */
#define _GNU_SOURCE
#include "tests/sim/powercut.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/operator.h"
#include "tests/sim/client.h"

#define CLIENTS    4
#define LIFE       (20 * SP_SEC)
#define STEP_READY (1 + CLIENTS) /* zone add, and a key a client */

struct world {
    struct sim *sim;
    struct sim_net net;
    struct sim_server server;
    struct sim_client client[CLIENTS];
    struct powercut_result *result;
    struct sp_name zone;
    unsigned step;  /* of the operator */
    uint64_t asked; /* the id of the request that waits, or 0 */
    uint64_t ids;
    bool looked; /* in this life */
    bool ending; /* the clients rest */
    uint8_t chain[64];
    size_t chain_len;
    uint64_t durable;
    bool told; /* chain and durable are news */
};

static void request(struct world *w, struct sp_wr *wr) {
    sim_check(w->sim, wr->err == SP_OK, "request");
    w->asked = ++w->ids;
    sim_server_control(&w->server, w->asked, wr->base, sp_wr_len(wr));
}

/* What the next step needs; its reply comes when it is durable. */
static void operate(struct world *w) {
    uint8_t buf[512], key[SP_KEY_RDATA];
    char text[SP_NAME_TEXT_MAX];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    if (w->step == 0) {
        sp_op_request_begin(&wr, SP_OP_ZONE_ADD);
        sp_op_arg_text(&wr, "example.");
        sp_op_arg_text(&wr, "");
        sp_op_arg_text(&wr, "10.0.0.1");
    } else {
        struct sim_client *c = &w->client[w->step - 1];
        sp_name_to_text(&c->owner, text);
        sp_key_rdata(c->key.pub, key);
        sp_op_request_begin(&wr, SP_OP_KEY_ADD);
        sp_op_arg_text(&wr, "example.");
        sp_op_arg_text(&wr, "key");
        sp_op_arg_text(&wr, text);
        sp_op_arg_text(&wr, "");
        sp_op_arg(&wr, key, sizeof key);
        char policy[SP_NAME_TEXT_MAX + 32];
        snprintf(policy, sizeof policy, "names=*.%s types=TXT", text);
        sp_op_arg_text(&wr, policy);
    }
    request(w, &wr);
}

static void controlled(void *ctx, uint64_t id, const uint8_t *reply, size_t len) {
    struct world *w = ctx;
    struct sp_rd rd = sp_rd_init(reply, len);
    enum sp_op_status status;
    struct sp_op_item item;
    sim_check(w->sim, sp_op_reply_read(&rd, &status) == SP_OK, "a control reply that does not parse");
    sim_note(w->sim, "control", id, status);
    if (id != w->asked)
        return;
    w->asked = 0;
    bool there = false, disk = false;
    while (sp_op_next(&rd, &item) == SP_OK) {
        if (item.kind == SP_OP_STR && strcmp(item.key, "error") == 0) {
            if (w->sim->verbose)
                printf("error: %.*s\n", (int)item.len, (const char *)item.data);
            there = memmem(item.data, item.len, "already", 7) != NULL ||
                    memmem(item.data, item.len, "has this key", 12) != NULL;
            disk = memmem(item.data, item.len, "disk", 4) != NULL;
        }
        if (strcmp(item.key, "chain") == 0 && item.len <= sizeof w->chain) {
            memcpy(w->chain, item.data, item.len);
            w->chain_len = item.len;
        }
        if (strcmp(item.key, "durable") == 0) {
            w->durable = item.number;
            w->told = true;
        }
    }
    if (w->step == STEP_READY)
        return;
    /* Done before a cut that swallowed the reply is done too. */
    sim_check(w->sim, status == SP_OP_OK || there || disk, "the operator's step %u failed", w->step);
    w->step += status == SP_OP_OK || there;
}

/* The zone that the operator added answers for itself. */
static void look_at_zone(struct world *w) {
    struct sp_msgw q;
    uint8_t query[512];
    sp_msgw_begin(&q, query, sizeof query, 78, 0);
    sp_msgw_question(&q, &w->zone, SP_TYPE_SOA, SP_CLASS_IN);
    sim_server_ask(&w->server, query, sp_msgw_end(&q));
    struct sp_msg m;
    sim_check(w->sim,
              sp_msg_parse(&m, w->server.reply, w->server.reply_len) == SP_OK && SP_RCODE_OF(m.flags) == 0 &&
                  m.count[1] == 1,
              "the zone has no SOA");
}

static void look(struct world *w) {
    if (w->step > 0)
        look_at_zone(w);
    for (unsigned i = 0; i + 1 < w->step; i++) {
        struct sim_client *c = &w->client[i];
        uint64_t n = sim_client_look(c, &w->server);
        if (w->looked)
            continue;
        /* The first look after a restart: what is there has to stay. */
        w->result->acknowledged += c->acked;
        w->result->lost += c->pending != 0 && n != c->pending;
        sim_client_restarted(c, n);
    }
    w->looked = true;
}

static void tick(void *ctx, uint64_t arg) {
    struct world *w = ctx;
    if (sim_server_ready(&w->server)) {
        if (!w->looked || sim_chance(w->sim, 20))
            look(w);
        if (w->step < STEP_READY && w->asked == 0)
            operate(w);
        for (unsigned i = 0; i + 1 < w->step && !w->ending; i++)
            sim_client_start(&w->client[i]);
    }
    sim_after(w->sim, 1 * SP_MS + sim_below(w->sim, 20 * SP_MS), tick, w, 0);
}

static void boot(struct world *w) {
    w->asked = 0;
    w->looked = false;
    sim_server_boot(&w->server);
    sim_after(w->sim, 0, tick, w, 0);
}

static void live(struct world *w) {
    struct sim *s = w->sim;
    struct sim_disk *d = &w->server.disk;
    d->slow = sim_chance(s, 50) ? 500 * SP_US : 20 * SP_MS;
    d->event_stop = d->events + 1 + sim_below(s, sim_chance(s, 15) ? 12 : 250);
    d->fail_at = sim_chance(s, 5) ? d->writes_seen + 1 + sim_below(s, 60) : 0;
    sp_instant until = s->now + LIFE;
    boot(w);
    while (!d->stopped && s->now < until && w->server.fatal == NULL)
        sim_check(s, sim_step(s), "nothing left to happen");
    bool injected = d->fail_at != 0 && d->writes_seen >= d->fail_at;
    sim_check(s, w->server.fatal == NULL || injected, "the signpost gave up: %s", w->server.fatal);
    w->result->failures += injected;
    sim_forget(s, w);
    sim_server_off(&w->server, sim_chance(s, 15));
    w->result->cuts++;
    /* The clients try on while there is no power. */
    for (uint64_t n = sim_below(s, 20); n > 0 && s->count > 0; n--)
        sim_step(s);
}

static void ask_chain(struct world *w) {
    uint8_t buf[64];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_LOG);
    sp_op_arg_text(&wr, "example.");
    w->told = false;
    request(w, &wr);
    while (!w->told)
        sim_check(w->sim, sim_step(w->sim), "no reply to the operator");
}

static void until_looked(struct world *w) {
    while (!w->looked) {
        sim_check(w->sim, sim_step(w->sim), "nothing left to happen");
        sim_check(w->sim, w->server.fatal == NULL, "the signpost gave up: %s", w->server.fatal);
    }
}

/* A last life without faults: all clients get through; a clean stop; the same chain from the disk. */
static void finish(struct world *w) {
    struct sim *s = w->sim;
    w->server.disk.event_stop = w->server.disk.fail_at = 0;
    boot(w);
    uint64_t want[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++)
        want[i] = w->client[i].acks + 2;
    sp_instant until = s->now + 60 * SP_SEC;
    for (unsigned done = 0; done < CLIENTS;) {
        sim_check(s, s->now < until, "a client does not get through");
        sim_check(s, sim_step(s), "nothing left to happen");
        sim_check(s, w->server.fatal == NULL, "the signpost gave up: %s", w->server.fatal);
        done = 0;
        for (unsigned i = 0; i < CLIENTS; i++)
            done += w->client[i].acks >= want[i];
    }
    w->ending = true;
    for (unsigned i = 0; i < CLIENTS; i++)
        sim_client_stop(&w->client[i]);
    for (until = s->now + 2 * SP_SEC; s->now < until;)
        sim_check(s, sim_step(s), "nothing left to happen");
    ask_chain(w);
    uint8_t chain[64];
    memcpy(chain, w->chain, sizeof chain);
    uint64_t durable = w->durable;
    sim_server_stop(&w->server);
    while (!w->server.stopped)
        sim_check(s, sim_step(s), "no clean end");
    sim_forget(s, w);
    sim_server_off(&w->server, false);
    boot(w);
    until_looked(w);
    ask_chain(w);
    sim_check(s, w->chain_len == 64 && memcmp(chain, w->chain, sizeof chain) == 0 && w->durable == durable,
              "the chain is another one after a restart");
}

void powercut_server(struct sim *s, unsigned lives, struct powercut_result *r) {
    struct world *w = calloc(1, sizeof *w);
    w->sim = s;
    w->result = r;
    sim_net_init(&w->net, s);
    sim_server_init(&w->server, s, &w->net, 64 + sim_below(s, 100));
    w->server.control = controlled;
    w->server.control_ctx = w;
    sim_check(s, sp_name_from_text(&w->zone, "example.", 8, NULL) == SP_OK, "name");
    for (unsigned i = 0; i < CLIENTS; i++)
        sim_client_init(&w->client[i], s, &w->net, &w->server.addr, &w->zone, (uint8_t)i);
    for (unsigned i = 0; i < lives; i++)
        live(w);
    finish(w);
    r->snapshots += w->server.snapshots;
    sim_server_free(&w->server);
    sim_net_free(&w->net);
    free(w);
}
