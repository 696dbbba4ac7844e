/* Numbers with units, as configuration and command line have them. */
#ifndef SPL_UNITS_H
#define SPL_UNITS_H

#include "proto/base/err.h"
#include "proto/base/time.h"

/* Decimal digits alone. ERR_FORM, ERR_RANGE. */
SP_CHECK sp_err spl_number_parse(uint64_t *ret, const char *text);
/* "4096", "512K", "256M", "2G": binary multiples, in bytes. */
SP_CHECK sp_err spl_size_parse(uint64_t *ret, const char *text);
/* "500ms", "10s", "5m", "2h", "7d"; a bare number is seconds. */
SP_CHECK sp_err spl_duration_parse(sp_duration *ret, const char *text);

#endif
