#define _GNU_SOURCE
#include "client/linux/privilege.h"

#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(cap) (UINT64_C(1) << (cap))

/* The C library has no wrapper for these two. */
static bool read_caps(uint64_t *ret_permitted, uint64_t *ret_effective) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &head, data) != 0)
        return false;
    *ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    *ret_effective = (uint64_t)data[1].effective << 32 | data[0].effective;
    return true;
}

static bool write_caps(uint64_t caps) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].permitted = data[i].effective = (uint32_t)(caps >> (32 * i));
    return syscall(SYS_capset, &head, data) == 0;
}

bool spl_privilege_network(void) {
    uint64_t permitted, effective;
    return read_caps(&permitted, &effective) && (effective & BIT(CAP_NET_ADMIN)) != 0;
}

sp_err spl_privilege_drop(int dirfd, bool network, struct spl_error *err) {
    uint64_t permitted, effective, keep = network ? BIT(CAP_NET_ADMIN) : 0;
    struct stat st;
    if (!read_caps(&permitted, &effective) || permitted == 0)
        return SP_OK;
    if (geteuid() == 0 && fstat(dirfd, &st) == 0 && st.st_uid != 0)
        keep |= BIT(CAP_DAC_OVERRIDE);
    if ((effective & BIT(CAP_SETPCAP)) != 0)
        for (unsigned cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
            if ((keep & BIT(cap)) == 0)
                (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return write_caps(permitted & keep) ? SP_OK : spl_error_errno(err, "cannot give up privileges");
}
