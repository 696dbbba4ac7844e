/* systemd-resolved over D-Bus: org.freedesktop.resolve1(5). */
#define _GNU_SOURCE
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "client/linux/dns_backend.h"

#define SERVICE    "org.freedesktop.resolve1"
#define OBJECT     "/org/freedesktop/resolve1"
#define MANAGER    "org.freedesktop.resolve1.Manager"
#define TIMEOUT_US 2000000

static sd_bus *open_bus(void) {
    sd_bus *bus = NULL;
    if (sd_bus_open_system(&bus) < 0)
        return NULL;
    (void)sd_bus_set_method_call_timeout(bus, TIMEOUT_US);
    return bus;
}

/* One that runs; none is started for this. */
static bool has_owner(sd_bus *bus) {
    sd_bus_message *reply = NULL;
    int owned = 0;
    int r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                               "NameHasOwner", NULL, &reply, "s", SERVICE);
    if (r >= 0)
        r = sd_bus_message_read(reply, "b", &owned);
    sd_bus_message_unref(reply);
    return r >= 0 && owned != 0;
}

bool spl_resolved_runs(void) {
    sd_bus *bus = open_bus();
    bool runs = bus != NULL && has_owner(bus);
    sd_bus_flush_close_unref(bus);
    return runs;
}

/* Calls what was made, and lets go of it. */
static sp_err call(sd_bus *bus, sd_bus_message *m, int made, const char *what, struct spl_error *err) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    if (made >= 0)
        made = sd_bus_call(bus, m, 0, &error, NULL);
    sp_err e = SP_OK;
    if (made < 0)
        e = spl_error_set(err, made == -EACCES || made == -EPERM ? SP_ERR_DENIED : SP_ERR_IO,
                          "systemd-resolved: %s: %s", what, error.message != NULL ? error.message : strerror(-made));
    sd_bus_error_free(&error);
    sd_bus_message_unref(m);
    return e;
}

static int begin(sd_bus *bus, sd_bus_message **ret, const char *method, unsigned ifindex) {
    int r = sd_bus_message_new_method_call(bus, ret, SERVICE, OBJECT, MANAGER, method);
    if (r >= 0)
        r = sd_bus_message_set_auto_start(*ret, 0);
    return r >= 0 ? sd_bus_message_append(*ret, "i", (int)ifindex) : r;
}

static sp_err set_server(sd_bus *bus, const struct spl_dns_hook_config *c, struct spl_error *err) {
    sd_bus_message *m = NULL;
    int r = begin(bus, &m, "SetLinkDNS", c->ifindex);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(iay)");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'r', "iay");
    if (r >= 0)
        r = sd_bus_message_append(m, "i", AF_INET6);
    if (r >= 0)
        r = sd_bus_message_append_array(m, 'y', c->server, sizeof c->server);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return call(bus, m, r, "SetLinkDNS", err);
}

/* Of the /64 that the resolver's address is in. */
static void reverse_zone(const uint8_t server[16], char ret[64]) {
    for (unsigned i = 8; i-- > 0;)
        ret += sprintf(ret, "%x.%x.", server[i] & 15, server[i] >> 4);
    strcpy(ret, "ip6.arpa");
}

/* The zone to search in and to route by, the reverse zone to route by alone. */
static sp_err set_domains(sd_bus *bus, const struct spl_dns_hook_config *c, struct spl_error *err) {
    sd_bus_message *m = NULL;
    char reverse[64];
    reverse_zone(c->server, reverse);
    int r = begin(bus, &m, "SetLinkDomains", c->ifindex);
    if (r >= 0)
        r = sd_bus_message_append(m, "a(sb)", 2, c->zone, 0, reverse, 1);
    return call(bus, m, r, "SetLinkDomains", err);
}

static sp_err set_text(sd_bus *bus, unsigned ifindex, const char *method, const char *value, struct spl_error *err) {
    sd_bus_message *m = NULL;
    int r = begin(bus, &m, method, ifindex);
    if (r >= 0)
        r = sd_bus_message_append(m, "s", value);
    return call(bus, m, r, method, err);
}

static sp_err set_no_default_route(sd_bus *bus, unsigned ifindex, struct spl_error *err) {
    sd_bus_message *m = NULL;
    int r = begin(bus, &m, "SetLinkDefaultRoute", ifindex);
    if (r >= 0)
        r = sd_bus_message_append(m, "b", 0);
    return call(bus, m, r, "SetLinkDefaultRoute", err);
}

/* Names that are not the zone's are none of our business before our server is known; the zone need not be delegated, so
 * DNSSEC cannot be asked of it, and what comes through the tunnel needs no TLS. */
static sp_err set_all(sd_bus *bus, const struct spl_dns_hook_config *c, struct spl_error *err) {
    static const char *const off[] = {"SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSSEC", "SetLinkDNSOverTLS"};
    SP_TRY(set_no_default_route(bus, c->ifindex, err));
    SP_TRY(set_domains(bus, c, err));
    for (unsigned i = 0; i < sizeof off / sizeof off[0]; i++)
        (void)set_text(bus, c->ifindex, off[i], "no", NULL); /* builds without one of them refuse it */
    return set_server(bus, c, err);
}

static void revert(sd_bus *bus, unsigned ifindex) {
    sd_bus_message *m = NULL;
    int r = begin(bus, &m, "RevertLink", ifindex);
    (void)call(bus, m, r, "RevertLink", NULL);
}

/* Programs ask systemd-resolved through its own line of resolv.conf, or through nss-resolve; where neither is set up,
 * what it is told helps nobody. */
static void advise(sd_bus *bus) {
    char *mode = NULL;
    int r = sd_bus_get_property_string(bus, SERVICE, OBJECT, MANAGER, "ResolvConfMode", NULL, &mode);
    bool asked = r < 0 || strcmp(mode, "stub") == 0 || strcmp(mode, "static") == 0 || spl_nsswitch_names("resolve");
    free(mode);
    if (!asked)
        spl_say("warning: systemd-resolved runs, but programs of this host do not ask it: link /etc/resolv.conf to "
                "/run/systemd/resolve/stub-resolv.conf, or choose another --dns");
}

sp_err spl_resolved_set(const struct spl_dns_hook_config *config, struct spl_error *err) {
    sd_bus *bus = open_bus();
    if (bus == NULL)
        return spl_error_set(err, SP_ERR_NOENT, "there is no D-Bus to reach systemd-resolved by; choose another --dns");
    sp_err e = has_owner(bus) ? set_all(bus, config, err)
                              : spl_error_set(err, SP_ERR_NOENT,
                                              "systemd-resolved does not run; start it, or choose another --dns");
    if (e == SP_OK)
        advise(bus);
    else if (e != SP_ERR_NOENT)
        revert(bus, config->ifindex);
    sd_bus_flush_close_unref(bus);
    return e;
}

void spl_resolved_revert(unsigned ifindex) {
    sd_bus *bus = open_bus();
    if (bus == NULL)
        return;
    revert(bus, ifindex);
    sd_bus_flush_close_unref(bus);
}

/* ---- a systemd-resolved that starts later ---- */

struct spl_resolved_watch {
    const struct spl_dns_hook_config *config;
    sd_bus *bus;
    struct event ev;
};

static int on_owner(sd_bus_message *m, void *ctx, sd_bus_error *error) {
    struct spl_resolved_watch *w = ctx;
    const char *name, *before, *now;
    struct spl_error err;
    if (sd_bus_message_read(m, "sss", &name, &before, &now) < 0 || now[0] == 0)
        return 0;
    if (spl_resolved_set(w->config, &err) != SP_OK) /* over a bus of its own */
        spl_say("warning: %s; names of %s resolve through libnss_signpost alone", err.text, w->config->zone);
    return 0;
}

static void on_bus(evutil_socket_t fd, short what, void *ctx) {
    struct spl_resolved_watch *w = ctx;
    int r;
    while ((r = sd_bus_process(w->bus, NULL)) > 0)
        continue;
    if (r < 0)
        event_del(&w->ev); /* the bus has gone */
}

struct spl_resolved_watch *spl_resolved_watch_new(struct event_base *base, const struct spl_dns_hook_config *config) {
    struct spl_resolved_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->config = config;
    w->bus = open_bus();
    if (w->bus == NULL ||
        sd_bus_add_match(w->bus, NULL,
                         "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" SERVICE "'",
                         on_owner, w) < 0) {
        sd_bus_flush_close_unref(w->bus);
        free(w);
        return NULL;
    }
    event_assign(&w->ev, base, sd_bus_get_fd(w->bus), EV_READ | EV_PERSIST, on_bus, w);
    event_add(&w->ev, NULL);
    on_bus(-1, 0, w); /* what came while the match was made */
    return w;
}

void spl_resolved_watch_free(struct spl_resolved_watch *w) {
    if (w == NULL)
        return;
    event_del(&w->ev);
    sd_bus_flush_close_unref(w->bus);
    free(w);
}
