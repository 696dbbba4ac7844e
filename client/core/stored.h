/* What the agent stores, as bytes: identity and memory. Each file has a magic, a version and a checksum, so that a
 * foreign, a newer and a damaged file are told apart. */
#ifndef SP_AGENT_STORED_H
#define SP_AGENT_STORED_H

#include "client/core/agent.h"

#define SP_STORED_MAX 1024

/* The length written. The identity holds the device's secret seed: wipe the buffer. */
size_t sp_stored_identity_write(const struct sp_agent_identity *id, uint8_t ret[SP_STORED_MAX]);
size_t sp_stored_memory_write(const struct sp_agent_memory *memory, uint8_t ret[SP_STORED_MAX]);

/* ERR_FORM: not such a file. ERR_UNSUP: of a newer version. ERR_CORRUPT: damaged. *ret is untouched unless OK. */
SP_CHECK sp_err sp_stored_identity_read(struct sp_agent_identity *ret, const uint8_t *data, size_t len);
SP_CHECK sp_err sp_stored_memory_read(struct sp_agent_memory *ret, const uint8_t *data, size_t len);

#endif
