/* Recording a daemon, in builds with -Drecord=true: what its core was made from, every call with its clocks and inputs,
 * and every output and effect. sim-replay makes the same core, feeds it the same calls and demands the same bytes. The
 * file holds the seed, and so the daemon's secrets: mode 0600. In other builds all of this is nothing.
 *
 * A file is a struct spl_record_head, then records: u8 kind, u32 length of what follows, contents. Integers and structs
 * are as in memory: a file is for the build that wrote it. Pointers in structs are zero, their data follows. */
#ifndef SPL_RECORD_H
#define SPL_RECORD_H

#include "proto/linux/loop.h"

enum spl_record_core { SPL_RECORD_SERVER = 1, SPL_RECORD_AGENT };

#define SPL_RECORD_MAGIC "signpost recording 1\n"
struct spl_record_head {
    char magic[24];
    uint32_t core, config_size, in_size, out_size, event_size, pad;
};

enum spl_record_kind {
    SPL_RECORD_MADE = 1, /* now, wall, config */
    SPL_RECORD_CALL,     /* now, u32 which: a call of the host's own, outside the contract */
    SPL_RECORD_INPUT,    /* now, wall, u32 count, then a struct sp_in and its data each; for completed reads the block's
                            bytes */
    SPL_RECORD_TAKEN,    /* i32 result, u32 taken: of the INPUT before */
    SPL_RECORD_EXPIRE,   /* now, wall */
    SPL_RECORD_OUTPUT,   /* now, wall, u32 room, u32 count, then a struct sp_out and its data each */
    SPL_RECORD_EVENT,    /* u32 some; a struct sp_event and its data, or the blocks that it writes */
    SPL_RECORD_STOP,     /* now */
};
/* CALLs: of the agent. */
enum spl_record_call { SPL_RECORD_UP = 1 };

struct spl_record;

#ifdef SPL_RECORD

/* path NULL: *ret is NULL, and all below does nothing with it. */
SP_CHECK sp_err spl_record_open(struct spl_record **ret, const char *path, enum spl_record_core core,
                                size_t config_size, struct spl_error *err);
/* Puts the recorder between a loop and a core: before spl_loop_new. The file is closed by spl_record_close, after the
 * loop's end. */
void spl_record_wrap(struct spl_record *r, struct spl_core *core);
/* The core is about to be made from this, at these clocks. */
void spl_record_made(struct spl_record *r, const void *config, sp_instant now, sp_wall wall);
void spl_record_called(struct spl_record *r, enum spl_record_call which, sp_instant now);
void spl_record_close(struct spl_record *r);

#else

static inline sp_err spl_record_open(struct spl_record **ret, const char *path, enum spl_record_core core,
                                     size_t config_size, struct spl_error *err) {
    *ret = NULL;
    return path == NULL
               ? SP_OK
               : spl_error_set(err, SP_ERR_UNSUP, "this build does not record: it was made without -Drecord=true");
}
static inline void spl_record_wrap(struct spl_record *r, struct spl_core *core) {}
static inline void spl_record_made(struct spl_record *r, const void *config, sp_instant now, sp_wall wall) {}
static inline void spl_record_called(struct spl_record *r, enum spl_record_call which, sp_instant now) {}
static inline void spl_record_close(struct spl_record *r) {}

#endif
#endif
