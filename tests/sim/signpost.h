/* A signpost on the virtual Internet: the server core and its disk (server.h), reached at one IPv4 and one IPv6 address
 * by datagrams on ports 53 and 443 and by streams on port 53. */
#ifndef SP_TESTS_SIM_SIGNPOST_H
#define SP_TESTS_SIM_SIGNPOST_H

#include "tests/sim/server.h"
#include "tests/sim/stream.h"

struct sim_signpost {
    struct sim_server server;
    struct sim_host host;
    struct sp_addr v4, v6; /* with port 53 */
    uint32_t devices;      /* limit */
    uint8_t reply[65536];  /* to the newest operator's request */
    size_t reply_len;
    bool replied;
    uint64_t bytes_in, bytes_out; /* of datagrams */
};

/* In the Internet itself. Not booted. */
void sim_signpost_init(struct sim_signpost *p, struct sim_internet *net, uint32_t devices);
void sim_signpost_free(struct sim_signpost *p);
void sim_signpost_boot(struct sim_signpost *p);
/* It loses its power, or only its process (`kill`): whoever had a stream learns it by use. */
void sim_signpost_off(struct sim_signpost *p, bool kill);
/* An operator's request, its arguments as text up to NULL; waits for the reply. The simulation fails when the request
 * does. */
void sim_signpost_ctl(struct sim_signpost *p, unsigned verb, ...);
/* A STR item of that reply, zero-terminated. */
void sim_signpost_text(struct sim_signpost *p, const char *key, char *ret, size_t cap);
/* A U64 item of the core's metrics; 0: there is none. */
uint64_t sim_signpost_metric(struct sim_signpost *p, const char *key);

#endif
