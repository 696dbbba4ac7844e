#include "unikernel/xen/event.h"

#include "unikernel/xen/abi.h"
#include "unikernel/xen/xen.h"

#include <xen/event_channel.h>
#include <xen/sched.h>

#define PORTS_2L (64 * 64) /* what the shared page has bits for: Xen's default kind of channel */

uint32_t spx_event_alloc(uint16_t remote) {
    evtchn_alloc_unbound_t op = {.dom = DOMID_SELF, .remote_dom = remote};
    if (SPX_HYPERCALL(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &op, 0, 0) != 0 || op.port >= PORTS_2L)
        return 0;
    return op.port;
}

void spx_event_close(uint32_t port) {
    if (port == 0)
        return;
    evtchn_close_t op = {.port = port};
    SPX_HYPERCALL(__HYPERVISOR_event_channel_op, EVTCHNOP_close, &op, 0, 0);
    spx_event_take(port); /* Xen may give the number out again */
}

bool spx_event_take(uint32_t port) {
    if (port >= PORTS_2L)
        return false;
    _Atomic uint64_t *word = spx_event_pending() + port / 64;
    uint64_t bit = UINT64_C(1) << port % 64;
    return (__atomic_fetch_and((uint64_t *)word, ~bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

void spx_event_raise(uint32_t port) {
    if (port < PORTS_2L)
        __atomic_fetch_or((uint64_t *)(spx_event_pending() + port / 64), UINT64_C(1) << port % 64, __ATOMIC_SEQ_CST);
}

void spx_event_wait(const uint32_t *ports, size_t n, sp_instant deadline) {
    SP_ASSERT(n <= SPX_EVENT_WAIT_MAX);
    evtchn_port_t list[SPX_EVENT_WAIT_MAX];
    sched_poll_t poll = {.nr_ports = 0};
    for (size_t i = 0; i < n; i++)
        if (ports[i] != 0)
            list[poll.nr_ports++] = ports[i];
    if (deadline <= spx_now())
        return;
    poll.timeout = deadline == SP_NEVER ? 0 : spx_xen_time(deadline); /* 0 is "none" */
    set_xen_guest_handle(poll.ports, list);
    SPX_HYPERCALL(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll, 0, 0);
}
