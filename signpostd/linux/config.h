/* The configuration file of signpostd, read and validated. signpostd.conf(5). */
#ifndef SPL_CONFIG_H
#define SPL_CONFIG_H

#include "proto/linux/error.h"
#include "signpostd/core/server.h"

#define SPL_CONFIG_LISTEN   32
#define SPL_CONFIG_ZONES    256
#define SPL_CONFIG_FILE_MAX (1u << 20)

struct spl_config {
    char *data;
    struct sp_addr listen[SPL_CONFIG_LISTEN];
    unsigned listen_count; /* 0: not said */
    char *zones[SPL_CONFIG_ZONES];
    unsigned zone_count;
    char *user, *group;
    struct sp_addr metrics; /* family 0: off */
    uint64_t log_bytes;
    const char *record;             /* builds with -Drecord=true: a file to record the core in; NULL: none */
    struct sp_server_config server; /* without grant, seed and disk */
};

/* Defaults, with nothing of a file in it. Free with spl_config_free. */
void spl_config_default(struct spl_config *ret);
/* Reads a file over what *c holds. On error *c stays good to be freed, and err says FILE:LINE: what is wrong.
 * ERR_NOENT, ERR_DENIED, ERR_FORM, ERR_FULL. */
SP_CHECK sp_err spl_config_read(struct spl_config *c, const char *path, struct spl_error *err);
void spl_config_free(struct spl_config *c);

/* What the command line adds. ERR_FORM, ERR_RANGE, ERR_EXIST (twice), ERR_FULL; err says which. */
SP_CHECK sp_err spl_config_add_listen(struct spl_config *c, const char *text, struct spl_error *err);
SP_CHECK sp_err spl_config_add_zone(struct spl_config *c, const char *text, struct spl_error *err);
SP_CHECK sp_err spl_config_add_operator(struct spl_config *c, const char *text, struct spl_error *err);

#endif
