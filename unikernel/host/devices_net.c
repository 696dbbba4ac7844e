/* Echo: the least of ARP, ICMP and UDP that a host on the same wire notices. */
#include <string.h>

#include "proto/base/bytes.h"
#include "unikernel/dev/netfront_xs.h"
#include "unikernel/host/devices.h"
#include "unikernel/lib/pages.h"
#include "unikernel/xen/console.h"
#include "unikernel/xen/event.h"
#include "unikernel/xen/xen.h"

#define BUFFERS 32
#define BATCH   8

static struct spx_netdev net;
static const uint8_t address[4] = {10, 0, 2, 20};

static void swap(uint8_t *a, uint8_t *b, size_t len) {
    for (size_t i = 0; i < len; i++) {
        uint8_t t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

static bool answer_arp(uint8_t *p, uint16_t len) {
    static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
    if (len < 28 || memcmp(p, request, 8) != 0 || memcmp(p + 24, address, 4) != 0)
        return false;
    p[7] = 2;
    swap(p + 8, p + 18, 10);
    memcpy(p + 8, net.mac, 6);
    return true;
}

/* Swapped addresses and ports leave every checksum as it was. */
static bool answer_ip(uint8_t *p, uint16_t len) {
    if (len < 28 || p[0] != 0x45 || memcmp(p + 16, address, 4) != 0)
        return false;
    swap(p + 12, p + 16, 4);
    if (p[9] == 17) {
        swap(p + 20, p + 22, 2);
        return true;
    }
    if (p[9] != 1 || p[20] != 8)
        return false;
    p[20] = 0;
    uint32_t sum = (uint32_t)sp_get_u16(p + 22) + 0x800;
    sp_put_u16(p + 22, (uint16_t)(sum + (sum >> 16)));
    return true;
}

static void answer(const struct spx_frame *in) {
    struct spx_frame out;
    if (in->len > SPX_NET_ROOM || !spx_netfront_take(&net.net, &out))
        return;
    memcpy(out.data, in->data, in->len);
    memcpy(out.data, in->data + 6, 6);
    memcpy(out.data + 6, net.mac, 6);
    uint16_t type = sp_get_u16(out.data + 12), len = (uint16_t)(in->len - 14);
    bool good = type == 0x0806 ? answer_arp(out.data + 14, len) : type == 0x0800 && answer_ip(out.data + 14, len);
    out.len = good ? in->len : 0;
    out.blank = in->blank;
    spx_netfront_send(&net.net, &out);
}

static bool receive(void) {
    struct spx_frame frames[BATCH];
    size_t n = spx_netfront_receive(&net.net, frames, BATCH);
    for (size_t i = 0; i < n; i++) {
        answer(&frames[i]);
        spx_netfront_return(&net.net, frames[i].id);
    }
    spx_netdev_push(&net);
    return n == BATCH;
}

bool devices_net(struct spx_devices *d) {
    void *memory = spx_pages_alloc(SPX_NETFRONT_PAGES(BUFFERS, BUFFERS, 2));
    if (memory == NULL)
        return devices_failed("net", SP_ERR_FULL);
    spx_netfront_init(&net.net, &d->grants, memory, BUFFERS, BUFFERS, 2);
    sp_err err = spx_netdev_open(&net, &d->store, 0, TOKEN_NET);
    if (err != SP_OK)
        return devices_failed("net", err);
    spx_print("devices: net ready, mtu %u, %s\n", (uint64_t)net.mtu,
              net.port_tx != net.port_rx ? "two channels" : "one channel");
    for (enum devices_turn turn; (turn = devices_turn(d)) != DEVICES_END;) {
        if (turn == DEVICES_RESUMED && (err = spx_netdev_resume(&net)) != SP_OK)
            return devices_failed("net", err);
        const uint32_t ports[] = {d->store.port, net.port_rx, net.port_tx};
        spx_netdev_watch(&net);
        spx_event_take(net.port_rx);
        spx_event_take(net.port_tx);
        if (!receive())
            spx_event_wait(ports, 3, SP_NEVER);
    }
    spx_print("devices: net received %u, dropped %u, sent %u, refused %u\n", net.net.received, net.net.dropped,
              net.net.sent, net.net.refused);
    if (net.up)
        spx_netdev_close(&net);
    spx_print("devices: net closed, %u grants free\n", (uint64_t)d->grants.n_free);
    return d->store.fault == NULL;
}
