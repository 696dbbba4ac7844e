/* Streams of the virtual Internet, as TCP gives them: reliable, ordered, late. A lost piece comes 200 ms later; a way
 * that is gone stalls the stream until it is back, or for a minute. What the two ends see is SP_IN_STREAM_* through
 * their host's `stream`. */
#ifndef SP_TESTS_SIM_STREAM_H
#define SP_TESTS_SIM_STREAM_H

#include "tests/sim/internet.h"

/* SP_IN_STREAM_OPEN with this id follows, or SP_IN_STREAM_CLOSE with err. */
void sim_stream_connect(struct sim_host *h, uint64_t id, const struct sp_addr *dst);
void sim_stream_write(struct sim_host *h, uint64_t id, const uint8_t *data, size_t len);
void sim_stream_close(struct sim_host *h, uint64_t id, bool reset);
/* The host's machine has stopped: its streams are gone, which their other ends learn when they use them. */
void sim_streams_forget(struct sim_host *h);
/* For counting them: the one after; NULL. */
struct sim_stream *sim_stream_next(const struct sim_stream *t);

#endif
