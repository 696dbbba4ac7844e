/* The operator's protocol from afar (operator.h): a request goes to the signpost in pieces, its reply comes back in
 * pieces. Each message here is the plaintext of a WireGuard data message in an operator's session, which carries
 * nothing else: authentic, secret and never replayed, but perhaps lost or out of order. So there are no addresses,
 * ports or checksums in it.
 *
 * All are u8 kind, u8 version, u8 state (STATE) or flags (PIECE; 1: answer with STATE), u8 0, u64 session, u32 id, and
 * by kind HELLO    session: a number of the operator's choice. Begins anew: what was under way before is forgotten.
 *   WELCOME  u64 HELLO's number, u32 longest request; session: what all that follows has to say
 *   PIECE    u32 bytes of the request, u32 number of this piece, bytes
 *   PULL     u32 first piece, mask: which pieces of the reply are wanted; while there is none: how it stands
 *   REPLY    u32 bytes of the reply, u32 number of this piece, bytes
 *   STATE    u32 length (READY: of the reply; TOO_BIG: the limit), u32 first piece that is missing, mask: pieces from
 * there that came BYE      ends the session All but the last piece have SP_REMOTE_PIECE bytes. Zeros may follow
 * (WireGuard's padding). The beginning up to `id`, HELLO and WELCOME are the same in all versions.
 *
 * The operator drives: it numbers its requests from 1 and sends again what was not answered. Under one id and session a
 * request is executed once, however often its pieces come; its reply is kept until the next request. A signpost that
 * has restarted, or has ended the session, does not know it (STATE LOST), so no request can be executed by a signpost
 * that was not asked. */
#ifndef SP_CONTROL_REMOTE_H
#define SP_CONTROL_REMOTE_H

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "proto/base/time.h"

#define SP_REMOTE_VERSION 1
#define SP_REMOTE_PIECE   1024 /* sealed, in UDP over IPv6: 1,164 bytes */
#define SP_REMOTE_HEAD    24
#define SP_REMOTE_MSG     (SP_REMOTE_HEAD + SP_REMOTE_PIECE)
#define SP_REMOTE_MASK    128 /* pieces that a mask tells of */
#define SP_REMOTE_FIRST   16  /* pieces of a reply that come without being pulled */

enum sp_remote_kind {
    SP_REMOTE_HELLO = 0x21, /* no kind of a probe, no IP version */
    SP_REMOTE_PIECES,
    SP_REMOTE_PULL,
    SP_REMOTE_BYE,
    SP_REMOTE_WELCOME = 0x31,
    SP_REMOTE_STATE,
    SP_REMOTE_REPLY,
};

enum sp_remote_state {
    SP_REMOTE_TAKING,  /* pieces are missing */
    SP_REMOTE_RUNNING, /* being executed */
    SP_REMOTE_READY,   /* its reply can be pulled; of no bytes: there was no memory for one */
    SP_REMOTE_TOO_BIG,
    SP_REMOTE_FULL, /* no memory for the request */
    SP_REMOTE_BUSY, /* another request is being executed: again, later */
    SP_REMOTE_LOST, /* no such session, or no such request in it */
};

#define SP_REMOTE_ANSWER 1 /* flag of PIECE */

struct sp_remote_mask {
    uint32_t first;
    uint8_t bits[SP_REMOTE_MASK / 8]; /* bit i % 8 of byte i / 8: piece first + i */
};
bool sp_remote_mask_has(const struct sp_remote_mask *m, uint32_t piece);
void sp_remote_mask_set(struct sp_remote_mask *m, uint32_t piece, bool on); /* pieces it does not tell of: nothing */
bool sp_remote_mask_next(const struct sp_remote_mask *m, uint32_t *ret);    /* the first piece that is set */
unsigned sp_remote_mask_count(const struct sp_remote_mask *m);

struct sp_remote_msg {
    uint8_t version, kind, state; /* state: also PIECE's flags */
    uint64_t session;
    uint32_t id;
    uint64_t number; /* WELCOME: HELLO's */
    uint32_t length; /* WELCOME, STATE; PIECE, REPLY: of all pieces */
    uint32_t piece;  /* PIECE, REPLY */
    struct sp_remote_mask mask;
    const uint8_t *data; /* PIECE, REPLY: borrowed */
    size_t len;
};
/* ERR_SHORT, ERR_FORM; ERR_UNSUP: another version (version, kind, session and id are set). */
SP_CHECK sp_err sp_remote_read(struct sp_remote_msg *ret, const uint8_t *data, size_t len);
/* The length; 0: cap too small. m->data has the piece's bytes (m->len is not read: the length follows from the rest).
 */
size_t sp_remote_write(const struct sp_remote_msg *m, uint8_t *out, size_t cap);
/* How many pieces a text of so many bytes has, and the bytes of one of them. */
uint32_t sp_remote_pieces(uint32_t length);
uint32_t sp_remote_piece_len(uint32_t length, uint32_t piece);

/* ---- the signpost's end ---- */

/* Holds one request that is being assembled, or one reply. All zero but mem and request_max: ready. */
struct sp_remote_end {
    struct sp_mem *mem;
    uint32_t request_max;
    uint64_t hello, session;      /* session 0: not greeted */
    uint32_t id;                  /* of the last request; 0: none */
    uint8_t state;                /* of it */
    uint32_t total, count, first; /* the request: bytes, pieces that came, the first that did not */
    uint8_t *request;             /* with a bit for each piece behind it */
    uint8_t *reply;
    uint32_t reply_len;
    bool welcome, tell; /* to be said */
    struct {
        uint64_t session;
        uint32_t id;
        uint8_t state;
    } told;
    struct sp_remote_mask wanted;
};

enum sp_remote_got {
    SP_REMOTE_NOTHING,
    SP_REMOTE_RUN,   /* a request is whole: execute e->request, of e->total bytes, then sp_remote_end_ran */
    SP_REMOTE_ENDED, /* the operator has said good-bye */
    SP_REMOTE_BAD,   /* malformed or late: dropped */
};
/* Takes a message. session: a number that was never given before, used when one begins. Work: one piece; memory: one
 * request. */
enum sp_remote_got sp_remote_end_input(struct sp_remote_end *e, uint64_t session, const uint8_t *data, size_t len);
/* The request was taken: wipes it. */
void sp_remote_end_ran(struct sp_remote_end *e);
/* The reply to the running request, copied. */
void sp_remote_end_reply(struct sp_remote_end *e, const uint8_t *data, size_t len);
/* The next message to send; 0: none. out has SP_REMOTE_MSG bytes. */
size_t sp_remote_end_output(struct sp_remote_end *e, uint8_t *out);
bool sp_remote_end_busy(const struct sp_remote_end *e); /* has something to send */
void sp_remote_end_free(struct sp_remote_end *e);       /* wipes what it holds */

/* ---- the operator's end ---- */

enum sp_remote_phase {
    SP_REMOTE_GREETING,
    SP_REMOTE_IDLE,
    SP_REMOTE_SENDING,
    SP_REMOTE_WAITING,
    SP_REMOTE_PULLING,
    SP_REMOTE_DONE,
    SP_REMOTE_FAILED
};
enum sp_remote_failure {
    SP_REMOTE_NO_FAILURE,
    SP_REMOTE_FAILED_LOST,
    SP_REMOTE_FAILED_TOO_BIG,
    SP_REMOTE_FAILED_MEMORY,
    SP_REMOTE_FAILED_VERSION,
    SP_REMOTE_FAILED_REPLY /* longer than reply_max, or none */
};

struct sp_remote_call {
    struct sp_mem *mem;
    uint32_t reply_max;
    enum sp_remote_phase phase;
    enum sp_remote_failure failure;
    uint8_t their_version;
    uint64_t hello, session;
    uint32_t request_max, id;
    const uint8_t *request; /* borrowed until the reply is there */
    uint32_t total;
    uint8_t *reply; /* with a bit for each piece behind it */
    uint32_t reply_len, count, first;
    struct sp_remote_mask known; /* SENDING: what has arrived there */
    struct sp_remote_mask burst; /* SENDING: still to be sent of this burst; PULLING: asked for and not there yet */
    uint32_t last, burst_size, burst_got; /* last: the burst's */
    uint32_t window;
    bool ask, bye; /* to be sent: HELLO or PULL; BYE */
    bool again;    /* the question was repeated: its answer says nothing about the round trip */
    sp_instant asked_at, due, heard_at;
    sp_duration rtt, wait; /* rtt 0: not measured */
};
/* hello: random. reply_max: bytes of a reply. */
void sp_remote_call_init(struct sp_remote_call *c, struct sp_mem *mem, uint32_t reply_max, uint64_t hello,
                         sp_instant now);
/* Begins a request (GREETING, before any other; IDLE; DONE), which is borrowed until DONE or FAILED; frees the last
 * reply. ERR_STATE. */
SP_CHECK sp_err sp_remote_call_begin(struct sp_remote_call *c, sp_instant now, const uint8_t *request, uint32_t len);
void sp_remote_call_input(struct sp_remote_call *c, sp_instant now, const uint8_t *data, size_t len);
void sp_remote_call_expire(struct sp_remote_call *c, sp_instant now);
sp_instant sp_remote_call_deadline(const struct sp_remote_call *c);
/* The next message to send; 0: none. out has SP_REMOTE_MSG bytes. */
size_t sp_remote_call_output(struct sp_remote_call *c, sp_instant now, uint8_t *out);
void sp_remote_call_bye(struct sp_remote_call *c);
void sp_remote_call_free(struct sp_remote_call *c); /* wipes the reply */

#endif
