/* A signpost that is operated from afar: which, by whose key, and the session with it. */
#ifndef SPL_CTL_AFAR_H
#define SPL_CTL_AFAR_H

#include "proto/control/remote_link.h"
#include "proto/linux/error.h"

#define CTL_KEY_TEXT 44 /* 32 bytes in base64 */

/* What was said about it, on the command line or in a file; NULL: nothing. */
struct ctl_place {
    char *at, *key, *signpost;
    sp_duration patience;
};

/* Fills in from a file what is not said yet: lines "at = ADDR[:PORT]", "key = FILE", "signpost = KEY"; FILE is beside
 * it. */
SP_CHECK sp_err ctl_place_read(struct ctl_place *p, const char *path, struct spl_error *err);
void ctl_place_free(struct ctl_place *p);

/* A new operator's key in a file that does not exist yet, 0600. */
SP_CHECK sp_err ctl_opkey_make(const char *path, char ret_pub[CTL_KEY_TEXT + 1], struct spl_error *err);
/* Wipe *ret when done. */
SP_CHECK sp_err ctl_opkey_read(const char *path, struct sp_ed25519 *ret, struct spl_error *err);

struct ctl_afar;

/* Begins a session; nothing is sent yet. */
SP_CHECK sp_err ctl_afar_open(struct ctl_afar **ret, const struct ctl_place *p, struct spl_error *err);
/* One request and its reply; *ret is malloc'ed: free it with spl_file_free. */
SP_CHECK sp_err ctl_afar_call(struct ctl_afar *a, const uint8_t *request, size_t len, uint8_t **ret, size_t *ret_len,
                              struct spl_error *err);
void ctl_afar_close(struct ctl_afar *a); /* says good-bye; may be NULL */

#endif
