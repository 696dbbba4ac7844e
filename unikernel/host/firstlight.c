/* First light: the very cores of the Linux daemon, alone on Xen. Makes a zone, answers two queries held in memory with
 * real signatures, prints the replies and the zone's DS on the console, and powers off. */
#include <string.h>

#include "proto/control/operator.h"
#include "proto/crypto/crypto.h"
#include "proto/dns/msg.h"
#include "signpostd/core/server.h"
#include "unikernel/boot/boot.h"
#include "unikernel/lib/pages.h"
#include "unikernel/lib/random.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/xen.h"

/* One input, and the first output that it causes, at once or in the turns that the core asks for. */
static bool exchange(struct sp_server *s, const struct sp_in *in, struct sp_out *out) {
    size_t taken;
    if (sp_server_input(s, spx_now(), spx_wall(), in, 1, &taken) != SP_OK || taken != 1)
        return false;
    while (sp_server_output(s, spx_now(), out, 1) == 0) {
        if (sp_server_deadline(s) > spx_now())
            return false;
        sp_server_expire(s, spx_now(), spx_wall());
    }
    return true;
}

/* What of a failed reply a person can read. */
static void print_text(const uint8_t *data, size_t len) {
    spx_print("firstlight: refused: ");
    for (size_t i = 0; i < len; i++)
        spx_console_write(data[i] >= ' ' && data[i] < 127 ? (const char *)data + i : " ", 1);
    spx_print("\n");
}

static bool operate(struct sp_server *s, uint8_t verb, const char *const *args, size_t n, struct sp_out *out) {
    uint8_t buf[1024];
    struct sp_wr wr = sp_wr_init(buf, sizeof buf);
    sp_wr_u8(&wr, SP_OP_VERSION);
    sp_wr_u8(&wr, verb);
    for (size_t i = 0; i < n; i++)
        sp_op_arg_text(&wr, args[i]);
    struct sp_in in = {.kind = SP_IN_CONTROL, .id = 1, .data = buf, .len = sp_wr_len(&wr)};
    if (wr.err != SP_OK || !exchange(s, &in, out) || out->len < 2)
        return false;
    if (out->data[1] == SP_OP_OK)
        return true;
    print_text(out->data, out->len);
    return false;
}

static void print_hex(const char *label, const uint8_t *data, size_t len) {
    spx_print("%s ", label);
    for (size_t i = 0; i < len; i++) {
        char pair[2] = {"0123456789abcdef"[data[i] >> 4], "0123456789abcdef"[data[i] & 15]};
        spx_console_write(pair, 2);
    }
    spx_print("\n");
}

static bool query(struct sp_server *s, const char *name, uint16_t type) {
    uint8_t buf[512];
    struct sp_name qname;
    if (sp_name_from_text(&qname, name, strlen(name), NULL) != SP_OK)
        return false;
    struct sp_msgw w;
    struct sp_optw o;
    sp_msgw_begin(&w, buf, sizeof buf, 0x5350, 0);
    sp_msgw_question(&w, &qname, type, SP_CLASS_IN);
    sp_msgw_opt_begin(&w, &o, 1232, 0, 0, SP_EDNS_DO);
    sp_msgw_opt_end(&w, &o);
    struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = buf, .len = sp_msgw_end(&w)};
    in.src = (struct sp_addr){.ip = {127, 0, 0, 1}, .port = 53535, .family = 4};
    in.dst = (struct sp_addr){.ip = {127, 0, 0, 1}, .port = 53, .family = 4};
    struct sp_out out;
    sp_instant before = spx_now();
    if (in.len == 0 || !exchange(s, &in, &out))
        return false;
    spx_print("firstlight: answered in %u us\n", (spx_now() - before) / SP_US);
    print_hex("firstlight: reply", out.data, out.len);
    return true;
}

static bool first_light(struct sp_server *s) {
    static const char *const add[] = {"me.signpost", "", "192.0.2.53"};
    static const char *const text[] = {"me.signpost", "laptop.me.signpost. 300 IN AAAA fd00::17\n"};
    struct sp_out out;
    if (!operate(s, SP_OP_ZONE_ADD, add, 3, &out) || !operate(s, SP_OP_ZONE_IMPORT, text, 2, &out) ||
        !operate(s, SP_OP_ZONE_DS, add, 1, &out))
        return false;
    print_hex("firstlight: ds", out.data, out.len);
    return query(s, "laptop.me.signpost.", SP_TYPE_AAAA) && query(s, "me.signpost.", SP_TYPE_DNSKEY);
}

unsigned spx_main(const char *command_line) {
    size_t before = spx_pages_left();
    spx_print("firstlight: %u KiB free\n", (uint64_t)before * (SPX_PAGE_SIZE / 1024));
    struct sp_server_config config;
    struct sp_server *server;
    sp_server_config_default(&config);
    config.limits.names = 1000;
    config.grant = spx_pages_grant();
    spx_random_fill(config.seed, sizeof config.seed);
    sp_err err = sp_crypto_init();
    if (err == SP_OK)
        err = sp_server_new(&server, &config, spx_now(), spx_wall());
    bool ok = err == SP_OK && first_light(server);
    if (ok)
        spx_print("firstlight: done, with %u KiB granted and %u KiB of stack\n",
                  (uint64_t)(before - spx_pages_left()) * (SPX_PAGE_SIZE / 1024), (uint64_t)spx_stack_used() / 1024);
    else
        spx_print("firstlight: failed: %s\n", sp_err_text(err));
    spx_console_drain();
    return ok ? SPX_POWEROFF : SPX_CRASH;
}
