#include "proto/base/err.h"

const char *sp_err_name(sp_err err) {
    switch (err) {
#define X(num, name, text) \
    case SP_##name:        \
        return #name;
        SP_ERR_LIST(X)
#undef X
    }
    return "ERR_UNKNOWN";
}

const char *sp_err_text(sp_err err) {
    switch (err) {
#define X(num, name, text) \
    case SP_##name:        \
        return text;
        SP_ERR_LIST(X)
#undef X
    }
    return "unknown error";
}
