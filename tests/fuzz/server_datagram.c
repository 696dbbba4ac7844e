/* What comes to the signpost's port besides streams, with two live sessions and a channel: steps of a byte (what, from
 * whom), a length, and that many bytes, as a datagram, joined datagrams, a packet or DNS inside a session, or the
 * payload of a relay frame. */
#include "tests/support/fake_agent.h"

#include "signpostd/core/overlay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum step { STEP_RAW, STEP_JOINED, STEP_PLAIN, STEP_DNS, STEP_FRAME, STEP_STRANGER, STEP_WAIT, STEPS };

#define MUST(cond) ((cond) ? (void)0 : sp_panic(__FILE__, __LINE__, #cond))

static struct rig r;
static struct fake fakes[2];
static uint32_t channels[2];

/* The first asks for the second, who consents by its answer. */
static void begin(void) {
    uint8_t buf[SP_SESSION_MSG], first[SP_WG_INITIATION] = {1};
    struct sp_session_msg m;
    struct sp_session_record rec;
    rig_init(&r, 0);
    rig_start(&r);
    rig_zone(&r);
    fake_init(&fakes[0], &r, "laptop.me.example.", 10, true);
    fake_init(&fakes[1], &r, "nas.me.example.", 20, true);
    MUST(fake_handshake(&fakes[0]) && fake_handshake(&fakes[1]));
    size_t n = sp_session_connect_write(1, &fakes[1].name, first, sizeof first, buf, sizeof buf);
    MUST(fake_ask(&fakes[0], buf, n, &m) && sp_session_record(&m, &rec) == SP_OK);
    channels[0] = rec.plan.channel;
    fake_take(&fakes[1]);
    MUST(fake_find(&fakes[1], SP_SESSION_PUSH, &m) && sp_session_record(&m, &rec) == SP_OK);
    channels[1] = rec.plan.channel;
    fake_dns(&fakes[1], buf, sp_session_ack_write(&m, buf, sizeof buf));
}

static void step(uint8_t what, const uint8_t *p, size_t n) {
    struct fake *f = &fakes[what & 1];
    uint8_t payload[1024];
    struct sp_in in = {.kind = SP_IN_DATAGRAM, .data = p, .len = n, .src = f->addr, .dst = rig_server};
    memcpy(payload, p, n);
    switch ((enum step)((what >> 1) % STEPS)) {
    case STEP_RAW:
        rig_in(&r, &in, 1);
        break;
    case STEP_JOINED:
        in.segment = (uint16_t)(n > 0 ? 1 + p[0] : 1);
        in.data = p + (n > 0);
        in.len = n - (n > 0);
        rig_in(&r, &in, 1);
        break;
    case STEP_PLAIN:
        fake_plain(f, payload, n);
        break;
    case STEP_DNS:
        fake_dns(f, payload, n);
        break;
    case STEP_FRAME:
        fake_frame(f, channels[what & 1], payload, n);
        break;
    case STEP_STRANGER:
        in.src = rig_client;
        rig_in(&r, &in, 1);
        break;
    case STEP_WAIT:
        rig_wait(&r, n * SP_SEC);
        break;
    case STEPS:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    begin();
    for (unsigned steps = 0; sp_rd_left(&rd) >= 3 && steps < 64; steps++) {
        uint8_t what = sp_rd_u8(&rd);
        size_t n = sp_rd_u16(&rd) % 1025;
        if (n > sp_rd_left(&rd))
            n = sp_rd_left(&rd);
        step(what, sp_rd_bytes(&rd, n), n);
        fake_forget(&fakes[0]);
        fake_forget(&fakes[1]);
        rig_forget(&r);
    }
    /* Everything ends by itself, and DNS was never harmed. */
    rig_wait(&r, SP_HOUR);
    MUST(r.s->overlay->sessions.count == 0 && sp_relay_counts(r.s->overlay->relay)->channels == 0);
    uint8_t q[128];
    const struct rig_out *o = rig_udp(&r, q, rig_query(q, sizeof q, 1, "ns.me.example.", SP_TYPE_A, false, 0));
    MUST(o != NULL && rig_answers(o->data, o->len, SP_TYPE_A) == 1);
    fake_end(&fakes[0]);
    fake_end(&fakes[1]);
    rig_end(&r);
    return 0;
}
