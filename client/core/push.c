/* What the signpost tells of its own accord, and what is learnt from it about devices. */
#include "client/core/mesh.h"

/* A key has one name: the device that had it under another is called otherwise now. */
static bool renamed(struct sp_mesh *mesh, const uint8_t pub[SP_ED25519_PUB]) {
    uint8_t wg_pub[SP_X25519];
    if (sp_ed25519_to_x25519(pub, wg_pub) != SP_OK)
        return false;
    struct sp_dir_entry *e = sp_directory_key(mesh->dir, wg_pub);
    if (e == NULL || sp_name_equal(&e->name, &mesh->signpost) || sp_name_equal(&e->name, &mesh->self))
        return false;
    sp_uplink_gone(mesh, &e->name);
    return true;
}

/* A source names a device: our own name and the signpost's keep the keys that they have. */
struct sp_dir_entry *sp_uplink_learn(struct sp_mesh *mesh, const struct sp_name *name,
                                     const uint8_t pub[SP_ED25519_PUB]) {
    struct sp_dir_entry *e = sp_directory_name(mesh->dir, name);
    bool pinned = sp_name_equal(name, &mesh->signpost) || sp_name_equal(name, &mesh->self);
    if (pinned && e != NULL && memcmp(e->pub, pub, SP_ED25519_PUB) != 0)
        return NULL;
    if (e != NULL && e->peer != NULL && memcmp(e->pub, pub, SP_ED25519_PUB) != 0)
        sp_peer_drop(mesh, e->peer);
    bool replaced;
    sp_err err = sp_directory_learn(mesh->dir, name, pub, SP_DIR_SESSION, mesh->now, &e, &replaced);
    if (err == SP_ERR_EXIST && renamed(mesh, pub))
        err = sp_directory_learn(mesh->dir, name, pub, SP_DIR_SESSION, mesh->now, &e, &replaced);
    if (err != SP_OK)
        mesh->uplink.dropped++;
    return err == SP_OK ? e : NULL;
}

void sp_uplink_gone(struct sp_mesh *mesh, const struct sp_name *name) {
    struct sp_dir_entry *e = sp_directory_name(mesh->dir, name);
    if (e == NULL || sp_name_equal(name, &mesh->signpost) || sp_name_equal(name, &mesh->self))
        return;
    if (e->peer != NULL)
        sp_peer_drop(mesh, e->peer);
    sp_directory_forget(mesh->dir, e);
}

/* ---- sequence ---- */

/* Another run of the signpost: what it knew of us, and the relay's channels, are gone. */
static void restarted(struct sp_mesh *mesh, const struct sp_seq *seq) {
    struct sp_uplink *up = &mesh->uplink;
    bool had = up->have_seq;
    up->have_seq = true;
    up->seq = *seq;
    up->seq_mask = 0;
    up->pull_wanted = true;
    if (!had)
        return;
    up->profile_known = false;
    up->profile_due = true;
    up->profile_at = mesh->now;
    for (struct sp_peer *p = mesh->first; p != NULL; p = p->older)
        sp_peer_channel_lost(mesh, p);
}

void sp_uplink_sequence(struct sp_mesh *mesh, const struct sp_seq *seq) {
    struct sp_uplink *up = &mesh->uplink;
    if (!up->have_seq || seq->epoch != up->seq.epoch) {
        restarted(mesh, seq);
        return;
    }
    if ((int32_t)(seq->sequence - up->seq.sequence) > 0)
        up->pull_wanted = true; /* a push is on its way, or lost */
}

/* Whether this push is new; one that was missed asks for the whole list. */
static bool in_sequence(struct sp_mesh *mesh, const struct sp_seq *seq) {
    struct sp_uplink *up = &mesh->uplink;
    if (!up->have_seq || seq->epoch != up->seq.epoch) {
        restarted(mesh, seq);
        return true;
    }
    int32_t ahead = (int32_t)(seq->sequence - up->seq.sequence);
    if (ahead > 0) {
        up->pull_wanted = up->pull_wanted || ahead > 1;
        up->seq_mask = ahead < 64 ? up->seq_mask << ahead | UINT64_C(1) << (ahead - 1) : 0;
        up->seq.sequence = seq->sequence;
        return true;
    }
    if (ahead == 0 || ahead < -64)
        return false;
    uint64_t bit = UINT64_C(1) << (-ahead - 1);
    if (up->seq_mask & bit)
        return false;
    up->seq_mask |= bit;
    return true;
}

/* ---- pushes ---- */

/* Somebody has asked for a path to us. */
static void on_plan(struct sp_mesh *mesh, const struct sp_session_record *rec, const uint8_t *first, size_t first_len) {
    struct sp_dir_entry *e = sp_uplink_learn(mesh, &rec->owner, rec->plan.pub);
    if (e == NULL || sp_name_equal(&e->name, &mesh->self) || sp_name_equal(&e->name, &mesh->signpost))
        return;
    struct sp_peer *p = sp_peer_get(mesh, e);
    if (p == NULL)
        return;
    sp_peer_planned(mesh, p, &rec->plan);
    struct sp_hop hop;
    uint8_t msg[SP_WG_INITIATION];
    if (first == NULL || first_len != sizeof msg)
        return;
    memcpy(msg, first, sizeof msg); /* what it stands in may be used again */
    if (!sp_peer_relay(mesh, p, &hop))
        hop = (struct sp_hop){0}; /* no relay: the answer goes to the candidates */
    sp_receive_wg(mesh, &hop, msg, sizeof msg);
}

void sp_uplink_push(struct sp_mesh *mesh, const struct sp_session_msg *msg) {
    struct sp_session_msg m = *msg;
    uint8_t ack[SP_SESSION_MSG];
    size_t ack_len = sp_session_ack_write(&m, ack, sizeof ack);
    mesh->uplink.pushes++;
    if (m.has_seq && in_sequence(mesh, &m.seq)) {
        struct sp_session_record rec, plan = {.kind = SP_RECORD_OTHER};
        while (sp_session_record(&m, &rec) == SP_OK) {
            if (plan.kind == SP_RECORD_PLAN) {
                bool first = rec.kind == SP_RECORD_FIRST;
                on_plan(mesh, &plan, first ? rec.data : NULL, first ? rec.len : 0);
                plan.kind = SP_RECORD_OTHER;
            }
            if (rec.kind == SP_RECORD_PLAN)
                plan = rec;
            else if (rec.kind == SP_RECORD_KEY)
                (void)sp_uplink_learn(mesh, &rec.owner, rec.pub);
            else if (rec.kind == SP_RECORD_KEY_GONE)
                sp_uplink_gone(mesh, &rec.owner);
        }
        if (plan.kind == SP_RECORD_PLAN)
            on_plan(mesh, &plan, NULL, 0);
    } else {
        mesh->uplink.pushes_again++;
    }
    sp_uplink_say(mesh, ack, ack_len);
    sp_request_flush(mesh);
}

void sp_uplink_message(struct sp_mesh *mesh, const uint8_t *data, size_t len) {
    if (len < SP_MSG_HEADER) {
        mesh->uplink.dropped++;
        return;
    }
    if (sp_get_u16(data + 2) & SP_FLAG_QR) {
        sp_request_reply(mesh, data, len);
        return;
    }
    struct sp_session_msg m;
    if (sp_session_read(&m, data, len) != SP_OK || m.kind != SP_SESSION_PUSH) {
        mesh->uplink.dropped++;
        return;
    }
    sp_uplink_push(mesh, &m);
}
