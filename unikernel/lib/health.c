#include "unikernel/lib/random.h"

bool spx_random_is_healthy(const uint64_t *draws, size_t n) {
    uint64_t all = UINT64_MAX, any = 0;
    for (size_t i = 0; i < n; i++) {
        if (draws[i] == 0 || draws[i] == UINT64_MAX)
            return false;
        for (size_t j = 0; j < i; j++)
            if (draws[j] == draws[i])
                return false;
        all &= draws[i];
        any |= draws[i];
    }
    return all == 0 && any == UINT64_MAX;
}
