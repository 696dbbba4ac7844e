/* Who may write what: the policy of a TSIG key or foreign KEY, and the rules for types. RFC 3007. */
#ifndef SP_CORE_POLICY_H
#define SP_CORE_POLICY_H

#include "proto/dns/rrtype.h"
#include "signpostd/core/update.h"

#define SP_POLICY_NAMES 16
#define SP_POLICY_TYPES 32

struct sp_policy {
    bool axfr;
    bool any_name;
    uint8_t names, types;
    struct sp_policy_name {
        bool below; /* all below it, not the name itself */
        struct sp_name name;
    } name[SP_POLICY_NAMES];
    uint16_t type[SP_POLICY_TYPES];
};

/* The grammar stands at sp_updater_tsig_add. ERR_FORM with *ret_what. */
SP_CHECK sp_err sp_policy_parse(struct sp_policy *ret, const struct sp_name *apex, const char *text, size_t len,
                                const char **ret_what);
bool sp_policy_name(const struct sp_policy *p, const struct sp_name *name);
/* apex: the name is the zone's apex. */
bool sp_policy_type(const struct sp_policy *p, uint16_t type, bool apex);
bool sp_policy_lists(const struct sp_policy *p, uint16_t type);
/* What the signpost itself makes: DNSKEY, CDS, CDNSKEY, RRSIG, NSEC, NSEC3, NSEC3PARAM. */
bool sp_type_is_managed(uint16_t type);

#endif
