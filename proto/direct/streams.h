/* Streams of the host contract over TCP's connections (proto/net/tcp.h), for direct.c alone. */
#ifndef SP_DIRECT_STREAMS_H
#define SP_DIRECT_STREAMS_H

#include "proto/direct/direct.h"

/* The limits are those of the configuration that tcp was made with. */
void sp_direct_streams_init(struct sp_direct_streams *s, struct sp_tcp *tcp, const struct sp_net_config *config);
void sp_direct_streams_done(struct sp_direct_streams *s);
/* The next input for the core; false: none. */
bool sp_direct_streams_next(struct sp_direct_streams *s, sp_instant now, struct sp_in *ret);
/* The core has nothing to send any more. */
void sp_direct_streams_settled(struct sp_direct_streams *s);
/* Frees what was given to the core out of our own memory. */
void sp_direct_streams_tidy(struct sp_direct_streams *s);
void sp_direct_streams_refused(struct sp_direct_streams *s, sp_instant now, const struct sp_in *in);
void sp_direct_streams_output(struct sp_direct_streams *s, sp_instant now, const struct sp_out *out);
/* err: why it cannot be connected at all; else of this connection. */
void sp_direct_streams_connect(struct sp_direct_streams *s, sp_instant now, uint64_t id, struct sp_tcp_conn *conn,
                               sp_err err);
void sp_direct_streams_expire(struct sp_direct_streams *s, sp_instant now);
sp_instant sp_direct_streams_deadline(const struct sp_direct_streams *s);

#endif
