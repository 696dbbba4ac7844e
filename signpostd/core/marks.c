/* Records of a message by hashes of what they are: sorted, so that sets can be compared and found. */
#include "signpostd/core/updater.h"

static bool mark_less(const struct sp_mark *a, const struct sp_mark *b) {
    return a->set != b->set ? a->set < b->set : a->rdata < b->rdata;
}

static void sift(struct sp_mark *m, size_t at, size_t n) {
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && mark_less(&m[child], &m[child + 1]))
            child++;
        if (!mark_less(&m[at], &m[child]))
            return;
        struct sp_mark t = m[at];
        m[at] = m[child];
        m[child] = t;
    }
}

/* Heap sort: n log n for every input, since strangers' keys sign the inputs. */
void sp_marks_sort(struct sp_mark *marks, size_t n) {
    for (size_t i = n / 2; i-- > 0;)
        sift(marks, i, n);
    for (size_t end = n; end-- > 1;) {
        struct sp_mark t = marks[0];
        marks[0] = marks[end];
        marks[end] = t;
        sift(marks, 0, end);
    }
}

/* The first mark that is not less than (set, rdata), or n. */
static size_t lower_bound(const struct sp_mark *marks, size_t n, uint64_t set, uint64_t rdata) {
    struct sp_mark want = {.set = set, .rdata = rdata};
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (mark_less(&marks[mid], &want))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct sp_mark *sp_marks_find(struct sp_mark *marks, size_t n, uint64_t set) {
    size_t at = lower_bound(marks, n, set, 0);
    return at < n && marks[at].set == set ? &marks[at] : NULL;
}

struct sp_mark *sp_marks_find_rdata(struct sp_mark *marks, size_t n, uint64_t set, uint64_t rdata) {
    size_t at = lower_bound(marks, n, set, rdata);
    return at < n && marks[at].set == set && marks[at].rdata == rdata ? &marks[at] : NULL;
}
