/* The signpost as a guest of its own: one network device, perhaps a disk, the server's core, and the zone of the
 * command line. */
#include <string.h>

#include "proto/control/operator.h"
#include "proto/crypto/crypto.h"
#include "unikernel/boot/boot.h"
#include "unikernel/host/config.h"
#include "unikernel/host/version.h"
#include "unikernel/host/zone.h"
#include "unikernel/lib/pages.h"
#include "unikernel/lib/random.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

#define GRANT_FRAMES 2
#define BUFFERS      64 /* frames, a direction */
#define SPARE_PAGES  16
#define LONG_FRAMES  ((size_t)12 << 20)
#define NET_MEMORY   ((size_t)240 << 10) /* of the interface, measured, and a little more; TCP apart */
#define TCP_LEAST    ((size_t)64 << 10)
#define TCP_MOST     ((size_t)16 << 20)
#define TCP_FREE     ((size_t)4 << 20) /* so much is for the rest */

static struct spx_cmdline wanted;
static struct spx_grants grants;
static struct spx_loop loop;
static struct sp_mem net_mem;
static struct sp_rng net_rng;
static struct sp_count net_counts[SP_DIRECT_COUNTS];
static struct spx_zone zone;

/* Always false. */
static bool failed(const char *what, sp_err err, const char *hint) {
    const char *fault = loop.store.fault;
    spx_print("signpost: %s: %s%s%s%s\n", what, sp_err_text(err), hint,
              fault != NULL ? "; the xenstore broke its protocol: " : "", fault != NULL ? fault : "");
    return false;
}

/* ---- devices ---- */

static bool open_xen(void) {
    void *table = spx_pages_alloc(GRANT_FRAMES);
    sp_err err = table == NULL ? SP_ERR_FULL : spx_grants_map(&grants, table, GRANT_FRAMES);
    if (err != SP_OK)
        return failed("the grant table", err, "");
    loop.grants = &grants;
    loop.grant_table = table;
    loop.grant_frames = GRANT_FRAMES;
    loop.net_rng = &net_rng;
    spx_xs_open(&loop.store);
    return true;
}

/* Where there is memory enough, buffers to send are whole pages: long TCP segments stand in several of them. */
static bool open_net(void) {
    unsigned per_page = spx_pages_left() * SPX_PAGE_SIZE >= LONG_FRAMES ? 1 : 2;
    void *pages = spx_pages_alloc(SPX_NETFRONT_PAGES(BUFFERS, BUFFERS, per_page));
    if (pages == NULL)
        return failed("the network", SP_ERR_FULL, "");
    spx_netfront_init(&loop.net.net, &grants, pages, BUFFERS, BUFFERS, per_page);
    sp_err err = spx_netdev_open(&loop.net, &loop.store, 0, SPX_TOKEN_NET);
    if (err != SP_OK)
        return failed("the network", err, err == SP_ERR_NOENT ? "; give the guest a vif" : "");
    return true;
}

static bool open_disk(void) {
    if (wanted.disk.len == 0) {
        spx_print("signpost: no disk: serving from memory, and what changes is lost when this guest ends\n");
        return true;
    }
    uint64_t number = spx_blkdev_number(wanted.disk.s);
    void *ring = spx_pages_alloc(1);
    if (number == 0 || ring == NULL)
        return failed("the disk", number == 0 ? SP_ERR_FORM : SP_ERR_FULL,
                      number == 0 ? "; its name is one of xvda to xvdp" : "");
    spx_blkfront_init(&loop.disk.disk, &grants, ring);
    sp_err err = spx_blkdev_open(&loop.disk, &loop.store, number, SPX_TOKEN_DISK);
    if (err != SP_OK)
        return failed("the disk", err, err == SP_ERR_NOENT ? "; give the guest a vbd of that name" : "");
    loop.has_disk = true;
    if (loop.disk.disk.read_only)
        return failed("the disk", SP_ERR_DENIED, "; it is read-only");
    spx_print("signpost: the disk %s has %u KiB\n", wanted.disk.s, loop.disk.disk.blocks * (SP_BLK_SIZE / 1024));
    return true;
}

/* ---- the cores ---- */

/* Of so many bytes: little where all is little, a twelfth of what is more. */
static size_t tcp_memory(size_t left) {
    size_t more = left > TCP_FREE ? (left - TCP_FREE) / 12 : 0;
    return TCP_LEAST + (more < TCP_MOST ? more : TCP_MOST);
}

static bool open_direct(void) {
    struct sp_tcp_config tcp = {0};
    struct sp_net_config c = {.mem = &net_mem, .rng = &net_rng, .mtu = loop.net.mtu, .tcp = &tcp};
    size_t for_tcp = tcp_memory(spx_pages_left() * SPX_PAGE_SIZE);
    uint8_t seed[SP_RNG_SEED];
    spx_random_fill(seed, sizeof seed);
    sp_rng_init(&net_rng, seed);
    sp_wipe(seed, sizeof seed);
    sp_mem_init(&net_mem, spx_pages_grant(), NET_MEMORY + for_tcp);
    sp_tcp_limits_for(&tcp, for_tcp);
    memcpy(c.mac, loop.net.mac, sizeof c.mac);
    spx_config_net(&wanted, &c);
    sp_err err = sp_direct_init(&loop.direct, &c);
    return err == SP_OK || failed("the interface", err, "");
}

/* All that is free by now, but for what connections and connecting devices anew may take. */
static sp_err set_limits(struct sp_limits *l) {
    size_t left = spx_pages_left() * SPX_PAGE_SIZE,
           kept = net_mem.limit - net_mem.granted + SPARE_PAGES * SPX_PAGE_SIZE;
    sp_err err = sp_limits_for(l, left > kept ? left - kept : 0);
    if (err == SP_OK)
        spx_print("signpost: room for %u names and %u sessions\n", (uint64_t)l->names, (uint64_t)l->sessions);
    return err;
}

/* Who asked for what from afar, and nothing of what it was about. */
static void on_trace(void *ctx, const struct sp_trace_event *ev) {
    if (ev->kind != SP_TRACE_operator_request)
        return;
    uint8_t key[6];
    char text[9];
    sp_put_u16(key, (uint16_t)(ev->a >> 32));
    sp_put_u32(key + 2, (uint32_t)ev->a);
    text[sp_base64_encode(key, sizeof key, text, 8)] = 0;
    spx_print("signpost: operator %s, from afar: %s\n", text, sp_op_verb_text((unsigned)ev->b));
}

static bool open_server(void) {
    struct sp_server_config c;
    sp_server_config_default(&c);
    sp_err err = set_limits(&c.limits);
    _Static_assert(SPX_OPERATORS_MAX == SP_OPERATORS, "as many as the command line takes");
    memcpy(c.operators, wanted.operators.keys, sizeof c.operators);
    c.operator_count = wanted.operators.count;
    c.trace.sink = on_trace;
    c.grant = spx_pages_grant();
    spx_random_fill(c.seed, sizeof c.seed);
    c.disk_blocks = loop.has_disk ? loop.disk.disk.blocks : 0;
    c.disk_format = loop.has_disk; /* a blank disk alone is formatted; what else holds no log is refused */
    if (err == SP_OK)
        err = sp_crypto_init();
    if (err == SP_OK)
        err = sp_server_new(&loop.server, &c, spx_now(), spx_wall());
    sp_wipe(c.seed, sizeof c.seed);
    if (err == SP_OK)
        sp_server_counts(loop.server, net_counts, sp_direct_count_list(&loop.direct, net_counts, SP_DIRECT_COUNTS));
    return err == SP_OK || failed("the server", err,
                                  err == SP_ERR_FULL     ? "; give the guest more memory"
                                  : err == SP_ERR_RANGE  ? "; the disk is too small, a log needs 256 KiB"
                                  : err == SP_ERR_BADKEY ? "; that of operator= is no Ed25519 key"
                                                         : "");
}

/* ---- beginning and end ---- */

static bool start(const char *command) {
    if (!open_xen() || !spx_config_load(&wanted, &loop.store, command))
        return false;
    spx_report_syslog(&loop.report, &wanted);
    if (!open_net() || !open_disk() || !open_direct() || !open_server())
        return false;
    spx_report_start(&loop.report, &wanted);
    sp_err err = spx_loop_start(&loop);
    return err == SP_OK || failed("control/shutdown", err, "");
}

static void say_serving(size_t pages_before) {
    struct sp_addr addr;
    struct spx_text text;
    spx_text_clear(&text);
    if (sp_net_addresses(loop.direct.net, &addr, 1) == 1)
        spx_report_addr(&text, &addr);
    spx_print("signpost: serving %s at %s, %u KiB of memory in use, %u KiB free\n", wanted.zone.s, text.s,
              (uint64_t)(pages_before - spx_pages_left()) * (SPX_PAGE_SIZE / 1024),
              (uint64_t)spx_pages_left() * (SPX_PAGE_SIZE / 1024));
}

unsigned spx_main(const char *command_line) {
    size_t before = spx_pages_left();
    spx_print("signpost %s\n", spx_version);
    if (!start(command_line)) {
        spx_print("signpost: not starting\n");
        spx_console_drain();
        return SPX_CRASH;
    }
    if (spx_zone_open(&zone, &loop, &wanted))
        say_serving(before);
    else if (!loop.ended)
        spx_print("signpost: serving what there is, without the zone %s\n", wanted.zone.s);
    while (!loop.ended) {
        spx_loop_step(&loop);
        spx_zone_follow(&zone);
    }
    spx_report_flush(&loop);
    if (loop.net.up)
        spx_netdev_close(&loop.net);
    if (loop.disk.up)
        spx_blkdev_close(&loop.disk);
    /* The server is left as it is: its backend may yet read what was to be written, and Xen wipes all of it. */
    spx_print("signpost: ended\n");
    spx_console_drain();
    return loop.reason;
}
