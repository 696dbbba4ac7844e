/* The loads of load.h on lwIP (Debian's liblwip0), on a TAP device: lwipd tap=NAME address=IPV4/24 ...
 *
 * Its raw API in one thread, without its own tcpip thread, mailboxes and locks between threads: the fastest way it offers. What
 * bounds it is compiled into the library (/usr/include/lwip/lwipopts.h): a window and a send buffer of 65535 bytes,
 * no SACK, no timestamps, no offloads, memory by malloc, connections in lists. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>

#include "tests/bench/frames.h"
#include "tests/bench/load.h"

#define BATCH 64
#define FRAME 1514

static struct load load;
static struct netif device;
static const char *tap_name;
static uint8_t hardware;
static ip4_addr_t address;
static int tap;

/* ---- what a load asks for ---- */

static err_t on_connected(void *user, struct tcp_pcb *pcb, err_t err);
static err_t on_received(void *user, struct tcp_pcb *pcb, struct pbuf *p, err_t err);
static err_t on_sent(void *user, struct tcp_pcb *pcb, u16_t len);
static void on_error(void *user, err_t err);

static void attend(struct tcp_pcb *pcb, void *user) {
    tcp_arg(pcb, user);
    tcp_recv(pcb, on_received);
    tcp_sent(pcb, on_sent);
    tcp_err(pcb, on_error);
    tcp_nagle_disable(pcb);
}

static void *lwip_connect(void *ctx, uint32_t ip, uint16_t port, void *user) {
    ip_addr_t to = IPADDR4_INIT(ip);
    struct tcp_pcb *pcb = tcp_new();
    if (pcb == NULL)
        return NULL;
    attend(pcb, user);
    if (tcp_connect(pcb, &to, port, on_connected) != ERR_OK) {
        tcp_err(pcb, NULL);
        tcp_abort(pcb);
        return NULL;
    }
    return pcb;
}

static size_t lwip_write(void *ctx, void *conn, const uint8_t *data, size_t len) {
    struct tcp_pcb *pcb = conn;
    size_t done = 0;
    while (done < len) {
        size_t room = tcp_sndbuf(pcb), n = len - done < room ? len - done : room;
        n = n < 0xffff ? n : 0xffff;
        if (n == 0 || tcp_write(pcb, data + done, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK)
            break;
        done += n;
    }
    tcp_output(pcb);
    return done;
}

/* A pcb whose peer has ended is closed as a whole: lwIP then releases it by itself. */
static void lwip_end(void *ctx, void *conn) {
    struct tcp_pcb *pcb = conn;
    if (pcb->state != CLOSE_WAIT) {
        tcp_shutdown(pcb, 0, 1);
        return;
    }
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_close(pcb);
}

static void lwip_reset(void *ctx, void *conn) {
    tcp_err(conn, NULL);
    tcp_abort(conn);
}

/* ---- what happens ---- */

static err_t on_connected(void *user, struct tcp_pcb *pcb, err_t err) {
    tcp_arg(pcb, load_opened(&load, pcb, user));
    return ERR_OK;
}

static err_t on_accepted(void *ctx, struct tcp_pcb *pcb, err_t err) {
    if (err != ERR_OK || pcb == NULL)
        return ERR_VAL;
    attend(pcb, NULL);
    tcp_arg(pcb, load_opened(&load, pcb, NULL));
    return ERR_OK;
}

static err_t on_ended(void *user, struct tcp_pcb *pcb) {
    bool ours = pcb->state == TIME_WAIT || pcb->state == CLOSING;
    load_ended(&load, pcb, user);
    if (ours) { /* both halves: it goes by itself, and has nothing to say to anybody */
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, NULL);
        tcp_err(pcb, NULL);
    }
    return ERR_OK;
}

static err_t on_received(void *user, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    if (p == NULL)
        return on_ended(user, pcb);
    for (struct pbuf *q = p; q != NULL; q = q->next)
        user = load_data(&load, pcb, user, q->payload, q->len);
    tcp_arg(pcb, user);
    tcp_recved(pcb, p->tot_len);
    pbuf_free(p);
    return ERR_OK;
}

static err_t on_sent(void *user, struct tcp_pcb *pcb, u16_t len) {
    if (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT)
        load_room(&load, pcb, user);
    return ERR_OK;
}

static void on_error(void *user, err_t err) {
    load_gone(&load, user);
}

/* ---- frames ---- */

static err_t frame_out(struct netif *n, struct pbuf *p) {
    uint8_t whole[FRAME];
    const void *data = p->payload;
    if (p->next != NULL)
        pbuf_copy_partial(p, (void *)(data = whole), sizeof whole, 0);
    if (write(tap, data, p->tot_len) < 0 && errno != EAGAIN)
        perror("write");
    return ERR_OK;
}

static void frames_in(void) {
    for (int i = 0; i < BATCH; i++) {
        struct pbuf *p = pbuf_alloc(PBUF_RAW, FRAME, PBUF_RAM);
        ssize_t n = p != NULL ? read(tap, p->payload, FRAME) : -1;
        if (n > 0)
            pbuf_realloc(p, (u16_t)n);
        if (p != NULL && (n <= 0 || device.input(p, &device) != ERR_OK))
            pbuf_free(p);
        if (n <= 0)
            return;
    }
}

static err_t device_init(struct netif *n) {
    n->name[0] = 't';
    n->name[1] = 'p';
    n->output = etharp_output;
    n->linkoutput = frame_out;
    n->mtu = FRAME - 14;
    n->hwaddr_len = 6;
    memcpy(n->hwaddr, (uint8_t[]){2, 0x4c, 0x57, 0, 0, hardware}, 6);
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

/* ---- the program ---- */

static bool own_argument(char *argument) {
    if (strncmp(argument, "tap=", 4) == 0) {
        tap_name = argument + 4;
        return true;
    }
    char *slash = strstr(argument, "/24");
    if (strncmp(argument, "address=", 8) != 0 || slash == NULL || slash[3] != 0)
        return false;
    *slash = 0;
    bool known = ip4addr_aton(argument + 8, &address) == 1;
    hardware = ip4_addr4(&address);
    return known;
}

static bool begin(void) {
    ip4_addr_t mask, none = {0};
    IP4_ADDR(&mask, 255, 255, 255, 0);
    srand((unsigned)load_now());
    lwip_init();
    if (netif_add(&device, &address, &mask, &none, NULL, device_init, ethernet_input) == NULL)
        return false;
    netif_set_default(&device);
    netif_set_up(&device);
    for (uint32_t i = 0; load.kind == LOAD_SERVE && i < load.ports; i++) {
        struct tcp_pcb *pcb = tcp_new();
        if (pcb == NULL || tcp_bind(pcb, IP_ADDR_ANY, (u16_t)(load.port + i)) != ERR_OK)
            return false;
        tcp_accept(tcp_listen(pcb), on_accepted);
    }
    load_begin(&load);
    return true;
}

/* Sleeps until a frame comes or something is due. */
static void turn(void) {
    uint32_t timers = sys_timeouts_sleeptime();
    uint64_t until = load_deadline(&load), now = load_now(), own = until <= now ? 0 : (until - now) / 1000000 + 1;
    struct pollfd p = {tap, POLLIN, 0};
    uint64_t wait = own < timers ? own : timers;
    if (poll(&p, 1, wait > 1000 ? 1000 : (int)wait) > 0)
        frames_in();
    sys_check_timeouts();
    load_expire(&load);
}

int main(int argc, char **argv) {
    load.stack = (struct load_stack){.connect = lwip_connect, .write = lwip_write, .end = lwip_end, .reset = lwip_reset};
    for (int i = 1; i < argc; i++)
        if (!own_argument(argv[i]) && !load_argument(&load, argv[i])) {
            fprintf(stderr, "lwipd: cannot use the argument %s\n", argv[i]);
            return 2;
        }
    const char *lacks = tap_name == NULL || hardware == 0 ? "tap= and address=" : load_ready(&load);
    if (lacks != NULL) {
        fprintf(stderr, "lwipd: needs %s\n", lacks);
        return 2;
    }
    tap = frames_open(tap_name, false, false);
    if (tap < 0 || !begin())
        return 1;
    while (!load.done)
        turn();
    load_end(&load);
    return 0;
}
