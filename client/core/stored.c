#include "client/core/stored.h"

#define VERSION      1
#define CHECK        16
#define FLAG_PENDING 1

static const char identity_magic[4] = {'S', 'P', 'I', 'D'};
static const char memory_magic[4] = {'S', 'P', 'M', 'E'};

static void begin(struct sp_wr *wr, uint8_t *buf, const char magic[4]) {
    *wr = sp_wr_init(buf, SP_STORED_MAX);
    sp_wr_bytes(wr, magic, 4);
    sp_wr_u8(wr, VERSION);
}

static size_t end(struct sp_wr *wr) {
    uint8_t check[CHECK];
    sp_labelled_hash("signpost-stored-v1", wr->base, sp_wr_len(wr), check, CHECK);
    sp_wr_bytes(wr, check, CHECK);
    SP_ASSERT(wr->err == SP_OK); /* the largest identity takes 730 bytes, the largest memory 576 */
    return sp_wr_len(wr);
}

/* A reader of what stands between version and checksum. */
static sp_err open(struct sp_rd *rd, const uint8_t *data, size_t len, const char magic[4]) {
    uint8_t check[CHECK];
    if (len < 5 || memcmp(data, magic, 4) != 0)
        return SP_ERR_FORM;
    if (data[4] != VERSION)
        return data[4] > VERSION ? SP_ERR_UNSUP : SP_ERR_FORM;
    if (len < 5 + CHECK)
        return SP_ERR_CORRUPT;
    sp_labelled_hash("signpost-stored-v1", data, len - CHECK, check, CHECK);
    if (!sp_equal_ct(check, data + len - CHECK, CHECK))
        return SP_ERR_CORRUPT;
    *rd = sp_rd_init(data, len - CHECK);
    (void)sp_rd_bytes(rd, 5);
    return SP_OK;
}

static size_t ip_len(uint8_t family) {
    return family == 4 ? 4 : 16;
}

static void write_addr(struct sp_wr *wr, const struct sp_addr *a) {
    sp_wr_u8(wr, a->family);
    sp_wr_bytes(wr, a->ip, ip_len(a->family));
    sp_wr_u32(wr, a->scope);
    sp_wr_u16(wr, a->port);
}

static void read_addr(struct sp_rd *rd, struct sp_addr *a) {
    memset(a, 0, sizeof *a);
    a->family = sp_rd_u8(rd);
    if (a->family != 4 && a->family != 6)
        sp_rd_fail(rd, SP_ERR_FORM);
    sp_rd_copy(rd, a->ip, ip_len(a->family));
    a->scope = sp_rd_u32(rd);
    a->port = sp_rd_u16(rd);
}

size_t sp_stored_identity_write(const struct sp_agent_identity *id, uint8_t ret[SP_STORED_MAX]) {
    struct sp_wr wr;
    begin(&wr, ret, identity_magic);
    sp_wr_u8(&wr, id->pending ? FLAG_PENDING : 0);
    sp_name_write(&wr, &id->zone);
    sp_name_write(&wr, &id->name);
    sp_wr_bytes(&wr, id->root_hash, SP_ROOT_HASH);
    sp_wr_bytes(&wr, id->signpost_pub, SP_ED25519_PUB);
    sp_wr_bytes(&wr, id->device_seed, SP_ED25519_SEED);
    sp_wr_u8(&wr, (uint8_t)id->addr_count);
    for (unsigned i = 0; i < id->addr_count; i++)
        write_addr(&wr, &id->addrs[i]);
    return end(&wr);
}

sp_err sp_stored_identity_read(struct sp_agent_identity *ret, const uint8_t *data, size_t len) {
    struct sp_agent_identity id;
    struct sp_rd rd;
    memset(&id, 0, sizeof id);
    SP_TRY(open(&rd, data, len, identity_magic));
    uint8_t flags = sp_rd_u8(&rd);
    id.pending = flags & FLAG_PENDING;
    bool ok = sp_name_read_plain(&rd, &id.zone) == SP_OK && sp_name_read_plain(&rd, &id.name) == SP_OK;
    sp_rd_copy(&rd, id.root_hash, SP_ROOT_HASH);
    sp_rd_copy(&rd, id.signpost_pub, SP_ED25519_PUB);
    sp_rd_copy(&rd, id.device_seed, SP_ED25519_SEED);
    id.addr_count = sp_rd_u8(&rd);
    if (id.addr_count > SP_TOKEN_ADDRS)
        sp_rd_fail(&rd, SP_ERR_FORM);
    for (unsigned i = 0; i < id.addr_count && rd.err == SP_OK; i++)
        read_addr(&rd, &id.addrs[i]);
    ok = sp_rd_finish(&rd) == SP_OK && ok && flags <= FLAG_PENDING && sp_name_under(&id.name, &id.zone);
    if (ok)
        *ret = id;
    sp_wipe(&id, sizeof id);
    return ok ? SP_OK : SP_ERR_CORRUPT;
}

size_t sp_stored_memory_write(const struct sp_agent_memory *memory, uint8_t ret[SP_STORED_MAX]) {
    struct sp_wr wr;
    begin(&wr, ret, memory_magic);
    sp_wr_u64(&wr, memory->signed_at);
    sp_wr_u8(&wr, (uint8_t)memory->published_count);
    for (unsigned i = 0; i < memory->published_count; i++) {
        sp_wr_u8(&wr, memory->published[i].family);
        sp_wr_bytes(&wr, memory->published[i].ip, ip_len(memory->published[i].family));
    }
    return end(&wr);
}

sp_err sp_stored_memory_read(struct sp_agent_memory *ret, const uint8_t *data, size_t len) {
    struct sp_agent_memory m;
    struct sp_rd rd;
    memset(&m, 0, sizeof m);
    SP_TRY(open(&rd, data, len, memory_magic));
    m.signed_at = sp_rd_u64(&rd);
    m.published_count = sp_rd_u8(&rd);
    if (m.published_count > SP_AGENT_PUBLISHED_MAX)
        sp_rd_fail(&rd, SP_ERR_FORM);
    for (unsigned i = 0; i < m.published_count && rd.err == SP_OK; i++) {
        m.published[i].family = sp_rd_u8(&rd);
        if (m.published[i].family != 4 && m.published[i].family != 6)
            sp_rd_fail(&rd, SP_ERR_FORM);
        sp_rd_copy(&rd, m.published[i].ip, ip_len(m.published[i].family));
    }
    if (sp_rd_finish(&rd) != SP_OK)
        return SP_ERR_CORRUPT;
    *ret = m;
    return SP_OK;
}
