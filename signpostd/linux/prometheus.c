#define _GNU_SOURCE
#include "signpostd/linux/prometheus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/operator.h"

static bool ends(const char *name, size_t len, const char *suffix) {
    size_t n = strlen(suffix);
    return len > n && memcmp(name + len - n, suffix, n) == 0;
}

/* The metric that a sample belongs to, and its type: a histogram has samples of three names. */
static const char *family(const char *key, size_t *len) {
    *len = strcspn(key, "{");
    if (ends(key, *len, "_total"))
        return "counter";
    if (ends(key, *len, "_bucket"))
        *len -= strlen("_bucket");
    else if (ends(key, *len, "_sum"))
        *len -= strlen("_sum");
    else if (ends(key, *len, "_count"))
        *len -= strlen("_count");
    else
        return "gauge";
    return "histogram";
}

sp_err spl_prometheus_text(const uint8_t *data, size_t len, char **ret, size_t *ret_len) {
    struct sp_rd rd = sp_rd_init(data, len);
    enum sp_op_status status;
    SP_TRY(sp_op_reply_read(&rd, &status));
    if (status != SP_OP_OK)
        return SP_ERR_FORM;
    char *text = NULL;
    FILE *f = open_memstream(&text, ret_len);
    if (f == NULL)
        return SP_ERR_FULL;
    char last[SP_OP_KEY_MAX + 1] = "";
    for (struct sp_op_item item; sp_op_next(&rd, &item) == SP_OK;) {
        if (item.kind != SP_OP_U64)
            continue;
        size_t n;
        const char *type = family(item.key, &n);
        if (strlen(last) != n || memcmp(last, item.key, n) != 0) {
            memcpy(last, item.key, n);
            last[n] = 0;
            fprintf(f, "# TYPE signpost_%s %s\n", last, type);
        }
        fprintf(f, "signpost_%s %" PRIu64 "\n", item.key, item.number);
    }
    if (fclose(f) != 0) {
        free(text);
        return SP_ERR_FULL;
    }
    *ret = text;
    return SP_OK;
}
