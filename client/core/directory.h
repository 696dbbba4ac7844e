/* The directory: who this device's peers are and by which key. One interface, whatever the source: the signpost's word inside the
 * control session while the zone is in hosted trust, the owner's manifest later. DESIGN: "Trust, with the operator untrusted". */
#ifndef SP_AGENT_DIRECTORY_H
#define SP_AGENT_DIRECTORY_H

#include "proto/base/mem.h"
#include "proto/base/table.h"
#include "proto/control/join.h"

enum sp_dir_source { SP_DIR_SESSION /* the signpost says so */, SP_DIR_MANIFEST };

struct sp_dir_entry {
    struct sp_link by_name, by_addr, by_key;
    struct sp_name name; /* absolute, lower case */
    uint8_t pub[SP_ED25519_PUB];
    uint8_t wg_pub[SP_X25519];
    uint8_t overlay[16];
    uint8_t source;
    sp_instant learnt_at;
    void *peer; /* the overlay's peer of this device, or NULL */
};

struct sp_directory;
struct sp_directory_config {
    struct sp_mem *mem;
    uint8_t hash_key[16];
    uint32_t limit; /* entries */
    struct sp_name zone, self;
    uint8_t root_hash[SP_ROOT_HASH];
};
SP_CHECK sp_err sp_directory_new(struct sp_directory **ret, const struct sp_directory_config *config);
void sp_directory_free(struct sp_directory *d);

/* A source names a device. Derives the overlay address from root and key: what the signpost says of addresses is not needed.
 * ERR_RANGE: not a name of the zone; ERR_BADKEY: no X25519 image; ERR_EXIST: another name has this key or address; ERR_FULL.
 * A name that had another key: *ret_replaced is true, the entry is changed (the caller drops the peer's sessions first: `peer`). */
SP_CHECK sp_err sp_directory_learn(struct sp_directory *d, const struct sp_name *name, const uint8_t pub[SP_ED25519_PUB],
                                   enum sp_dir_source source, sp_instant now, struct sp_dir_entry **ret, bool *ret_replaced);
void sp_directory_forget(struct sp_directory *d, struct sp_dir_entry *e);
struct sp_dir_entry *sp_directory_name(const struct sp_directory *d, const struct sp_name *name);
/* A device's name as people write it: a single label is one of the zone. False: no name, or of elsewhere. */
bool sp_directory_read(const struct sp_name *zone, const char *text, size_t len, struct sp_name *ret);
struct sp_dir_entry *sp_directory_addr(const struct sp_directory *d, const uint8_t overlay[16]);
struct sp_dir_entry *sp_directory_key(const struct sp_directory *d, const uint8_t wg_pub[SP_X25519]);
struct sp_dir_entry *sp_directory_each(const struct sp_directory *d, struct sp_table_cursor *cursor);
uint32_t sp_directory_count(const struct sp_directory *d);

/* Names that do not exist, for 30 s, so that a mistyped name does not ask the signpost every time. */
void sp_directory_absent(struct sp_directory *d, const struct sp_name *name, sp_instant now);
bool sp_directory_is_absent(const struct sp_directory *d, const struct sp_name *name, sp_instant now);

#endif
