/* Verbs that ask no signpost. */
#include "signpostd/ctl/ctl.h"

#include "signpostd/linux/config.h"

int ctl_conf_check(struct ctl *c) {
    const char *path = c->arg_count > 0 ? c->args[0] : "/etc/signpost/signpostd.conf";
    struct spl_config config;
    struct spl_error err;
    spl_config_default(&config);
    sp_err e = spl_config_read(&config, path, &err);
    spl_config_free(&config);
    if (e != SP_OK) {
        spl_say("%s", err.text);
        return CTL_FAILED;
    }
    json_t *reply = json_pack("{s:s,s:b}", "file", path, "valid", 1);
    if (reply == NULL) {
        spl_say("%s is valid, but its name cannot be printed", path);
        return CTL_OK;
    }
    return ctl_show(c, reply);
}

int ctl_operator_key(struct ctl *c) {
    struct spl_error err;
    char pub[CTL_KEY_TEXT + 1];
    if (ctl_opkey_make(c->args[0], pub, &err) != SP_OK) {
        spl_say("%s", err.text);
        return CTL_FAILED;
    }
    json_t *reply = json_pack("{s:s}", "operator", pub);
    if (reply == NULL) {
        spl_say("%s is made, but its public half cannot be printed; it stands in the file", c->args[0]);
        return CTL_FAILED;
    }
    return ctl_show_text(c, reply, "operator");
}
