/* Errors: one list, from which the enum and the names are made. */
#ifndef SP_BASE_ERR_H
#define SP_BASE_ERR_H

#define SP_ERR_LIST(X)                                                     \
    X(0, OK, "no error")                                                   \
    X(-1, ERR_SHORT, "input ends too early")                               \
    X(-2, ERR_FORM, "malformed")                                           \
    X(-3, ERR_RANGE, "value out of range")                                 \
    X(-4, ERR_SPACE, "output buffer too small")                            \
    X(-5, ERR_FULL, "table or memory limit reached")                       \
    X(-6, ERR_NOENT, "not found")                                          \
    X(-7, ERR_EXIST, "already there")                                      \
    X(-8, ERR_UNSUP, "not supported")                                      \
    X(-9, ERR_BADSIG, "signature does not verify")                         \
    X(-10, ERR_BADKEY, "unknown or unusable key")                          \
    X(-11, ERR_TIME, "outside the time window")                            \
    X(-12, ERR_REPLAY, "seen before")                                      \
    X(-13, ERR_DENIED, "not allowed")                                      \
    X(-14, ERR_BUDGET, "budget used up")                                   \
    X(-15, ERR_STATE, "not possible in this state")                        \
    X(-16, ERR_IO, "device error")                                         \
    X(-17, ERR_NOSPC, "disk full")                                         \
    X(-18, ERR_CORRUPT, "stored data is damaged")                          \
    X(-19, ERR_AGAIN, "not yet")

enum sp_err {
#define X(num, name, text) SP_##name = (num),
    SP_ERR_LIST(X)
#undef X
};

typedef enum sp_err sp_err;

/* Every fallible call carries this. */
#define SP_CHECK __attribute__((warn_unused_result))

/* The name ("ERR_FORM") and the text ("malformed") of an error; never NULL. */
const char *sp_err_name(sp_err err);
const char *sp_err_text(sp_err err);

/* A programmer's fault. The host supplies sp_panic (Linux: message and abort; unikernel: console and stop). */
_Noreturn void sp_panic(const char *file, int line, const char *what);
#define SP_ASSERT(cond) ((cond) ? (void)0 : sp_panic(__FILE__, __LINE__, #cond))

/* Returns the error of a failed call from the calling function. */
#define SP_TRY(expr)                              \
    do {                                          \
        sp_err sp_try_err_ = (expr);              \
        if (sp_try_err_ != SP_OK)                 \
            return sp_try_err_;                   \
    } while (0)

#endif
