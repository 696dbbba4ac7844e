/* A counter that others may look at as long as its owner lives: what a host, or a part of it, has counted on its own, for
 * the metrics of the core. Named as a Prometheus sample: name_total{label="value"}; label NULL: name_total alone. */
#ifndef SP_BASE_COUNT_H
#define SP_BASE_COUNT_H

#include <stdint.h>

struct sp_count {
    const char *name, *label, *value;
    const uint64_t *count;
};

#endif
