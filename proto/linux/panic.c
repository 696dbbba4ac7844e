#include <stdlib.h>

#include "proto/linux/error.h"

_Noreturn void sp_panic(const char *file, int line, const char *what) {
    spl_say("%s:%d: assertion failed: %s; this is a fault in the program, please report it", file, line, what);
    abort();
}
