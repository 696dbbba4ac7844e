/* The operator's messages from afar: u16 length, then that many bytes, until the input ends; each is read, and given to
 * both ends. What is sound says the same when it is written again; whatever comes, no end holds more than one request
 * or one reply, a request is executed once, and everything is given back. */
#include <string.h>

#include "proto/control/remote.h"
#include "tests/support/support.h"

#define REQUEST_MAX 5000u
#define REPLY_MAX   9000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct sp_mem mem[2];

static void again(const struct sp_remote_msg *m) {
    uint8_t out[SP_REMOTE_MSG];
    struct sp_remote_msg back;
    size_t n = sp_remote_write(m, out, sizeof out);
    SP_ASSERT(n > 0 && sp_remote_read(&back, out, n) == SP_OK);
    SP_ASSERT(back.kind == m->kind && back.state == m->state && back.session == m->session && back.id == m->id);
    SP_ASSERT(back.number == m->number && back.length == m->length && back.piece == m->piece && back.len == m->len);
    SP_ASSERT(memcmp(&back.mask, &m->mask, sizeof back.mask) == 0 && m->len <= SP_REMOTE_PIECE);
    SP_ASSERT(m->len == 0 || memcmp(back.data, m->data, m->len) == 0);
}

static void to_end(struct sp_remote_end *e, const uint8_t *data, size_t len, uint32_t *ran) {
    static const uint8_t reply[3000];
    uint8_t out[SP_REMOTE_MSG];
    uint32_t before = e->session != 0 ? *ran : 0;
    uint64_t session = e->session;
    if (sp_remote_end_input(e, 7, data, len) == SP_REMOTE_RUN) {
        SP_ASSERT(e->total <= REQUEST_MAX && e->session == session && e->id > before);
        *ran = e->id;
        sp_remote_end_ran(e);
        if (e->id % 2 == 0)
            sp_remote_end_reply(e, reply, e->id % sizeof reply);
    }
    if (e->session != session || e->id == 0)
        *ran = 0;
    SP_ASSERT(mem[0].used <= 2 * REQUEST_MAX);
    for (size_t n, i = 0; (n = sp_remote_end_output(e, out)) > 0; i++)
        SP_ASSERT(i < SP_REMOTE_MASK + 2 && n <= sizeof out);
    SP_ASSERT(!sp_remote_end_busy(e));
}

static void to_call(struct sp_remote_call *c, sp_instant now, const uint8_t *data, size_t len) {
    uint8_t out[SP_REMOTE_MSG];
    sp_remote_call_input(c, now, data, len);
    SP_ASSERT(mem[1].used <= 2 * REPLY_MAX);
    if (sp_remote_call_deadline(c) <= now)
        sp_remote_call_expire(c, now);
    for (size_t n, i = 0; (n = sp_remote_call_output(c, now, out)) > 0; i++)
        SP_ASSERT(i < SP_REMOTE_MASK + 2 && n <= sizeof out);
    if (c->phase == SP_REMOTE_DONE)
        (void)!sp_remote_call_begin(c, now, c->request, c->total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const uint8_t request[4000];
    struct sp_rd rd = sp_rd_init(data, len);
    struct sp_remote_call call;
    uint32_t ran = 0;
    for (unsigned i = 0; i < 2; i++)
        sp_mem_init(&mem[i], sp_test_grant(), SP_CHUNK);
    struct sp_remote_end end = {.mem = &mem[0], .request_max = REQUEST_MAX};
    sp_remote_call_init(&call, &mem[1], REPLY_MAX, 5, 0);
    if (sp_remote_call_begin(&call, 0, request, sizeof request) != SP_OK)
        sp_panic(__FILE__, __LINE__, "it takes no request");
    sp_instant now = 0;
    while (sp_rd_left(&rd) >= 2) {
        struct sp_remote_msg m;
        size_t size = sp_rd_u16(&rd);
        if (size > sp_rd_left(&rd))
            size = sp_rd_left(&rd);
        const uint8_t *msg = sp_rd_bytes(&rd, size);
        if (sp_remote_read(&m, msg, size) == SP_OK)
            again(&m);
        to_end(&end, msg, size, &ran);
        to_call(&call, now, msg, size);
        now += 300 * SP_MS;
    }
    sp_remote_call_free(&call);
    sp_remote_end_free(&end);
    SP_ASSERT(mem[0].used == 0 && mem[1].used == 0);
    for (unsigned i = 0; i < 2; i++)
        sp_mem_done(&mem[i]);
    return 0;
}
