/* Stored files of the agent: as they come, and with the checksum put right. What is read is written as the same bytes.
 */
#include "client/core/stored.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try(const uint8_t *data, size_t len) {
    struct sp_agent_identity id;
    struct sp_agent_memory memory;
    uint8_t out[SP_STORED_MAX];
    if (sp_stored_identity_read(&id, data, len) == SP_OK &&
        (sp_stored_identity_write(&id, out) != len || memcmp(out, data, len) != 0))
        abort();
    if (sp_stored_memory_read(&memory, data, len) == SP_OK &&
        (sp_stored_memory_write(&memory, out) != len || memcmp(out, data, len) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    uint8_t fixed[SP_STORED_MAX + 64];
    try(data, len);
    if (len < 16 || len > sizeof fixed)
        return 0;
    memcpy(fixed, data, len);
    sp_labelled_hash("signpost-stored-v1", fixed, len - 16, fixed + len - 16, 16);
    try(fixed, len);
    return 0;
}
