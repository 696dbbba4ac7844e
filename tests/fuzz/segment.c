/* Packets of the host with any offload: 12 bytes of offload, then the packet. What can be split has right checksums and
 * keeps every byte of payload. Then the bytes as a row of packets, each after its length, into a joiner: split again,
 * they are the same packets. */
#include "client/core/segment.h"
#include "proto/base/bytes.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t joined[1 << 17];

static struct sp_offload offload_of(struct sp_rd *rd) {
    struct sp_offload off = {.gso = sp_rd_u8(rd), .needs_csum = sp_rd_u8(rd) & 1};
    off.hdr_len = sp_rd_u16(rd);
    off.gso_size = sp_rd_u16(rd);
    off.csum_start = sp_rd_u16(rd);
    off.csum_offset = sp_rd_u16(rd);
    sp_rd_u16(rd);
    return off;
}

/* Packets that went into the joiner and have not come out. */
struct row {
    const uint8_t *data[2048];
    size_t len[2048];
    unsigned at, n;
};

/* Checksums of 0 and 0xffff are the same. */
static bool same_packet(const uint8_t *a, const uint8_t *b, size_t len, size_t csum_at) {
    for (size_t i = 0; i < len; i++) {
        bool csum = i == csum_at || (a[0] >> 4 == 4 && i == 10);
        if (csum && i + 1 < len && sp_get_u16(a + i) % 0xffff == sp_get_u16(b + i) % 0xffff) {
            i++;
            continue;
        }
        if (a[i] != b[i])
            return false;
    }
    return true;
}

/* What comes out, split again, is what went in, byte for byte and in order. */
static void check_out(const struct sp_out *o, struct row *row) {
    static uint8_t one[65536];
    struct sp_segmenter s;
    if (o->len == 0 || o->len > SP_JOIN_MAX || o->data < joined || o->data + o->len > joined + sizeof joined)
        abort();
    if (o->offload.gso == SP_GSO_NONE) {
        if (row->at == row->n || o->len != row->len[row->at] || memcmp(o->data, row->data[row->at], o->len) != 0)
            abort();
        row->at++;
        return;
    }
    if (sp_segmenter_init(&s, o->data, o->len, &o->offload) != SP_OK)
        abort(); /* what we give is what we would take */
    for (size_t n; (n = sp_segmenter_next(&s, one, sizeof one)) > 0; row->at++)
        if (row->at == row->n || n != row->len[row->at] ||
            !same_packet(one, row->data[row->at], n, (size_t)o->offload.csum_start + o->offload.csum_offset))
            abort();
}

static void split(const uint8_t *packet, size_t len, const struct sp_offload *off) {
    static uint8_t out[65536 + 128];
    struct sp_segmenter s;
    if (sp_segmenter_init(&s, packet, len, off) != SP_OK)
        return;
    uint32_t ip_len = s.ip_len;
    size_t payload = 0;
    for (size_t n; (n = sp_segmenter_next(&s, out, sizeof out)) > 0;) {
        if (off->gso == SP_GSO_NONE) {
            if (n != len)
                abort();
            return;
        }
        size_t alen = out[0] >> 4 == 6 ? 16 : 4;
        uint32_t sum = sp_csum_pseudo(out + (alen == 16 ? 8 : 12), out + (alen == 16 ? 24 : 16), alen,
                                      off->gso == SP_GSO_UDP ? 17 : 6, n - ip_len);
        if (sp_csum_fold(sp_csum_add(sum, out + ip_len, n - ip_len)) != 0xffff)
            abort();
        if (memcmp(out + s.hdr_len, packet + s.hdr_len + payload, n - s.hdr_len) != 0)
            abort();
        payload += n - s.hdr_len;
    }
    if (payload != len - s.hdr_len)
        abort();
}

static void join(const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    struct row row = {.n = 0};
    struct sp_joiner j;
    struct sp_out o;
    bool some;
    sp_joiner_init(&j, joined, sizeof joined, true);
    while (sp_rd_left(&rd) > 2 && row.n < sizeof row.len / sizeof row.len[0]) {
        size_t n = sp_rd_u16(&rd);
        struct sp_rd part = sp_rd_sub(&rd, n < sp_rd_left(&rd) ? n : sp_rd_left(&rd));
        n = sp_rd_left(&part);
        uint8_t *room = n > 0 && n <= SP_JOIN_MAX ? sp_joiner_room(&j, n) : NULL;
        if (room == NULL)
            continue;
        memcpy(room, part.pos, n);
        row.data[row.n] = part.pos;
        row.len[row.n++] = n;
        sp_joiner_add(&j, n, &o, &some);
        if (some)
            check_out(&o, &row);
    }
    if (sp_joiner_end(&j, &o))
        check_out(&o, &row);
    if (row.at != row.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct sp_rd rd = sp_rd_init(data, len);
    struct sp_offload off = offload_of(&rd);
    if (rd.err == SP_OK && sp_rd_left(&rd) <= SP_JOIN_MAX)
        split(rd.pos, sp_rd_left(&rd), &off);
    join(data, len);
    return 0;
}
