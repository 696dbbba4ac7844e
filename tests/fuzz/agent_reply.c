/* Datagrams to an agent that waits for an answer. First byte even: the rest as it came. Odd: the rest as a message in
 * which id and flags are put right and which the signpost then signs, so that what lies behind the signature is reached
 * too. */
#include "tests/support/agent_peer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The message with a signature of the true key over the agent's last request; 0: too short or too long for one. */
static size_t make_signed(struct world *w, const uint8_t *data, size_t len, uint8_t *ret, size_t cap) {
    struct sp_msg msg;
    if (len < SP_MSG_HEADER || len > 3000)
        return 0;
    struct sp_wr wr = sp_wr_init(ret, cap);
    sp_wr_bytes(&wr, data, len);
    memcpy(ret, w->last_request, 2);
    ret[2] = (uint8_t)(0x80 | SP_OPCODE_UPDATE << 3);
    if (sp_msg_parse(&msg, ret, len) != SP_OK || msg.auth != SP_AUTH_NONE)
        return 0;
    if (sp_sig0_sign(&wr, &w->peer.signpost, &w->peer.key, w->peer.tag, world_wall(w), 300, w->last_request,
                     w->last_request_len, w->peer.scratch, sizeof w->peer.scratch) != SP_OK)
        return 0;
    return sp_wr_len(&wr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static struct world w;
    uint8_t reply[4096];
    if (len == 0)
        return 0;
    world_init(&w, NULL, 1);
    w.latency = SP_HOUR; /* the true replies stay away */
    w.peer.silent = true;
    if (sp_agent_up(w.agent, w.now) != SP_OK)
        abort();
    world_pass(&w, SP_MS);
    size_t n = data[0] & 1 ? make_signed(&w, data + 1, len - 1, reply, sizeof reply) : 0;
    if (n > 0)
        world_deliver(&w, &w.token.addrs[0], reply, n);
    else
        world_deliver(&w, &w.token.addrs[0], data + 1, len - 1);
    if (n == 0 && world_state(&w) != SP_AGENT_REGISTERING)
        abort(); /* something unsigned has had an effect */
    world_pass(&w, SP_MIN);
    world_free(&w);
    return 0;
}
