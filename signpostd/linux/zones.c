#include "signpostd/linux/daemon.h"

#include <string.h>

#include "proto/control/operator.h"
#include "proto/dns/name.h"

#define BY_HAND "; add it with: signpostctl zone add"

static void add_next(struct spl_daemon *d) {
    while (d->adding < d->config->zone_count && d->have[d->adding])
        d->adding++;
    if (d->adding == d->config->zone_count)
        return;
    uint8_t buf[SP_NAME_TEXT_MAX + 64];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_ZONE_ADD);
    sp_op_arg_text(&wr, d->config->zones[d->adding]);
    sp_op_arg_text(&wr, "");
    SP_ASSERT(wr.err == SP_OK);
    if (!spl_daemon_ask(d, SPL_OWN_ZONE_ADD, buf, sp_wr_len(&wr)))
        spl_say("cannot add zone %s: the server takes no requests" BY_HAND, d->config->zones[d->adding]);
}

void spl_zones_start(struct spl_daemon *d) {
    if (d->config->zone_count == 0)
        return;
    uint8_t buf[16];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_op_request_begin(&wr, SP_OP_ZONE_LIST);
    if (!spl_daemon_ask(d, SPL_OWN_ZONE_LIST, buf, sp_wr_len(&wr)))
        spl_say("cannot add zones: the server takes no requests" BY_HAND);
}

static void note(struct spl_daemon *d, const struct sp_op_item *item) {
    struct sp_name there, wanted;
    if (sp_name_from_text(&there, (const char *)item->data, item->len, NULL) != SP_OK)
        return;
    for (unsigned i = 0; i < d->config->zone_count; i++) {
        const char *text = d->config->zones[i];
        if (sp_name_from_text(&wanted, text, strlen(text), NULL) == SP_OK && sp_name_equal(&there, &wanted))
            d->have[i] = true;
    }
}

void spl_zones_replied(struct spl_daemon *d, enum spl_own what, const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    enum sp_op_status status;
    struct sp_op_item item;
    if (sp_op_reply_read(&rd, &status) != SP_OK)
        return;
    while (sp_op_next(&rd, &item) == SP_OK) {
        if (what == SPL_OWN_ZONE_LIST && item.kind == SP_OP_STR && strcmp(item.key, "zone") == 0)
            note(d, &item);
        else if (what == SPL_OWN_ZONE_ADD && status != SP_OP_OK && item.kind == SP_OP_STR &&
                 strcmp(item.key, "error") == 0)
            spl_say("cannot add zone %s: %.*s" BY_HAND, d->config->zones[d->adding], (int)item.len,
                    (const char *)item.data);
    }
    if (what == SPL_OWN_ZONE_ADD) {
        if (status == SP_OP_OK)
            spl_say("added zone %s; its DS for the parent: signpostctl zone ds %s", d->config->zones[d->adding],
                    d->config->zones[d->adding]);
        d->adding++;
    }
    add_next(d);
}
