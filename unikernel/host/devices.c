/* A guest that tries out the devices, for tests: says on the console what it finds, and does what its command line asks:
 *   store             reads, writes and watches in the xenstore, until data/ping says "stop"
 */
#include <string.h>

#include "unikernel/boot/boot.h"
#include "unikernel/dev/xenstore.h"
#include "unikernel/lib/pages.h"
#include "unikernel/lib/text.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/grant.h"
#include "unikernel/xen/pages.h"
#include "unikernel/xen/xen.h"

#define GRANT_FRAMES 2
#define MEMORY_PAGES 512
enum { TOKEN_PING, TOKEN_OTHER };

static struct spx_pages pages;
static struct spx_grants grants;
static struct spx_xs store;
static struct spx_text wanted; /* the command line */

static bool failed(const char *what, sp_err err) {
    spx_print("devices: %s: %s%s%s\n", what, sp_err_text(err), store.fault != NULL ? "; the xenstore broke its protocol: " : "",
              store.fault != NULL ? store.fault : "");
    return false;
}

static bool open_all(void) {
    uint8_t *memory = spx_pages_alloc(MEMORY_PAGES);
    pages = (struct spx_pages){memory, memory != NULL ? memory + MEMORY_PAGES * SPX_PAGE : NULL};
    void *table = spx_pages_take(&pages, GRANT_FRAMES);
    if (table == NULL)
        return failed("pages", SP_ERR_FULL);
    sp_err err = spx_grants_map(&grants, table, GRANT_FRAMES);
    if (err != SP_OK)
        return failed("grant table", err);
    spx_print("devices: %u grants\n", (uint64_t)grants.n_free);
    spx_xs_open(&store);
    return true;
}

static void print_value(const char *label, const struct spx_xs_reply *reply) {
    spx_print("devices: %s ", label);
    for (size_t i = 0; i < reply->len; i++)
        spx_console_write(reply->data[i] == 0 ? " " : (const char *)reply->data + i, 1);
    spx_print("\n");
}

/* Waits idle: between its events the guest uses no CPU time at all. */
static bool try_store(void) {
    struct spx_xs_reply reply;
    static const struct spx_xs_pair pairs[] = {{"data/one", "1"}, {"data/two", "22"}};
    sp_err err = spx_xs_read(&store, "name", &reply);
    if (err != SP_OK)
        return failed("name", err);
    print_value("name", &reply);
    if ((err = spx_xs_directory(&store, "device", &reply)) != SP_OK && err != SP_ERR_NOENT)
        return failed("device", err);
    if ((err = spx_xs_read(&store, "no/such/node", &reply)) != SP_ERR_NOENT)
        return failed("a node that is not there", err);
    if ((err = spx_xs_write_all(&store, pairs, 2)) != SP_OK || (err = spx_xs_watch(&store, "data/other", TOKEN_OTHER)) != SP_OK ||
        (err = spx_xs_watch(&store, "data/ping", TOKEN_PING)) != SP_OK)
        return failed("data", err);
    /* A new watch fires at once. */
    if ((err = spx_xs_await(&store, TOKEN_OTHER, spx_now() + SP_SEC)) != SP_OK ||
        (err = spx_xs_await(&store, TOKEN_PING, spx_now() + SP_SEC)) != SP_OK)
        return failed("watch", err);
    sp_instant before = spx_now();
    err = spx_xs_await(&store, TOKEN_PING, before + 200 * SP_MS);
    if (err != SP_ERR_TIME)
        return failed("a deadline", err);
    spx_print("devices: waited %u ms of 200\n", (spx_now() - before) / SP_MS);
    spx_print("devices: ready\n");
    for (;;) {
        if ((err = spx_xs_await(&store, TOKEN_PING, SP_NEVER)) != SP_OK)
            return failed("ping", err);
        if ((err = spx_xs_read(&store, "data/ping", &reply)) != SP_OK)
            return failed("ping", err);
        print_value("ping", &reply);
        if (reply.len == 4 && memcmp(reply.data, "stop", 4) == 0)
            return true;
    }
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
    spx_print("devices: %s\n", ok ? "done" : "failed");
    spx_console_drain();
    return ok ? SPX_POWEROFF : SPX_CRASH;
}
