#include "proto/base/timers.h"

#include "proto/base/err.h"

/* Two roots become one: the later one goes first among the earlier one's children. Equal ones keep a before b. */
static struct sp_timer *join(struct sp_timer *a, struct sp_timer *b) {
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (b->due < a->due) {
        struct sp_timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* The children of a removed node become one heap: joined in pairs from the left, the pairs then from the right. */
static struct sp_timer *join_children(struct sp_timer *first) {
    struct sp_timer *pairs = NULL;
    while (first != NULL) {
        struct sp_timer *a = first, *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b != NULL)
            b->next = b->prev = NULL;
        a = join(a, b);
        a->next = pairs;
        pairs = a;
    }
    struct sp_timer *root = NULL;
    while (pairs != NULL) {
        struct sp_timer *next = pairs->next;
        pairs->next = NULL;
        root = join(pairs, root);
        pairs = next;
    }
    return root;
}

void sp_timer_cancel(struct sp_timers *ts, struct sp_timer *t) {
    if (!t->set)
        return;
    struct sp_timer *rest = join_children(t->child);
    if (ts->root == t) {
        ts->root = rest;
    } else {
        SP_ASSERT(t->prev != NULL);
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next != NULL)
            t->next->prev = t->prev;
        ts->root = join(ts->root, rest);
    }
    t->child = t->next = t->prev = NULL;
    t->set = false;
}

void sp_timer_set(struct sp_timers *ts, struct sp_timer *t, sp_instant due) {
    if (t->set && t->due == due)
        return;
    sp_timer_cancel(ts, t);
    if (due == SP_NEVER)
        return;
    t->child = t->next = t->prev = NULL;
    t->due = due;
    t->set = true;
    ts->root = join(ts->root, t);
}

sp_instant sp_timers_next(const struct sp_timers *ts) {
    return ts->root != NULL ? ts->root->due : SP_NEVER;
}

struct sp_timer *sp_timers_pop(struct sp_timers *ts, sp_instant now) {
    struct sp_timer *t = ts->root;
    if (t == NULL || t->due > now)
        return NULL;
    sp_timer_cancel(ts, t);
    return t;
}
