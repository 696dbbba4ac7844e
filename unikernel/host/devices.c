/* A guest that tries out the devices, for tests: says on the console what it finds, and does what its command line
 * asks: store   reads, writes and watches in the xenstore net     answers ARP, ping and UDP (an echo) at 10.0.2.20 disk
 * counts its boots in block 0 of xvda, and fills and checks some more churn   fills and checks xvda over and over It
 * ends when "stop" is written to data/ping, and does what `xl shutdown`, `reboot` and `save` ask. */
#include <string.h>

#include "unikernel/boot/boot.h"
#include "unikernel/dev/control.h"
#include "unikernel/host/devices.h"
#include "unikernel/lib/pages.h"
#include "unikernel/lib/text.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/grant.h"
#include "unikernel/xen/xen.h"

#define GRANT_FRAMES 2

static struct spx_devices dev;
static struct spx_text wanted; /* the command line */
static unsigned reason = SPX_POWEROFF;

bool devices_failed(const char *what, sp_err err) {
    spx_print("devices: %s: %s%s%s\n", what, sp_err_text(err),
              dev.store.fault != NULL ? "; the xenstore broke its protocol: " : "",
              dev.store.fault != NULL ? dev.store.fault : "");
    return false;
}

/* Grants and store, at the start and after a resume. */
static bool connect(void) {
    sp_err err = spx_grants_map(&dev.grants, dev.table, GRANT_FRAMES);
    if (err != SP_OK)
        return devices_failed("grant table", err);
    spx_xs_open(&dev.store);
    err = spx_xs_watch(&dev.store, "data/ping", TOKEN_PING);
    if (err == SP_OK)
        err = spx_control_open(&dev.store, TOKEN_CONTROL);
    return err == SP_OK || devices_failed("watch", err);
}

static bool open_all(void) {
    dev.table = spx_pages_alloc(GRANT_FRAMES);
    if (dev.table == NULL)
        return devices_failed("pages", SP_ERR_FULL);
    return connect();
}

static void print_value(const char *label, const struct spx_xs_reply *reply) {
    spx_print("devices: %s ", label);
    for (size_t i = 0; i < reply->len; i++)
        spx_console_write(reply->data[i] == 0 ? " " : (const char *)reply->data + i, 1);
    spx_print("\n");
}

/* The toolstack's wishes. */
static enum devices_turn obey(void) {
    switch (spx_control_take(&dev.store, TOKEN_CONTROL)) {
    case SPX_ASK_NOTHING:
        return DEVICES_GO_ON;
    case SPX_ASK_SUSPEND:
        if (spx_suspend()) {
            spx_print("devices: suspend cancelled\n");
            return DEVICES_GO_ON;
        }
        spx_print("devices: resumed\n");
        return connect() ? DEVICES_RESUMED : DEVICES_END;
    case SPX_ASK_REBOOT:
        reason = SPX_REBOOT;
        return DEVICES_END;
    case SPX_ASK_POWEROFF:
        break;
    }
    return DEVICES_END;
}

enum devices_turn devices_turn(struct spx_devices *d) {
    struct spx_xs_reply reply;
    spx_xs_turn(&d->store, &reply);
    if (d->store.fault != NULL)
        return DEVICES_END;
    if (spx_xs_fired(&d->store, TOKEN_PING) && spx_xs_read(&d->store, "data/ping", &reply) == SP_OK) {
        print_value("ping", &reply);
        if (reply.len == 4 && memcmp(reply.data, "stop", 4) == 0)
            return DEVICES_END;
    }
    return obey();
}

/* Waits idle: between its events the guest uses no CPU time at all. */
static bool try_store(void) {
    struct spx_xs_reply reply;
    static const struct spx_xs_pair pairs[] = {{"data/one", "1"}, {"data/two", "22"}};
    sp_err err = spx_xs_read(&dev.store, "name", &reply);
    if (err != SP_OK)
        return devices_failed("name", err);
    print_value("name", &reply);
    if ((err = spx_xs_directory(&dev.store, "device", &reply)) != SP_OK && err != SP_ERR_NOENT)
        return devices_failed("device", err);
    if ((err = spx_xs_read(&dev.store, "no/such/node", &reply)) != SP_ERR_NOENT)
        return devices_failed("a node that is not there", err);
    if ((err = spx_xs_write_all(&dev.store, pairs, 2)) != SP_OK ||
        (err = spx_xs_watch(&dev.store, "data/other", TOKEN_OTHER)) != SP_OK)
        return devices_failed("data", err);
    /* A new watch fires at once. */
    if ((err = spx_xs_await(&dev.store, TOKEN_OTHER, spx_now() + SP_SEC)) != SP_OK ||
        (err = spx_xs_await(&dev.store, TOKEN_PING, spx_now() + SP_SEC)) != SP_OK)
        return devices_failed("watch", err);
    sp_instant before = spx_now();
    err = spx_xs_await(&dev.store, TOKEN_PING, before + 200 * SP_MS);
    if (err != SP_ERR_TIME)
        return devices_failed("a deadline", err);
    spx_print("devices: waited %u ms of 200\n", (spx_now() - before) / SP_MS);
    spx_print("devices: ready\n");
    while (devices_turn(&dev) != DEVICES_END)
        spx_event_wait(&dev.store.port, 1, SP_NEVER);
    return dev.store.fault == NULL;
}

static bool starts(const char *text, const char *with) {
    while (*with != 0 && *text == *with)
        text++, with++;
    return *with == 0;
}

/* One of the words, parted by blanks, of the command line. */
static bool asked(const char *word) {
    size_t len = strlen(word);
    for (const char *at = wanted.s; *at != 0; at++)
        if ((at == wanted.s || at[-1] == ' ') && starts(at, word) && (at[len] == 0 || at[len] == ' '))
            return true;
    return false;
}

unsigned spx_main(const char *command_line) {
    spx_text_clear(&wanted);
    spx_text_add(&wanted, command_line);
    bool ok = open_all();
    if (ok && asked("store"))
        ok = try_store();
    if (ok && asked("disk"))
        ok = devices_disk(&dev, false);
    if (ok && asked("churn"))
        ok = devices_disk(&dev, true);
    if (ok && asked("net"))
        ok = devices_net(&dev);
    spx_print("devices: %s\n", ok ? "done" : "failed");
    spx_console_drain();
    return ok ? reason : SPX_CRASH;
}
