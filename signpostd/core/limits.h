/* Who may take how much of the memory: what must be remembered comes before what can be done again. The last part is for what takes
 * memory only for a moment, and for changes that make the state smaller. */
#ifndef SP_CORE_LIMITS_H
#define SP_CORE_LIMITS_H

#include <stdbool.h>

#include "proto/base/mem.h"

enum sp_left {
    SP_LEFT_FOR_CHANGES,    /* a 32nd is left */
    SP_LEFT_FOR_SESSIONS,   /* a 16th */
    SP_LEFT_FOR_SIGNATURES, /* an eighth; beyond, answers are signed again each time */
};
bool sp_limits_left(const struct sp_mem *mem, enum sp_left what);

#endif
