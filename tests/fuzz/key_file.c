/* Key files of tsig-keygen and dnssec-keygen: what is taken must be whole, what is refused must say where and why. */
#include <stdlib.h>
#include <string.h>

#include "signpostd/ctl/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct spl_key key;
    unsigned line = 0;
    const char *what = NULL;
    if (len > SPL_KEYFILE_MAX)
        return 0;
    /* As spl_file_read gives it: terminated, but the length counts. */
    char *text = malloc(len + 1);
    memcpy(text, data, len);
    text[len] = 0;
    sp_err err = spl_key_read(&key, text, len, &line, &what);
    free(text);
    if (err == SP_OK ? key.len == 0 || key.name.len == 0 || key.algorithm[0] == 0 ||
                           memchr(key.algorithm, 0, sizeof key.algorithm) == NULL
                     : err != SP_ERR_FORM || what == NULL || what[0] == 0)
        abort();
    return 0;
}
