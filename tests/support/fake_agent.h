/* A device's end of a control session, as simple as it can be: WireGuard and the session's messages, by hand. */
#ifndef SP_TESTS_FAKE_AGENT_H
#define SP_TESTS_FAKE_AGENT_H

#include "proto/control/session.h"
#include "proto/control/tunnel.h"
#include "proto/nat/probe.h"
#include "proto/relay/relay.h"
#include "proto/wg/wg.h"
#include "tests/support/server_rig.h"

#define FAKE_INBOX 64

struct fake {
    struct rig *r;
    struct sp_mem mem;
    struct sp_rng rng;
    struct sp_ed25519 key;
    struct sp_wg *wg;
    struct sp_wg_peer *signpost;
    struct sp_name zone, name;
    uint8_t overlay[16], signpost_overlay[16];
    struct sp_addr addr;
    uint64_t stream; /* not 0: over this stream */
    size_t read;     /* of the rig's outs */
    size_t skip;     /* bytes of the stream's messages that were read */
    /* What came: plaintexts of data messages, and relay frames as they were. */
    struct fake_got {
        bool frame;
        uint16_t segment;
        uint8_t data[2048];
        size_t len;
    } inbox[FAKE_INBOX];
    size_t count;
    unsigned responses, cookies;
};

/* A device NAME of RIG_ZONE with a key made from fill; lists it in the zone when `listed`. Its address is 203.0.113.fill. */
void fake_init(struct fake *f, struct rig *r, const char *name, uint8_t fill, bool listed);
void fake_init_in(struct fake *f, struct rig *r, const char *zone, const char *name, uint8_t fill, bool listed);
void fake_end(struct fake *f);
void fake_list(struct fake *f); /* (again) */
/* Takes what the rig has for it, as far as the inbox has room. */
void fake_take(struct fake *f);
void fake_raw(struct fake *f, const void *data, size_t len);
/* Handshake and first data message. False: no response. */
bool fake_handshake(struct fake *f);
/* A plaintext through the session. */
void fake_plain(struct fake *f, const void *data, size_t len);
/* A DNS message to the signpost's overlay address. */
void fake_dns(struct fake *f, const void *msg, size_t len);
/* The i-th DNS message that came (from or to port 853 or 53), read; false: none. Borrows from the inbox. */
bool fake_message(struct fake *f, size_t i, struct sp_session_msg *ret);
/* The first of this kind. */
bool fake_find(struct fake *f, enum sp_session_kind kind, struct sp_session_msg *ret);
/* A request and its reply. */
bool fake_ask(struct fake *f, const void *msg, size_t len, struct sp_session_msg *ret);
void fake_forget(struct fake *f);
/* A profile with UDP, these behaviours, and a host candidate 192.168.fill.2. */
void fake_profile(struct fake *f, uint8_t mapping, uint8_t filtering, uint8_t flags, struct sp_profile *ret);
bool fake_tell(struct fake *f, const struct sp_profile *p);
/* The relay frame around payload. */
void fake_frame(struct fake *f, uint32_t index, const void *payload, size_t len);

#endif
