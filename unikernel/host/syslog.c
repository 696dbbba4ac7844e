#include "unikernel/host/syslog.h"

#include <string.h>

#include "proto/dns/text.h"

#define OURS        "signpost: "
#define OURS_LEN    (sizeof OURS - 1)
#define DAEMON_INFO "<30>1 " /* RFC 5424 6.2.1: facility 3, severity 6; version 1 */
#define HOST_MAX    255

/* ---- the queue ---- */

/* A line is whole. */
static void add(struct spx_syslog *s) {
    struct spx_syslog_line *line = &s->next;
    if (line->len > OURS_LEN && memcmp(line->text, OURS, OURS_LEN) == 0) {
        if (s->count < SPX_SYSLOG_LINES)
            s->lines[(s->first + s->count++) % SPX_SYSLOG_LINES] = *line;
        else
            s->lost++;
    }
    line->len = 0;
}

void spx_syslog_put(struct spx_syslog *s, sp_wall wall, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n') {
            s->next.wall = wall;
            add(s);
        } else if (s->next.len < SPX_SYSLOG_LINE) {
            s->next.text[s->next.len++] = text[i];
        }
}

const struct spx_syslog_line *spx_syslog_first(const struct spx_syslog *s) {
    return s->count > 0 ? &s->lines[s->first] : NULL;
}

void spx_syslog_next(struct spx_syslog *s) {
    s->first = (s->first + 1) % SPX_SYSLOG_LINES;
    s->count--;
}

/* ---- a message ---- */

/* RFC 5424 6.2.3, with six digits of a second. */
static void put_time(struct sp_wr *wr, sp_wall wall) {
    uint8_t digits[14], rest[8];
    struct sp_wr plain = sp_wr_init(digits, sizeof digits);
    uint64_t micro = wall.ns % SP_SEC / SP_US;
    if (wall.ns == 0) {
        sp_wr_u8(wr, '-');
        return;
    }
    sp_text_time(&plain, (uint32_t)sp_wall_sec(wall));
    for (size_t i = 0; i < sizeof digits; i++) { /* YYYY-MM-DDTHH:MM:SS */
        static const char before[] = "\0\0\0\0-\0-\0T\0:\0:";
        if (before[i] != 0)
            sp_wr_u8(wr, (uint8_t)before[i]);
        sp_wr_u8(wr, digits[i]);
    }
    rest[0] = '.';
    rest[7] = 'Z';
    for (size_t i = 6; i > 0; i--, micro /= 10)
        rest[i] = (uint8_t)('0' + micro % 10);
    sp_wr_bytes(wr, rest, sizeof rest);
}

static void put_host(struct sp_wr *wr, const char *name) {
    size_t len = name != NULL ? strlen(name) : 0;
    if (len > 1 && name[len - 1] == '.')
        len--;
    if (len == 0)
        sp_wr_u8(wr, '-');
    for (size_t i = 0; i < len && i < HOST_MAX; i++)
        sp_wr_u8(wr, name[i] > ' ' && name[i] < 127 ? (uint8_t)name[i] : '?');
}

size_t spx_syslog_format(const struct spx_syslog_line *line, const char *hostname, uint8_t *ret, size_t cap) {
    struct sp_wr wr = sp_wr_init(ret, cap);
    sp_wr_bytes(&wr, DAEMON_INFO, sizeof DAEMON_INFO - 1);
    put_time(&wr, line->wall);
    sp_wr_u8(&wr, ' ');
    put_host(&wr, hostname);
    sp_wr_bytes(&wr, " signpost - - - ", 16); /* app, no process, no message id, no structured data */
    for (size_t i = OURS_LEN; i < line->len && sp_wr_len(&wr) < cap; i++)
        sp_wr_u8(&wr, line->text[i] >= ' ' && line->text[i] < 127 ? (uint8_t)line->text[i] : '?');
    return sp_wr_len(&wr);
}
