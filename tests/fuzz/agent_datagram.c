/* What comes to an agent that has a session with its signpost and one with a peer: datagrams of strangers and from the
 * signpost's address, what the signpost says inside the session, what the peer says inside its own, packets and queries
 * and requests of the host. Input: steps of u8 kind, u16 length, bytes. */
#include <stdlib.h>

#include "proto/control/tunnel.h"
#include "tests/support/path_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define STEPS_MAX 16
#define RUNS      64 /* before the world is made anew */

enum step { STRANGER, SIGNPOST, SESSION, PEER, PACKET, RESOLVE, CONTROL, FORWARDED, STREAM, STEP_KINDS };

static struct path_rig *rig;
static unsigned runs;

static void renew(void) {
    if (rig != NULL && runs++ % RUNS != 0)
        return;
    if (rig != NULL)
        path_end(rig);
    free(rig);
    rig = calloc(1, sizeof *rig);
    runs = 1;
    path_begin(rig, &(struct sp_overlay_config){.forward = true, .search = true});
    path_send(rig, 0, 100);
    path_pass(rig, SP_SEC);
}

/* Behind the encryption: said by the other agent. */
static void peer_says(const uint8_t *data, size_t len) {
    struct sp_mesh *other = rig->n[1].agent->mesh;
    struct sp_peer *p = path_peer(rig, 1);
    struct sp_hop hop;
    sp_mesh_turn(other, rig->r.now, rig->r.wall);
    if (p != NULL && len <= 1400 && sp_peer_up(other, p) && sp_peer_hop(other, p, &hop))
        (void)sp_send_plain(other, p->wg, &hop, data, len);
}

static void session_says(const uint8_t *data, size_t len) {
    struct sp_mesh *mesh = rig->n[0].agent->mesh;
    sp_mesh_turn(mesh, rig->r.now, rig->r.wall);
    if (mesh->active && len <= SP_SESSION_MSG)
        sp_uplink_message(mesh, data, len);
}

static void step(unsigned kind, const uint8_t *data, size_t len) {
    static const struct sp_addr stranger = {.family = 4, .ip = {192, 0, 2, 66}, .port = 6666};
    struct sp_in in = {
        .kind = SP_IN_DATAGRAM, .id = 3, .data = data, .len = len, .src = stranger, .dst = rig->n[0].inside};
    if (kind == SESSION || kind == PEER) {
        (kind == SESSION ? session_says : peer_says)(data, len);
        return;
    }
    if (kind == SIGNPOST)
        in.src = (struct sp_addr){.family = 4, .ip = {198, 51, 100, 2}, .port = 53};
    else if (kind == PACKET || kind == RESOLVE || kind == CONTROL)
        in.kind = kind == PACKET ? SP_IN_PACKET : kind == RESOLVE ? SP_IN_RESOLVE : SP_IN_CONTROL;
    else if (kind == FORWARDED || kind == STREAM)
        in.kind = kind == FORWARDED ? SP_IN_FORWARDED : SP_IN_STREAM_DATA;
    if (kind == STREAM || kind == FORWARDED)
        in.id = rig->n[0].agent->mesh->uplink.stream;
    if (kind == CONTROL && len > 1 && (data[1] == SP_AGENT_OP_DOWN || data[1] == SP_AGENT_OP_LEAVE))
        return; /* the world would be over */
    path_input(rig, 0, &in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    renew();
    for (unsigned i = 0; i < STEPS_MAX && sp_rd_left(&rd) >= 3; i++) {
        unsigned kind = sp_rd_u8(&rd) % STEP_KINDS;
        size_t n = sp_rd_u16(&rd);
        n = n < sp_rd_left(&rd) ? n : sp_rd_left(&rd);
        step(kind, sp_rd_bytes(&rd, n), n);
        path_pass(rig, 5 * SP_MS);
    }
    path_pass(rig, 50 * SP_MS);
    for (unsigned i = 0; i < 2; i++)
        path_forget(rig, i);
    if (!path_direct(rig, 0) && !path_relayed(rig, 0))
        runs = 0; /* the peer was dropped: a fresh world for the next */
    return 0;
}
