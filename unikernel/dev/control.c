#include "unikernel/dev/control.h"

#include "unikernel/lib/text.h"

static const char request_path[] = "control/shutdown";

sp_err spx_control_open(struct spx_xs *xs, unsigned token) {
    static const struct spx_xs_pair can[] = {
        {"control/feature-poweroff", "1"}, {"control/feature-reboot", "1"}, {"control/feature-suspend", "1"}};
    SP_TRY(spx_xs_write_all(xs, can, 3));
    return spx_xs_watch(xs, request_path, token);
}

enum spx_ask spx_control_take(struct spx_xs *xs, unsigned token) {
    static const struct {
        const char *word;
        enum spx_ask ask;
    } words[] = {{"poweroff", SPX_ASK_POWEROFF},
                 {"halt", SPX_ASK_POWEROFF},
                 {"reboot", SPX_ASK_REBOOT},
                 {"suspend", SPX_ASK_SUSPEND}};
    struct spx_text word;
    if (!spx_xs_fired(xs, token) || spx_xs_take(xs, request_path, &word) != SP_OK)
        return SPX_ASK_NOTHING;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == word.len && memcmp(words[i].word, word.s, word.len) == 0)
            return words[i].ask;
    return SPX_ASK_NOTHING;
}
