/* Lines of the console as syslog messages (RFC 5424), to be sent one a datagram (RFC 5426): made here, without I/O.
 *
 * A bounded queue takes whole lines that begin with "signpost: "; what comes while it is full is lost, and counted. The
 * times are those of the lines. */
#ifndef SPX_SYSLOG_H
#define SPX_SYSLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/time.h"

#define SPX_SYSLOG_LINES   32
#define SPX_SYSLOG_LINE    240
#define SPX_SYSLOG_MESSAGE 640 /* a message's longest */

struct spx_syslog_line {
    sp_wall wall;
    uint16_t len;
    char text[SPX_SYSLOG_LINE]; /* cut where it is longer */
};

struct spx_syslog {
    struct spx_syslog_line lines[SPX_SYSLOG_LINES]; /* a ring */
    uint32_t first, count;
    uint64_t lost;
    struct spx_syslog_line next; /* what has come of a line that is not whole yet */
};

/* Some bytes of the console, zero or more lines and parts of them. */
void spx_syslog_put(struct spx_syslog *s, sp_wall wall, const char *text, size_t len);
/* The oldest line, NULL: none; it stays until spx_syslog_next. */
const struct spx_syslog_line *spx_syslog_first(const struct spx_syslog *s);
void spx_syslog_next(struct spx_syslog *s);

/* RFC 5424 6: facility daemon, severity informational, app "signpost", hostname as given (printable ASCII, cut after
 * 255 bytes; NULL or empty: nil), no structured data. A wall clock of 0 gives no time. Returns the length, at most cap:
 * the line is cut. cap is SPX_SYSLOG_MESSAGE at least. */
size_t spx_syslog_format(const struct spx_syslog_line *line, const char *hostname, uint8_t *ret, size_t cap);

#endif
