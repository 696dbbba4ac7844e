/* What the files of TCP share. */
#ifndef SP_NET_TCP_IMPL_H
#define SP_NET_TCP_IMPL_H

#include <string.h>

#include "proto/base/bucket.h"
#include "proto/base/bytes.h"
#include "proto/base/ring.h"
#include "proto/base/table.h"
#include "proto/base/timers.h"
#include "proto/net/tcp.h"

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

#define TCP_HEAD        20
#define TCP_TS_LEN      12 /* of a timestamps option with its padding */
#define TCP_MSS_MIN     216
#define TCP_MSS_SMALL   1024 /* after a black hole was found: RFC 4821's, less than any tunnel leaves */
#define TCP_MSS_LEAST   524  /* and of 576 bytes over IPv4, if those vanish, too */
#define TCP_SACKS       4
#define TCP_MSL         (30 * SP_SEC)
#define TCP_RTO_MIN     (200 * SP_MS)
#define TCP_RTO_FIRST   SP_SEC
#define TCP_RTO_MAX     (60 * SP_SEC)
#define TCP_ACK_DELAY   (40 * SP_MS)
#define TCP_ACK_DELAY_PEER (200 * SP_MS) /* RFC 8985 7.2: what a peer may wait before it acknowledges a lone segment */
#define TCP_SYN_TRIES   5
#define TCP_KEEP_TRIES  9
#define TCP_KEEP_EVERY  (75 * SP_SEC)
#define TCP_WINDOW_INIT 10 /* segments: RFC 6928 */
#define TCP_SEND_FIRST    (256u << 10) /* bytes that may wait to be sent or acknowledged, unless two congestion windows are more */
#define TCP_RECEIVE_FIRST (64u << 10)  /* the window at first */
#define TCP_PAWS_AGE    (24 * SP_DAY) /* RFC 7323 5.5 */

static inline bool seq_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_le(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_lt(a, b) ? b : a; }
static inline uint32_t seq_min(uint32_t a, uint32_t b) { return seq_lt(a, b) ? a : b; }
static inline uint32_t u32_min(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t u32_max(uint32_t a, uint32_t b) { return a > b ? a : b; }

struct tcp_range {
    uint32_t seq, end;
};

/* A segment as received. */
struct tcp_seg {
    const struct sp_tcp_packet *packet;
    uint16_t sport, dport, wnd;
    uint32_t seq, ack;
    uint8_t flags;
    const uint8_t *data;
    uint32_t len;
    uint16_t mss;   /* 0: not said */
    uint8_t shift;  /* of the window, with has_shift */
    bool has_shift, has_ts, sack_ok;
    uint32_t tsval, tsecr;
    uint8_t sacks;
    struct tcp_range sack[TCP_SACKS];
};
static inline uint32_t tcp_seg_end(const struct tcp_seg *s) {
    return s->seq + s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
}

enum tcp_state {
    TCP_SYN_SENT,
    TCP_SYN_RECEIVED,
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
    TCP_TIME_WAIT, /* only until its record is made */
    TCP_OVER       /* until SP_TCP_CLOSED was taken */
};

/* ---- buffers ---- */

/* Free pieces of one size, used again and again. */
struct tcp_pool {
    size_t size;
    void *free;
};

#define TCP_BLOCK_SMALL 1024
#define TCP_BLOCK_LARGE 16384
#define TCP_PAGE        4096 /* of what came too early */

/* Bytes that wait to be sent or acknowledged. */
struct tcp_block {
    struct tcp_block *next;
    uint32_t len, cap;
    uint8_t data[];
};

/* A part of what was sent and is not acknowledged as a whole. Neither sacked nor lost: it is under way, and counts in `pipe`. */
struct tcp_sent {
    struct tcp_sent *next, *prev; /* by sequence number */
    struct sp_ring time;          /* by the time of sending, those that are under way */
    sp_instant at;
    uint32_t seq, len; /* a FIN counts as one byte */
    bool sacked, lost, again; /* again: sent more than once */
};

/* What came too early: bytes at their places in pages, and which of them are there. Made when needed. */
#define TCP_RANGES 128
struct tcp_early {
    uint32_t base; /* the sequence number of byte 0 of page 0 */
    uint32_t given; /* up to where its bytes were handed on */
    uint16_t count, pages, first; /* ranges; pages that there is a place for; the ring's first page */
    uint16_t held;                /* pages that are there */
    uint32_t recent[TCP_SACKS]; /* where the newest ones are */
    struct tcp_range range[TCP_RANGES]; /* in order, apart from each other */
    uint8_t *page[];
};

struct tcp_rtt {
    bool known;
    sp_duration srtt, var, rto, least;
    sp_instant least_at; /* when it was measured */
};

/* RFC 8985. */
struct tcp_rack {
    sp_instant at; /* of the latest sent segment that was delivered */
    uint32_t end;
    sp_duration rtt;
    uint32_t fack; /* the highest byte delivered */
    uint8_t mult, persist;
    bool reordered, round_set;
    uint32_t round_end; /* of the round that a D-SACK has counted for */
    bool tail_probe, tail_again; /* a tail loss probe is under way; it was a retransmission */
    uint32_t tail_end;
};

/* RFC 9438, in bytes and milliseconds. */
struct tcp_cubic {
    uint32_t window, threshold;
    uint32_t max, origin, start; /* start: the window at the epoch's beginning */
    sp_instant epoch; /* 0: none */
    sp_duration k;
    uint64_t friendly; /* window of a standard TCP, bytes */
    uint32_t counted;  /* acknowledged bytes that have not raised the window yet */
    bool limited;      /* the window has kept something back since the last acknowledgement */
};

enum tcp_probe { PROBE_NONE, PROBE_TAIL, PROBE_PEER }; /* to be sent now: the tail; something that makes the peer answer */
enum tcp_wait { WAIT_NONE, WAIT_RTO, WAIT_REORDER, WAIT_TAIL, WAIT_PERSIST };

enum { EV_OPENED = 1, EV_DATA = 2, EV_EARLY = 4, EV_END = 8, EV_ROOM = 16, EV_CLOSED = 32 };

struct sp_tcp_conn {
    struct sp_link link, by_number;
    struct sp_ring ready; /* has events */
    struct sp_ring busy;  /* may have something to send */
    struct sp_timer timer;
    uint64_t number;
    void *user;
    uint8_t remote[16], local[16];
    uint16_t rport, lport;
    uint8_t family;
    uint8_t state;
    uint8_t events;
    sp_err over;
    bool passive, half_open, ts, sack, scaled, reader_gone, told_open;
    uint8_t snd_shift, rcv_shift;
    uint16_t mss; /* payload of a full segment, options of data segments taken off */
    uint16_t mss_most; /* as the handshake found */
    uint16_t size_probe, size_failed; /* a larger segment that is under way, to see whether it arrives; one that did not; 0 */
    uint32_t size_probe_seq;
    sp_instant size_at; /* when the next one may go, if mss is less than mss_most */
    uint32_t ts_offset;

    /* receiving */
    uint32_t rcv_nxt, rcv_edge; /* edge: the right end of the window that was announced */
    uint32_t unread;
    uint32_t rcv_most;   /* the window, were nothing unread: grows to receive_max as the reader takes more in a round trip */
    uint32_t round_read; /* bytes that the reader took since then: */
    sp_instant round_at;
    uint32_t ts_recent, last_ack;
    sp_instant ts_recent_at;
    struct tcp_early *early;
    const uint8_t *data; /* EV_DATA: of the packet at hand */
    uint32_t data_len;
    uint32_t fin_at;
    bool fin_known, fin_taken;
    bool dsack_due, ack_now;
    struct tcp_range dsack;
    uint32_t unacked; /* bytes received since the last acknowledgement of ours */
    sp_instant ack_at, heard_at;
    struct sp_bucket challenges;

    /* sending */
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wnd_most, snd_wl1, snd_wl2;
    struct tcp_block *first, *last;
    struct tcp_block *next_block; /* where the first unsent byte lies, */
    uint32_t next_off;
    uint32_t first_off; /* bytes of the first block that are acknowledged */
    uint32_t queued;    /* bytes in blocks that are not acknowledged */
    struct tcp_block *spare;  /* empty blocks, the next ones: what was promised has its place in the last one and these */
    uint32_t spare_cap, promised;
    struct sp_ring hungry; /* waits for memory */
    bool fin_wanted, fin_sent, short_write, syn_now;
    uint8_t probe; /* enum tcp_probe */
    uint8_t dup_acks;
    struct tcp_sent *sent, *sent_last;
    struct tcp_sent *lost_from; /* no lost one is before it; NULL: none at all */
    uint32_t records; /* of them */
    struct sp_ring times;
    uint32_t pipe, lost, sacked; /* bytes under way; known to be lost and not sent again; sacked */
    bool recovering, fast; /* fast: a recovery's first retransmission, which no window holds back */
    uint32_t recover;
    struct tcp_rtt rtt;
    struct tcp_rack rack;
    struct tcp_cubic cubic;
    uint8_t wait, backoff, keeps;
    sp_instant wait_at, last_sent, progress_at;
};

struct tcp_tuple {
    uint8_t remote[16], local[16];
    uint16_t rport, lport;
    uint8_t family;
};

/* A connection in TIME-WAIT: what an answer to a stray segment needs. RFC 9293 3.6.1; RFC 6191. */
struct tcp_waiting {
    struct sp_link link;
    struct sp_ring age;
    struct tcp_tuple tuple;
    uint32_t snd_nxt, rcv_nxt, ts_recent, ts_offset, wnd;
    bool ts;
    sp_instant until;
};

/* A segment without a connection, to be sent. */
struct tcp_stray {
    struct sp_ring ring;
    struct tcp_tuple tuple;
    uint32_t seq, ack, tsval, tsecr;
    uint16_t wnd, mss;
    uint8_t flags, shift;
    bool has_ts, has_shift, sack_ok;
};

struct sp_tcp {
    struct sp_tcp_config config;
    struct sp_tcp_link link;
    uint8_t key[16], isn_key[16], cookie_key[16];
    struct sp_table conns, numbers, waits;
    struct sp_ring ready, busy, wait_age, strays, hungry;
    sp_instant feed_at; /* when those who wait for memory may try again, though none was given back */
    void *shown; /* a page whose bytes were handed on, to be given back */
    uint32_t stray_count;
    struct sp_timers timers;
    uint64_t next_number;
    uint32_t half_open;
    uint16_t next_port;
    size_t buffered;
    struct tcp_pool small, large, page, sent;
    struct sp_bucket resets;
    struct sp_tcp_conn *gone;   /* whose CLOSED was handed out last */
    struct sp_tcp_counts counts;
};

static inline void tcp_dropped(struct sp_tcp *t, enum sp_tcp_drop why) { t->counts.drops[why]++; }

/* ---- tcp_pool.c ---- */
/* Whether a connection that holds so many bytes may take more: not more than what is free for all others together, so that those
 * who take all they can get have equal parts, and whoever comes later finds such a part, too. A refusal is counted. */
bool tcp_may_hold(struct sp_tcp *t, size_t held);
/* NULL: the limit of all buffers, or no memory, counted. */
void *tcp_take(struct sp_tcp *t, struct tcp_pool *pool);
void tcp_give(struct sp_tcp *t, struct tcp_pool *pool, void *piece);
void tcp_pool_free(struct sp_tcp *t, struct tcp_pool *pool);

/* ---- tcp_wire.c ---- */
/* Header, options and checksum; the drop reason otherwise (SP_TCP_DROP_COUNT: it is good). */
enum sp_tcp_drop tcp_parse(struct tcp_seg *ret, const struct sp_tcp_packet *p);
struct tcp_head {
    uint16_t sport, dport, mss;
    uint32_t seq, ack;
    uint16_t wnd;
    uint8_t flags, shift, sacks;
    bool has_ts, has_shift, sack_ok;
    uint32_t tsval, tsecr;
    struct tcp_range sack[TCP_SACKS];
};
/* Into SP_TCP_HEAD_MAX bytes. */
size_t tcp_head_write(const struct tcp_head *h, uint8_t *buf);

/* ---- tcp.c: the table of connections ---- */
void tcp_tuple_of(struct tcp_tuple *ret, const struct tcp_seg *s);
void tcp_tuple_of_conn(struct tcp_tuple *ret, const struct sp_tcp_conn *c);
/* Of both ends and a number, by a key that nobody else has. */
uint64_t tcp_tuple_hash(const uint8_t key[16], const struct tcp_tuple *tuple, uint64_t more);
struct sp_tcp_conn *tcp_find(const struct sp_tcp *t, const struct tcp_tuple *tuple);
/* number 0: the next one. NULL: full, counted. Its state and sequence numbers are the caller's. */
struct sp_tcp_conn *tcp_conn_new(struct sp_tcp *t, sp_instant now, const struct tcp_tuple *tuple, uint64_t number);
void tcp_conn_free(struct sp_tcp *t, struct sp_tcp_conn *c);
void tcp_tidy(struct sp_tcp *t); /* what was handed out by the call before goes */
/* It is over: buffers go now, the rest when the event was taken. */
void tcp_conn_over(struct sp_tcp *t, struct sp_tcp_conn *c, sp_err why);
void tcp_raise(struct sp_tcp *t, struct sp_tcp_conn *c, uint8_t event);
void tcp_wake(struct sp_tcp *t, struct sp_tcp_conn *c); /* it may have something to send */
/* Both sides are done. */
void tcp_time_wait(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);
uint32_t tcp_clock(sp_instant now); /* of timestamps: milliseconds */
bool tcp_synchronized(const struct sp_tcp_conn *c);

/* ---- tcp_wait.c ---- */
bool tcp_wait_input(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple, uint32_t *ret_isn);
void tcp_wait_add(struct sp_tcp *t, sp_instant now, const struct sp_tcp_conn *c);
void tcp_wait_expire(struct sp_tcp *t, sp_instant now);
void tcp_wait_free_all(struct sp_tcp *t);
/* Whether a connection of ours has ended with these ends lately. */
bool tcp_wait_has(const struct sp_tcp *t, const struct tcp_tuple *tuple);
/* Queues a segment without a connection; NULL: no room. */
struct tcp_stray *tcp_stray_new(struct sp_tcp *t, const struct tcp_tuple *tuple);
void tcp_stray_reset(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s);

/* ---- tcp_open.c ---- */
void tcp_listen_input(struct sp_tcp *t, sp_instant now, const struct tcp_seg *s, const struct tcp_tuple *tuple, uint32_t isn_least);
void tcp_syn_options(struct sp_tcp *t, struct sp_tcp_conn *c, const struct tcp_seg *s);
void tcp_established(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);
uint16_t tcp_mss_own(const struct sp_tcp *t, uint8_t family); /* what we announce */
uint32_t tcp_isn(const struct sp_tcp *t, sp_instant now, const struct tcp_tuple *tuple);
uint8_t tcp_shift_own(const struct sp_tcp *t);

/* ---- tcp_input.c ---- */
void tcp_conn_input(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s);

/* ---- tcp_receive.c ---- */
uint32_t tcp_window(const struct sp_tcp *t, const struct sp_tcp_conn *c); /* bytes that may come now */
void tcp_receive(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s);
/* The next bytes of what came early, now in order; false: none. */
bool tcp_early_next(struct sp_tcp *t, struct sp_tcp_conn *c, const uint8_t **data, size_t *len);
void tcp_early_free(struct sp_tcp *t, struct sp_tcp_conn *c);
void tcp_ack_soon(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t bytes);
void tcp_ack_at_once(struct sp_tcp *t, struct sp_tcp_conn *c);
void tcp_acked(struct sp_tcp_conn *c, uint32_t edge); /* an acknowledgement was sent */
uint8_t tcp_sacks(const struct sp_tcp_conn *c, struct tcp_range *ret, uint8_t max);
/* Whether the peer's FIN is next, and takes it. */
void tcp_fin_check(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);

/* ---- tcp_ack.c ---- */
/* The acknowledgement of a segment that was accepted. False: the segment is to be dropped. */
bool tcp_ack_input(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, const struct tcp_seg *s);

/* ---- tcp_sent.c ---- */
/* Notes that [seq, seq + len) was sent for the first time; false: no memory. */
bool tcp_sent_new(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t len);
void tcp_sent_again(struct sp_tcp_conn *c, struct tcp_sent *r, sp_instant now);
/* Cuts r so that it ends after len bytes; what follows is a record of its own, next to it. False: no memory. */
bool tcp_sent_split(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r, uint32_t len);
void tcp_sent_lose(struct sp_tcp_conn *c, struct tcp_sent *r);
/* The record that r is, or has become a part of. */
struct tcp_sent *tcp_sent_sack(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r);
struct tcp_sent *tcp_sent_first_lost(struct sp_tcp_conn *c);
void tcp_sent_free(struct sp_tcp *t, struct sp_tcp_conn *c, struct tcp_sent *r);

/* ---- tcp_rack.c ---- */
struct tcp_delivery { /* what one acknowledgement says */
    uint32_t bytes; /* newly acknowledged or sacked */
    bool rtt_known, advanced, dsack, newly_sacked;
    sp_duration rtt;
};
void tcp_rack_delivered(struct sp_tcp_conn *c, const struct tcp_sent *r, sp_instant now, struct tcp_delivery *d);
void tcp_rack_dsack(struct sp_tcp_conn *c);
/* Finds what is lost; ret: when to look again, SP_NEVER. */
sp_instant tcp_rack_detect(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);
void tcp_recovery_begin(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);
void tcp_tail_probe_acked(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, uint32_t ack, bool dsack);

/* ---- tcp_cubic.c ---- */
void tcp_cubic_init(struct sp_tcp_conn *c);
void tcp_cubic_acked(struct sp_tcp_conn *c, sp_instant now, uint32_t bytes);
void tcp_cubic_lost(struct sp_tcp_conn *c);
void tcp_cubic_timeout(struct sp_tcp_conn *c);
void tcp_cubic_idle(struct sp_tcp_conn *c);

/* ---- tcp_timer.c ---- */
void tcp_rtt_sample(struct sp_tcp_conn *c, sp_instant now, sp_duration rtt);
sp_duration tcp_rto(const struct sp_tcp_conn *c);
/* Arms what fits the state: reordering, tail probe, RTO or persist. */
void tcp_rearm(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, sp_instant reorder);
void tcp_timer_set(struct sp_tcp *t, struct sp_tcp_conn *c);
void tcp_conn_expire(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c);

/* ---- tcp_queue.c ---- */
/* Bytes of the first blocks have arrived. */
void tcp_queue_acked(struct sp_tcp *t, struct sp_tcp_conn *c, uint32_t bytes);
void tcp_queue_free(struct sp_tcp *t, struct sp_tcp_conn *c);
/* Tells a writer that waits whether there is room again. */
void tcp_queue_room(struct sp_tcp *t, struct sp_tcp_conn *c);
/* Memory was given back, or time has passed: those who wait for it may try again. */
void tcp_queue_feed(struct sp_tcp *t, bool all);

/* ---- tcp_path.c ---- */
/* Segments of so much from now on; larger ones are tried again after `wait`. */
void tcp_size_lower(sp_instant now, struct sp_tcp_conn *c, uint32_t mss, sp_duration wait);
/* The size of a larger segment to be sent now, as a probe; 0: none is due, or it may not go. */
uint32_t tcp_size_probe(sp_instant now, struct sp_tcp_conn *c, uint32_t unsent);
void tcp_size_delivered(sp_instant now, struct sp_tcp_conn *c, const struct tcp_sent *r);
/* True: the lost one was a probe, and says nothing of congestion (RFC 4821 7.6.1). */
bool tcp_size_lost(sp_instant now, struct sp_tcp_conn *c, const struct tcp_sent *r);

/* ---- tcp_send.c ---- */
bool tcp_conn_output(struct sp_tcp *t, sp_instant now, struct sp_tcp_conn *c, struct sp_tcp_out *ret);
uint32_t tcp_unsent(const struct sp_tcp_conn *c); /* bytes, a FIN that waits not counted */

#endif
