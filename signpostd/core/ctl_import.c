/* Zone import: a whole text as one transaction. Its records are logged in a row, as fast as the disk takes them;
 * meanwhile nothing else is changed. */
#include "signpostd/core/ctl.h"
#include "proto/dns/zonetext.h"

struct sp_import {
    struct sp_change change; /* the next record to append */
    struct sp_pending *txn;  /* will own the transaction */
    struct sp_pending *reply;
    bool waits; /* for the disk */
};

bool sp_import_busy(const struct sp_server *s) {
    return s->import != NULL;
}

bool sp_import_runs(const struct sp_server *s) {
    return s->import != NULL && !s->import->waits;
}

/* The import is over, well or badly: its reply goes its way. */
static void end(struct sp_server *s, bool failed) {
    struct sp_import *im = s->import;
    s->import = NULL;
    im->reply->failed = failed;
    sp_durable_wait(s, im->reply);
    sp_mem_free(&s->mem, im, sizeof *im);
}

static void give_up(struct sp_server *s) {
    struct sp_import *im = s->import;
    sp_updater_abort(s->updater, &im->change);
    sp_pending_free(s, im->txn);
}

void sp_import_free(struct sp_server *s) {
    if (s->import == NULL)
        return;
    give_up(s);
    end(s, true);
}

static void fail(struct sp_server *s, sp_err err) {
    struct sp_pending *reply = s->import->reply;
    struct sp_wr wr = sp_wr_init(reply->reply, reply->reply_size);
    give_up(s);
    sp_op_reply_error(&wr, SP_OP_FAILED,
                      err == SP_ERR_NOSPC ? "the disk is full; nothing was imported"
                                          : "the disk failed; nothing was imported",
                      "give the signpost a bigger disk");
    reply->reply_len = sp_wr_len(&wr);
    end(s, false);
}

void sp_import_go_on(struct sp_server *s) {
    struct sp_import *im = s->import;
    if (im == NULL)
        return;
    im->waits = false;
    for (;;) {
        sp_err err = sp_durable_append(s, &im->change);
        if (err == SP_ERR_AGAIN) {
            im->waits = true; /* goes on when a write has ended */
            return;
        }
        if (err != SP_OK) {
            fail(s, err);
            return;
        }
        if (!im->change.more)
            break;
        sp_updater_txn_more(s->updater, &im->change);
    }
    sp_durable_taken(s, &im->change, im->txn);
    end(s, false);
}

static bool fail_text(struct sp_ctl *c, const struct sp_zonetext_error *e) {
    char line[24], column[24];
    sp_ctl_decimal(line, e->line);
    sp_ctl_decimal(column, e->column);
    return SP_CTL_FAIL(c, "nothing was imported; correct the text and try again", "line ", line, ", column ", column,
                       ": ", e->what != NULL ? e->what : "malformed");
}

/* The transaction of the text as a change; false: the reply says why not, or that nothing changes. */
static bool prepare(struct sp_ctl *c, struct sp_zone *z, const struct sp_rd *text, struct sp_change *ret) {
    struct sp_zonetext_error error;
    struct sp_txn *t;
    if (sp_zone_merge(&t, z, (const char *)text->pos, sp_rd_left(text), &error) != SP_OK)
        return fail_text(c, &error);
    sp_err err = sp_updater_txn(c->s->updater, z, t, true, ret);
    if (err == SP_ERR_NOENT) {
        sp_op_u64(&c->wr, "changed", 0);
        sp_op_u64(&c->wr, "serial", sp_zone_serial(z));
        return false;
    }
    if (err == SP_OK)
        return true;
    sp_txn_undo(t);
    if (err == SP_ERR_EXIST)
        return SP_CTL_FAIL(c, "one key, one name", "a KEY of the text belongs to another name of the zone");
    return sp_ctl_fail_change(c, err);
}

void sp_ctl_zone_import(struct sp_ctl *c) {
    struct sp_server *s = c->s;
    struct sp_zone *z;
    struct sp_rd text;
    struct sp_change change;
    if (!sp_ctl_arg_zone(c, &z) || !sp_ctl_arg(c, "zone text", &text) || !prepare(c, z, &text, &change))
        return;
    struct sp_import *im = sp_mem_alloc(&s->mem, sizeof *im);
    struct sp_pending *txn = sp_pending_new(s, SP_PENDING_OWN), *reply = sp_pending_new(s, SP_PENDING_CONTROL);
    if (im == NULL || txn == NULL || reply == NULL) {
        sp_updater_abort(s->updater, &change);
        sp_mem_free(&s->mem, im, sizeof *im);
        if (txn != NULL)
            sp_pending_free(s, txn);
        if (reply != NULL)
            sp_pending_free(s, reply);
        (void)sp_ctl_fail_change(c, SP_ERR_FULL);
        return;
    }
    sp_ctl_name(&c->wr, "zone", sp_zone_apex(z));
    sp_op_u64(&c->wr, "changed", change.rrsets);
    sp_op_u64(&c->wr, "serial", change.serial);
    sp_op_u64(&c->wr, "names", sp_zone_names(z));
    reply->control = c->id;
    reply->reply = c->buf;
    reply->reply_size = s->cfg.limits.reply;
    reply->reply_len = sp_wr_len(&c->wr);
    c->taken = true;
    *im = (struct sp_import){.change = change, .txn = txn, .reply = reply};
    s->import = im;
    sp_import_go_on(s);
}
