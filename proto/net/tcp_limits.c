/* What of a machine's memory goes to TCP. */
#include "proto/net/tcp.h"

#define A_CONNECTION ((size_t)8 << 10) /* there is one for each of these: record, places in tables, buffers */
#define A_WAIT       ((size_t)2 << 10)
#define SHARE_MIN    ((size_t)16 << 10) /* of a connection's buffers */
#define SHARE_MAX    ((size_t)4 << 20)

static size_t within(size_t n, size_t least, size_t most) {
    return n < least ? least : n > most ? most : n;
}

void sp_tcp_limits_for(struct sp_tcp_config *ret, size_t memory) {
    ret->connections = (uint32_t)within(memory / A_CONNECTION, 16, 65536);
    ret->half_open = ret->connections / 4;
    ret->time_waits = (uint32_t)within(memory / A_WAIT, 16, 65536);
    ret->memory = memory / 8 * 5;
    ret->send_max = (uint32_t)within(ret->memory / 4, SHARE_MIN, SHARE_MAX);
    ret->receive_max = (uint32_t)within(ret->memory / 8, SHARE_MIN, SHARE_MAX);
}
