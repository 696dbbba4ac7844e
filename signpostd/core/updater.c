#include "signpostd/core/updater.h"

const char *sp_refusal_name(enum sp_refusal why) {
    static const char *const names[] = {
#define X(name, rcode, ede, text) #name,
        SP_REFUSAL_LIST(X)
#undef X
    };
    return why < SP_REFUSED_COUNT ? names[why] : "unknown";
}

void sp_budgets_default(struct sp_budgets *ret) {
    *ret = (struct sp_budgets){
        .verify_per_s = 12000,
        .verify_tcp_per_s = 4000,
        .verify_stranger_per_s = 2000,
        .verify_prefix_per_s = 200,
        .verify_key_per_s = 2000,
        .sign_per_batch = 2,
        .stun_per_s = 20000,
        .stun_prefix_per_s = 500,
        .initiations_per_s = 200,
        .initiations_max_per_s = 3000,
        .searches_per_s = 20000,
        .rosters_per_s = 20,
        .session_requests_per_s = 100,
        .connects_per_s = 50,
        .relay_session_bytes_per_s = (uint64_t)64 << 20,
        .relay_bytes_per_s = (uint64_t)256 << 20,
    };
}

void sp_updater_config_default(struct sp_updater_config *ret) {
    memset(ret, 0, sizeof *ret);
    ret->leases = 4u << 20;
    ret->keys = 1024;
    ret->invites = 65536;
    ret->devices = 1u << 20;
    ret->prefixes = 8192;
    ret->lease_min_s = 30;
    ret->lease_max_s = 86400;
    sp_budgets_default(&ret->budgets);
}

/* ---- hashes ---- */

uint64_t sp_updater_hash(const struct sp_updater *u, uint32_t zone, uint16_t kind, const void *data, size_t len) {
    uint8_t buf[6 + SP_NAME_MAX];
    SP_ASSERT(len <= SP_NAME_MAX);
    sp_put_u32(buf, zone);
    sp_put_u16(buf + 4, kind);
    memcpy(buf + 6, data, len);
    return sp_siphash(u->config.hash_key, buf, 6 + len);
}

uint64_t sp_updater_hash_name(const struct sp_updater *u, uint32_t zone, uint16_t kind, const struct sp_name *name) {
    struct sp_name lower = *name;
    sp_name_lower(&lower);
    return sp_updater_hash(u, zone, kind, lower.wire, lower.len);
}

uint64_t sp_updater_hash_rdata(const struct sp_updater *u, const uint8_t *rdata, size_t len) {
    return sp_siphash(u->config.hash_key, rdata, len);
}

/* ---- life ---- */

static bool workspace_make(struct sp_updater *u) {
    u->scratch = sp_mem_alloc(u->mem, SP_SCRATCH);
    u->rdata = sp_mem_alloc(u->mem, SP_RDATA_MAX);
    u->canon = sp_mem_alloc(u->mem, SP_RDATA_MAX);
    u->body = sp_mem_alloc(u->mem, SP_LOG_BODY_MAX);
    u->snap = sp_mem_alloc(u->mem, SP_LOG_BODY_MAX);
    u->marks = sp_mem_alloc(u->mem, SP_MARKS_MAX * sizeof *u->marks);
    return u->scratch != NULL && u->rdata != NULL && u->canon != NULL && u->body != NULL && u->snap != NULL &&
           u->marks != NULL;
}

static void workspace_free(struct sp_updater *u) {
    sp_mem_free(u->mem, u->scratch, SP_SCRATCH);
    sp_mem_free(u->mem, u->rdata, SP_RDATA_MAX);
    sp_mem_free(u->mem, u->canon, SP_RDATA_MAX);
    if (u->body != NULL)
        sp_wipe(u->body, SP_LOG_BODY_MAX); /* they have held keys */
    if (u->snap != NULL)
        sp_wipe(u->snap, SP_LOG_BODY_MAX);
    sp_mem_free(u->mem, u->body, SP_LOG_BODY_MAX);
    sp_mem_free(u->mem, u->snap, SP_LOG_BODY_MAX);
    sp_mem_free(u->mem, u->marks, SP_MARKS_MAX * sizeof *u->marks);
}

sp_err sp_updater_new(struct sp_updater **ret, struct sp_mem *mem, struct sp_zones *zones,
                      const struct sp_updater_config *config) {
    struct sp_updater *u = sp_mem_alloc(mem, sizeof *u);
    if (u == NULL)
        return SP_ERR_FULL;
    u->mem = mem;
    u->zones = zones;
    u->config = *config;
    sp_table_init(&u->keys, mem, config->keys);
    sp_table_init(&u->invites, mem, config->invites);
    sp_table_init(&u->leases, mem, config->leases);
    sp_table_init(&u->idents, mem, SIZE_MAX); /* bounded by the zones' names */
    sp_table_init(&u->uses, mem, config->devices);
    if (!workspace_make(u) || sp_budget_init(&u->budget, mem, config->hash_key, config->prefixes) != SP_OK) {
        sp_updater_free(u);
        return SP_ERR_FULL;
    }
    *ret = u;
    return SP_OK;
}

static void zone_users_free(struct sp_updater *u) {
    for (struct sp_zone *z = NULL; (z = sp_zones_next(u->zones, z)) != NULL;) {
        struct sp_zone_user *user = sp_zone_user_of(z);
        *sp_zone_user(z) = NULL;
        if (user == NULL)
            continue;
        sp_wipe(user, sizeof *user);
        sp_mem_free(u->mem, user, sizeof *user);
    }
}

void sp_updater_free(struct sp_updater *u) {
    if (u == NULL)
        return;
    sp_apply_partial_end(u);
    sp_lease_free(u);
    sp_ident_free(u);
    sp_use_free(u);
    sp_tkey_drop_zone(u, 0);
    sp_table_free(&u->keys);
    sp_invite_drop_zone(u, 0);
    sp_table_free(&u->invites);
    zone_users_free(u);
    sp_budget_free(&u->budget, u->mem);
    workspace_free(u);
    struct sp_mem *mem = u->mem;
    sp_wipe(u, sizeof *u);
    sp_mem_free(mem, u, sizeof *u);
}

const struct sp_update_counts *sp_updater_counts(struct sp_updater *u) {
    return &u->counts;
}

struct sp_update_counts *sp_updater_counts_mut(struct sp_updater *u) {
    return &u->counts;
}

struct sp_zone_user *sp_zone_user_of(const struct sp_zone *z) {
    return *sp_zone_user((struct sp_zone *)(uintptr_t)z);
}

const struct sp_zone_info *sp_zone_info(const struct sp_zone *z) {
    const struct sp_zone_user *user = sp_zone_user_of(z);
    return user != NULL ? &user->info : NULL;
}
