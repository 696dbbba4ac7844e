/* Counters as Prometheus text (exposition format 0.0.4). */
#ifndef SPL_PROMETHEUS_H
#define SPL_PROMETHEUS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* The U64 items of a reply to SP_OP_METRICS, whose keys are samples without the program's prefix:
 * `name_total{label="value"}`. *ret is malloc'ed and zero-terminated. ERR_FORM (a failed or malformed reply), ERR_FULL
 * (no memory). */
SP_CHECK sp_err spl_prometheus_text(const uint8_t *data, size_t len, char **ret, size_t *ret_len);

#endif
