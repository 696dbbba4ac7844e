/* A network device: Ethernet frames through two rings that a backend in another domain serves (Xen's io/netif.h). This
 * is the data path, which talks to no one; netfront_xs.h finds the backend and agrees with it on the rings.
 *
 * Buffers are granted pages that the device owns. Received frames are lent to the caller until spx_netfront_return, and
 * the backend can write to them no more; frames to send are written into a buffer of the device's own. The backend is
 * not trusted: what it gets wrong stops the device (`fault` says why), for good or until it is started again. */
#ifndef SPX_NETFRONT_H
#define SPX_NETFRONT_H

#include "unikernel/dev/ring.h"
#include "unikernel/xen/grant.h"

#define SPX_NET_SLOTS     256  /* of a ring, and so the most buffers a direction */
#define SPX_NET_ROOM      2048 /* for a frame to send, at least; two stand in a page, or one */
#define SPX_NET_FRAME_MIN 14   /* an Ethernet header */

struct spx_frame {
    uint8_t *data;
    uint16_t len;
    uint16_t id;
    bool blank; /* its TCP or UDP checksum covers the pseudo header alone so far; what is sent so, the backend completes
                 */
    bool validated; /* received: the checksum needs no look */
};

/* A frame to be sent that lies in pieces, and in several buffers when it is sent. */
struct spx_net_piece {
    const uint8_t *data;
    size_t len;
};
enum spx_cut { SPX_CUT_NOT, SPX_CUT_TCP4, SPX_CUT_TCP6 };
struct spx_net_work {
    bool blank;       /* as of spx_frame */
    uint8_t cut;      /* enum spx_cut: the backend makes TCP segments of it, */
    uint16_t segment; /* of so much payload each */
};

enum spx_buffer {
    SPX_BUF_NONE,
    SPX_BUF_OURS,
    SPX_BUF_LENT,
    SPX_BUF_THEIRS
}; /* LENT: the caller's; THEIRS: the backend's */

struct spx_netfront {
    struct spx_grants *grants;
    uint16_t backend;
    const char *fault;
    struct spx_ring tx, rx;
    void *tx_page, *rx_page;
    uint8_t *rx_pages, *tx_pages;
    uint16_t n_rx, n_tx, tx_room; /* tx_room: bytes of a buffer to send */
    uint16_t extras;              /* on their way: what is said about frames, in slots of the ring without a buffer */
    bool skipping;                /* the rest of a frame that stands in several buffers */
    uint32_t rx_ref[SPX_NET_SLOTS], tx_ref[SPX_NET_SLOTS]; /* tx_ref: of pages */
    uint8_t rx_is[SPX_NET_SLOTS], tx_is[SPX_NET_SLOTS];    /* enum spx_buffer */
    uint16_t tx_free[SPX_NET_SLOTS], n_free;
    uint64_t received, dropped, sent, refused; /* frames; refused: by the backend */
};

/* Pages that a device with so many buffers needs: two rings and the buffers, of which those to send stand so many in a
 * page. */
#define SPX_NETFRONT_PAGES(n_rx, n_tx, per_page) (2 + (n_rx) + ((n_tx) + (per_page)-1) / (per_page))

/* n_rx, n_tx: buffers, 1 to SPX_NET_SLOTS. per_page: 2, or 1, with which alone there are frames in several buffers.
 * `pages`: SPX_NETFRONT_PAGES of them, the device's from now on. */
void spx_netfront_init(struct spx_netfront *nf, struct spx_grants *grants, void *pages, uint16_t n_rx, uint16_t n_tx,
                       unsigned per_page);
/* Empty rings, and all receive buffers given to that backend. Frames that were on their way are lost; frames that are
 * lent stay so. ERR_FULL: not enough grants; ERR_STATE: an earlier backend keeps hold of a page. */
SP_CHECK sp_err spx_netfront_start(struct spx_netfront *nf, uint16_t backend);
/* Ends all grants; ERR_STATE when the backend keeps hold of a page, which it then has for ever. */
SP_CHECK sp_err spx_netfront_stop(struct spx_netfront *nf);
/* The grants are gone, with the whole table, after a resume. */
void spx_netfront_forget(struct spx_netfront *nf);

/* Takes up to n received frames. Fewer than n: there are no more, and an event comes with the next. */
size_t spx_netfront_receive(struct spx_netfront *nf, struct spx_frame *frames, size_t n);
void spx_netfront_return(struct spx_netfront *nf, uint16_t id);

/* A buffer of SPX_NET_ROOM bytes for a frame to send. False: all are on their way; an event comes when one is back. */
bool spx_netfront_take(struct spx_netfront *nf, struct spx_frame *ret);
/* Queues a taken frame, `data` and `id` as they were; len SPX_NET_FRAME_MIN to SPX_NET_ROOM, or 0 to give the buffer
 * back unsent. */
void spx_netfront_send(struct spx_netfront *nf, const struct spx_frame *frame);

/* Whether there are buffers for a frame of so many bytes, at most SPX_NET_LONGEST. False: an event comes when enough
 * are back. */
#define SPX_NET_LONGEST ((size_t)16 * SPX_PAGE)
bool spx_netfront_room(struct spx_netfront *nf, size_t len);
/* Copies a frame out of its n pieces and queues it, in as many buffers as it takes; spx_netfront_room has said that
 * there are. */
void spx_netfront_send_pieces(struct spx_netfront *nf, const struct spx_net_piece *pieces, unsigned n, size_t len,
                              const struct spx_net_work *work);

enum { SPX_NET_TX = 1, SPX_NET_RX = 2 };
/* Shows the backend what was queued and returned; says for which of its rings it wants an event. */
SP_CHECK unsigned spx_netfront_push(struct spx_netfront *nf);

#endif
