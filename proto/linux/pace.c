#include "proto/linux/pace.h"

bool spl_pace_count(struct spl_pace *p, sp_instant now, unsigned n) {
    p->count += n;
    return now - p->begin >= SPL_PACE_EPOCH;
}

static void enter(struct spl_pace *p, enum spl_pace_phase phase, bool pausing) {
    p->phase = phase;
    p->epochs = 0;
    p->pausing = pausing;
    p->datagrams = 0;
    p->spent = 0;
}

static void next_phase(struct spl_pace *p) {
    sp_duration cost = p->spent * 1024 / p->datagrams;
    switch (p->phase) {
    case SPL_PACE_WITHOUT:
        p->cost = cost;
        enter(p, SPL_PACE_WITH, true);
        break;
    case SPL_PACE_WITH:
        enter(p, SPL_PACE_KEPT, cost + p->cost / SPL_PACE_GAIN <= p->cost);
        break;
    case SPL_PACE_KEPT:
        enter(p, SPL_PACE_WITHOUT, false);
        break;
    }
}

void spl_pace_epoch(struct spl_pace *p, sp_instant now, sp_duration cpu) {
    bool busy = now - p->begin <= p->count * (SPL_PACE_EPOCH / SPL_PACE_RATE);
    p->datagrams += p->count;
    p->spent += cpu - p->cpu;
    p->begin = now;
    p->cpu = cpu;
    p->count = 0;
    if (!busy)
        enter(p, SPL_PACE_WITHOUT, false);
    else if (++p->epochs >= (p->phase == SPL_PACE_KEPT ? SPL_PACE_SETTLED : SPL_PACE_PROBE))
        next_phase(p);
}
