#include "unikernel/host/report.h"

#include <string.h>

#include "proto/dns/text.h"
#include "unikernel/host/loop.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

#define LINE_COST     (2 * SP_SEC)
#define LINE_DEPTH    (20 * LINE_COST)
#define MESSAGE_COST  (50 * SP_MS)
#define MESSAGE_DEPTH (6 * MESSAGE_COST) /* fewer than wait for a neighbour that is not resolved yet */
#define PATIENCE      (20 * SP_SEC)
#define SYSLOG_SOURCE 514

void spx_report_addr(struct spx_text *t, const struct sp_addr *addr) {
    uint8_t text[64];
    struct sp_wr wr = sp_wr_init(text, sizeof text);
    if (addr->family == 4)
        sp_text_ip4(&wr, addr->ip);
    else
        sp_text_ip6(&wr, addr->ip);
    spx_text_bytes(t, text, sp_wr_len(&wr));
}

/* ---- lines ---- */

/* One line, its pieces joined, if lines may be said now. */
static bool say(struct spx_report *r, sp_instant now, const char *before, const struct sp_addr *addr,
                const char *after) {
    struct spx_text text;
    if (!sp_bucket_has(&r->lines, LINE_COST, LINE_DEPTH, now)) {
        r->behind = true;
        return false;
    }
    sp_bucket_take(&r->lines, LINE_COST, now);
    spx_text_clear(&text);
    if (addr != NULL)
        spx_report_addr(&text, addr);
    spx_print("signpost: %s%s%s\n", before, text.s, after);
    return true;
}

static bool in(const struct sp_addr *a, const struct sp_addr *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(a, &list[i], sizeof *a) == 0)
            return true;
    return false;
}

/* Says what stands in one list and not in the other, which then holds it too. */
static void say_new(struct spx_report *r, sp_instant now, const struct sp_addr *list, size_t n, struct sp_addr *said,
                    uint8_t *count, const char *before, const char *after) {
    for (size_t i = 0; i < n; i++)
        if (!in(&list[i], said, *count) && *count < SP_NET_ADDRESSES && say(r, now, before, &list[i], after))
            said[(*count)++] = list[i];
}

static void forget_gone(struct spx_report *r, sp_instant now, const struct sp_addr *list, size_t n,
                        struct sp_addr *said, uint8_t *count, const char *before, const char *after) {
    for (size_t i = 0; i < *count;)
        if (!in(&said[i], list, n) && (before == NULL || say(r, now, before, &said[i], after)))
            said[i] = said[--*count];
        else
            i++;
}

/* ---- state ---- */

static void tell_link(struct spx_report *r, sp_instant now, bool up) {
    if (r->link_down == !up || !say(r, now, "the network's link is ", NULL, up ? "up" : "down"))
        return;
    r->link_down = !up;
    if (!up)
        r->said_count = 0; /* they are gone with it */
}

static void tell_addresses(struct spx_report *r, sp_instant now, const struct sp_net *net) {
    struct sp_addr list[SP_NET_ADDRESSES];
    size_t n = sp_net_addresses(net, list, SP_NET_ADDRESSES), doubles = r->double_count;
    forget_gone(r, now, list, n, r->said, &r->said_count, "the address ", " is lost");
    say_new(r, now, list, n, r->said, &r->said_count, "has the address ", "");
    n = sp_net_duplicates(net, list, SP_NET_ADDRESSES);
    forget_gone(r, now, list, n, r->doubles, &r->double_count, NULL, NULL);
    say_new(r, now, list, n, r->doubles, &r->double_count, "another machine on this network has the address ",
            ", which is therefore not used: give one of them another");
    if (r->double_count > doubles)
        r->conflicts = sp_net_counts(net)->conflicts; /* this one is said */
}

/* Somebody claims an address that is in use here, and it is defended. */
static void tell_conflicts(struct spx_report *r, sp_instant now, const struct sp_net *net) {
    uint64_t conflicts = sp_net_counts(net)->conflicts;
    if (conflicts != r->conflicts && say(r, now, "another machine on this network claims an address of ours", NULL, ""))
        r->conflicts = conflicts;
}

static bool has_family(const struct sp_net *net, uint8_t family) {
    struct sp_addr list[SP_NET_ADDRESSES];
    size_t n = sp_net_addresses(net, list, SP_NET_ADDRESSES);
    for (size_t i = 0; i < n; i++)
        if (list[i].family == family)
            return true;
    return false;
}

/* Addresses that others give are waited for; when that takes long, there may be nobody to give one. */
static void tell_waiting(struct spx_report *r, sp_instant now, const struct sp_net *net, unsigned i) {
    static const char *const from[] = {"DHCP", "router advertisements"};
    if (!r->families[i].automatic || r->link_down)
        return;
    if (has_family(net, i == 0 ? 4 : 6)) {
        r->families[i].waiting = r->families[i].late = false;
    } else if (!r->families[i].waiting) {
        r->families[i].waiting = say(r, now, "waiting for an address from ", NULL, from[i]);
        r->families[i].patience = now + PATIENCE;
    } else if (!r->families[i].late && now >= r->families[i].patience) {
        r->families[i].late = say(r, now, "still no address from ", NULL,
                                  i == 0 ? "DHCP: is there a server on this network?"
                                         : "router advertisements: does a router send them on this network?");
    }
}

/* ---- syslog ---- */

static void tap(void *ctx, const char *text, size_t len) {
    struct spx_report *r = ctx;
    spx_syslog_put(&r->queue, spx_wall(), text, len);
}

void spx_report_syslog(struct spx_report *r, const struct spx_cmdline *wanted) {
    r->syslog = wanted->syslog;
    r->hostname = wanted->ns.len > 0 ? wanted->ns.s : wanted->zone.s;
    if (r->syslog.family != 0)
        spx_console_tap(tap, r);
}

static void send_line(struct spx_loop *l, const struct spx_syslog_line *line) {
    struct spx_report *r = &l->report;
    uint8_t message[SPX_SYSLOG_MESSAGE];
    struct sp_out out = {.kind = SP_OUT_DATAGRAM, .data = message, .src = {.port = SYSLOG_SOURCE}, .dst = r->syslog};
    out.len = spx_syslog_format(line, r->hostname, message, sizeof message);
    spx_loop_send(l, &out);
    spx_syslog_next(&r->queue);
}

/* At the bucket's pace, while there is an address to send from; the queue waits for it. */
static void send_lines(struct spx_loop *l, bool hurry) {
    struct spx_report *r = &l->report;
    const struct spx_syslog_line *line;
    if (r->syslog.family == 0 || !has_family(l->direct.net, r->syslog.family))
        return;
    while ((line = spx_syslog_first(&r->queue)) != NULL &&
           (hurry || sp_bucket_has(&r->messages, MESSAGE_COST, MESSAGE_DEPTH, l->now))) {
        sp_bucket_take(&r->messages, MESSAGE_COST, l->now);
        send_line(l, line);
    }
    if (line == NULL && r->queue.lost > 0) {
        uint64_t lost = r->queue.lost;
        r->queue.lost = 0;
        spx_print("signpost: %u lines did not get to syslog: there were too many at once\n", lost);
    }
}

void spx_report_flush(struct spx_loop *l) {
    send_lines(l, true);
}

/* ---- turns ---- */

void spx_report_start(struct spx_report *r, const struct spx_cmdline *wanted) {
    r->wake = SP_NEVER;
    r->behind = true;
    r->families[0].automatic = wanted->ip.how == SPX_IP_AUTO;
    r->families[1].automatic = wanted->ip6.how == SPX_IP_AUTO;
    if (wanted->ip.how == SPX_IP_STATIC) /* there from the first moment: no news */
        r->said[r->said_count++] = wanted->ip.addr;
}

static sp_instant next_wake(const struct spx_loop *l) {
    const struct spx_report *r = &l->report;
    sp_instant at = SP_NEVER;
    if (r->behind)
        at = r->lines.full_at + LINE_COST - LINE_DEPTH;
    if (r->queue.count > 0 && has_family(l->direct.net, r->syslog.family))
        at = sp_instant_min(at, r->messages.full_at + MESSAGE_COST - MESSAGE_DEPTH);
    for (unsigned i = 0; i < 2; i++)
        if (r->families[i].waiting && !r->families[i].late)
            at = sp_instant_min(at, r->families[i].patience);
    return at;
}

void spx_report_turn(struct spx_loop *l) {
    struct spx_report *r = &l->report;
    const struct sp_net *net = l->direct.net;
    uint32_t generation = sp_net_generation(net);
    if (generation == r->generation && !r->behind && sp_net_counts(net)->conflicts == r->conflicts &&
        r->queue.count == 0 && l->now < r->wake)
        return;
    r->behind = false;
    r->generation = generation;
    tell_link(r, l->now, l->net_up);
    tell_addresses(r, l->now, net);
    tell_conflicts(r, l->now, net);
    tell_waiting(r, l->now, net, 0);
    tell_waiting(r, l->now, net, 1);
    send_lines(l, false);
    r->wake = next_wake(l);
}
