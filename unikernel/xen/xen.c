#include "unikernel/xen/xen.h"

#include <stddef.h>

#define MEMORY_OP 12
#define SCHED_OP 29
#define EVENT_CHANNEL_OP 32
#define HVM_OP 34
#define SCHEDOP_SHUTDOWN 2
#define SCHEDOP_POLL 3
#define EVTCHNOP_SEND 4
#define HVMOP_SET_PARAM 0
#define HVMOP_GET_PARAM 1
#define CALLBACK_VECTOR 0xf3
#define DOMID_SELF 0x7ff0

extern uint8_t hypercall_page[4096];

static void cpuid(uint32_t leaf, uint32_t r[4]) {
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

void spx_wrmsr(uint32_t msr, uint64_t value) {
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* Runs before there is a stack canary. */
__attribute__((no_stack_protector)) void spx_hypercalls_init(void) {
    for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
        uint32_t r[4];
        cpuid(base, r);
        if (r[1] != 0x566e6558 || r[2] != 0x65584d4d || r[3] != 0x4d4d566e) /* "XenVMMXenVMM" */
            continue;
        cpuid(base + 2, r);
        spx_wrmsr(r[1], (uint64_t)hypercall_page);
        return;
    }
    for (;;)
        __asm__ volatile("hlt");
}

uint64_t spx_hvm_param(uint32_t index) {
    struct {
        uint16_t domid;
        uint32_t index;
        uint64_t value;
    } p = {DOMID_SELF, index, 0};
    return SPX_HYPERCALL(HVM_OP, HVMOP_GET_PARAM, &p, 0, 0) != 0 ? 0 : p.value;
}

void spx_callback_init(void) {
    struct {
        uint16_t domid;
        uint32_t index;
        uint64_t value;
    } p = {DOMID_SELF, 0 /* HVM_PARAM_CALLBACK_IRQ */, UINT64_C(2) << 56 | CALLBACK_VECTOR};
    SPX_HYPERCALL(HVM_OP, HVMOP_SET_PARAM, &p, 0, 0);
}

void spx_notify(uint32_t port) {
    SPX_HYPERCALL(EVENT_CHANNEL_OP, EVTCHNOP_SEND, &port, 0, 0);
}

void spx_sleep(sp_duration ns) {
    struct {
        const uint32_t *ports;
        uint32_t nr_ports;
        uint64_t timeout; /* the clock's time */
    } poll = {NULL, 0, spx_xen_time(spx_now() + ns)};
    SPX_HYPERCALL(SCHED_OP, SCHEDOP_POLL, &poll, 0, 0);
}

_Noreturn void spx_shutdown(unsigned reason) {
    for (;;)
        SPX_HYPERCALL(SCHED_OP, SCHEDOP_SHUTDOWN, &reason, 0, 0);
}

bool spx_stop_for_suspend(void) {
    unsigned reason = SPX_SUSPEND;
    return SPX_HYPERCALL(SCHED_OP, SCHEDOP_SHUTDOWN, &reason, 0, 0) == 1;
}

/* ---- clocks: pvclock and the wall clock of the shared page ---- */

struct pvclock {
    volatile uint32_t version;
    uint32_t pad;
    volatile uint64_t tsc, ns;
    volatile uint32_t mul;
    volatile int8_t shift;
    uint8_t flags, pad2[2];
};
struct vcpu_info {
    uint8_t upcall_pending, upcall_mask;
    uint64_t evtchn_pending_sel, cr2, pad;
    struct pvclock time;
};
struct shared_info {
    struct vcpu_info vcpu[32];
    uint64_t evtchn_pending[64], evtchn_mask[64];
    volatile uint32_t wc_version, wc_sec, wc_nsec, wc_sec_hi;
};

static union {
    struct shared_info info;
    uint8_t page[4096];
} shared __attribute__((aligned(4096)));

void spx_clock_init(void) {
    struct {
        uint16_t domid, size;
        uint32_t space;
        uint64_t idx, gpfn;
    } map = {DOMID_SELF, 0, 0 /* shared_info */, 0, (uint64_t)&shared >> 12};
    SPX_HYPERCALL(MEMORY_OP, 7 /* XENMEM_add_to_physmap */, &map, 0, 0);
    /* Every event channel masked: its pending bit is looked at (event.h), and Xen need not keep an upcall ready. */
    for (unsigned i = 0; i < 64; i++)
        shared.info.evtchn_mask[i] = UINT64_MAX;
}

_Atomic uint64_t *spx_event_pending(void) {
    return (_Atomic uint64_t *)shared.info.evtchn_pending;
}

/* How far our time is ahead of Xen's, which is its host's: after a move it is another one. */
static sp_duration ahead;

static uint64_t xen_now(void) {
    const struct pvclock *t = &shared.info.vcpu[0].time;
    uint32_t version, low, high;
    uint64_t ns;
    do {
        version = t->version;
        __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
        uint64_t passed = ((uint64_t)high << 32 | low) - t->tsc;
        passed = t->shift < 0 ? passed >> -t->shift : passed << t->shift;
        ns = t->ns + (uint64_t)((unsigned __int128)passed * t->mul >> 32);
    } while ((version & 1) != 0 || version != t->version);
    return ns;
}

sp_instant spx_now(void) {
    return xen_now() + ahead;
}

uint64_t spx_xen_time(sp_instant at) {
    return at - ahead;
}

void spx_clock_go_on(sp_instant from) {
    ahead = from - xen_now();
}

sp_wall spx_wall(void) {
    uint32_t version;
    uint64_t at_start;
    do {
        version = shared.info.wc_version;
        at_start = ((uint64_t)shared.info.wc_sec_hi << 32 | shared.info.wc_sec) * SP_SEC + shared.info.wc_nsec;
    } while ((version & 1) != 0 || version != shared.info.wc_version);
    return (sp_wall){at_start + xen_now()};
}
