/* Path probes, and what else our own agents say to each other inside a WireGuard session beside IP packets. Each is the plaintext of
 * a data message, so it is authenticated and secret; its first byte is no IP version, so other WireGuards drop it.
 *
 *   PING   u8 1, u8 flags, u16 path, u64 cookie, zeros up to the size wanted (WireGuard's padding may follow: ignored)
 *   PONG   u8 2, u8 flags, u16 path, u64 cookie, u16 size of the PING's plaintext, u8 family, address (4 or 16), u16 port: whence it came
 *   SPLIT  u8 3, u8 part (0, 1), u16 id, u16 length of the bytes that follow, bytes: a half of an IP packet
 *   CLOSE  u8 4, zeros: the session's end, said on the way down
 */
#ifndef SP_NAT_PROBE_H
#define SP_NAT_PROBE_H

#include "proto/nat/nat.h"

enum sp_probe_kind { SP_PROBE_NONE, SP_PROBE_PING, SP_PROBE_PONG, SP_PROBE_SPLIT, SP_PROBE_CLOSE };
enum sp_probe_flag { SP_PROBE_CHOSEN = 1 /* PING: the sender's traffic uses this path now */ };

#define SP_PROBE_PING_MIN 16
#define SP_PROBE_SPLIT_HEAD 6

struct sp_probe {
    uint8_t kind, flags;
    uint16_t path;
    uint64_t cookie;     /* PONG repeats PING's: unguessable */
    uint16_t size;       /* PING: of the plaintext; PONG: of the PING that it answers */
    struct sp_addr seen; /* PONG */
    uint8_t part;        /* SPLIT: this and the following */
    uint16_t id;
    const uint8_t *data;
    uint16_t len;
};

/* SP_PROBE_NONE when the plaintext is an IP packet (first nibble 4 or 6); ERR_FORM, ERR_SHORT. */
SP_CHECK sp_err sp_probe_read(struct sp_probe *ret, const uint8_t *data, size_t len);
/* The length; a PING is filled with zeros to p->size. 0: cap too small. */
size_t sp_probe_write(const struct sp_probe *p, uint8_t *out, size_t cap);

/* ---- joining the halves ---- */

#define SP_SPLIT_SLOTS 8
#define SP_SPLIT_PACKET 1500
struct sp_split {
    struct {
        uint16_t id, len[2];
        uint8_t have; /* bit per part */
        sp_instant at;
        uint8_t data[2][SP_SPLIT_PACKET / 2 + 64];
    } slots[SP_SPLIT_SLOTS];
};
/* Takes one half. OK: the packet is whole, written to out. ERR_AGAIN: its other half is still to come; older ones give way.
 * ERR_FORM, ERR_RANGE. Halves wait 2 s at most. */
SP_CHECK sp_err sp_split_join(struct sp_split *s, const struct sp_probe *half, sp_instant now, uint8_t *out, size_t cap,
                              size_t *ret_len);

/* ---- path MTU (RFC 8899, made simple: one question) ---- */

/* Whether a path carries a full plaintext (SP_PATH_FULL bytes of it) whole. Until that is shown packets are split. */
#define SP_PATH_FULL 1280
enum sp_pmtu_state { SP_PMTU_UNKNOWN, SP_PMTU_PROBING, SP_PMTU_FULL, SP_PMTU_SMALL };
struct sp_pmtu {
    uint8_t state, sent;
    uint64_t cookie;     /* of the last one */
    uint64_t cookies[4]; /* of all that were sent in this round: a late PONG counts */
    sp_instant next; /* when to send the next full PING; SP_NEVER: not now */
};
/* A path was found to work: probe at once; a lost full PING is repeated after 1 RTT (at least 100 ms), 3 times, then SMALL, tried
 * again after 60 s. FULL is verified again every 15 s while the path is in use; 3 losses: SMALL. */
void sp_pmtu_begin(struct sp_pmtu *m, sp_instant now);
/* A full PING is due: take its cookie and send. */
bool sp_pmtu_due(struct sp_pmtu *m, sp_instant now, sp_duration rtt, uint64_t cookie);
/* A PONG came; true when it answers a full PING. */
bool sp_pmtu_pong(struct sp_pmtu *m, const struct sp_probe *pong, sp_instant now);

#endif
