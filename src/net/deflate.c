#include "net/deflate.h"

#include "base/assert.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    WINDOW_BITS = 15,
    WINDOW_BITS_MIN = 8,
    LEVEL = 1,        /* JSON loses little by it, and the loop waits for it */
    MEMORY_LEVEL = 6, /* its tables are cleared for each message */
    TAIL_SIZE = 4,    /* 00 00 FF FF behind each message, not sent (RFC 7692 7.2.1) */
    STORED_SIZE = 5,  /* header of a stored block that begins at a byte */
    CHUNK_MIN = 1024, /* room for what comes out of one call of inflate */
};

static const uint8_t tail[TAIL_SIZE] = { 0x00, 0x00, 0xFF, 0xFF };

struct kt_deflater {
    z_stream out, in;
};

/* --- the agreement ---------------------------------------------------------------------------------------------- */

typedef enum param { SERVER_NO_CONTEXT, CLIENT_NO_CONTEXT, SERVER_BITS, CLIENT_BITS, PARAM_COUNT } param;

static const struct {
    const char *name;
    bool has_bits;   /* may have a value: 8 to 15 */
    bool needs_bits; /* must have one */
} params[PARAM_COUNT] = {
    [SERVER_NO_CONTEXT] = { "server_no_context_takeover", false, false },
    [CLIENT_NO_CONTEXT] = { "client_no_context_takeover", false, false },
    [SERVER_BITS] = { "server_max_window_bits", true, true },
    [CLIENT_BITS] = { "client_max_window_bits", true, false },
};

/* One extension of a list: permessage-deflate in well-formed terms, or something else. */
typedef struct terms {
    bool good;
    bool given[PARAM_COUNT];
    uint64_t bits[PARAM_COUNT];
} terms;

static kt_text trim(kt_text text)
{
    while (text.n > 0 && (text.s[0] == ' ' || text.s[0] == '\t'))
        text = (kt_text){ text.s + 1, text.n - 1 };
    while (text.n > 0 && (text.s[text.n - 1] == ' ' || text.s[text.n - 1] == '\t'))
        text.n--;
    return text;
}

static bool param_take(terms *to, kt_text text)
{
    kt_text value = text, name = { 0 };
    bool has_value = kt_text_cut(&value, '=', &name) && value.s != NULL;
    size_t i = 0;

    name = trim(name);
    while (i < PARAM_COUNT && !kt_text_equal(name, kt_text_of(params[i].name)))
        i++;
    if (i == PARAM_COUNT || to->given[i])
        return false;
    to->given[i] = true;
    to->bits[i] = WINDOW_BITS;
    if (!has_value)
        return !params[i].needs_bits;
    value = trim(value);
    if (value.n >= 2 && value.s[0] == '"' && value.s[value.n - 1] == '"')
        value = (kt_text){ value.s + 1, value.n - 2 };
    return params[i].has_bits && value.n > 0 && value.s[0] != '0' && kt_text_u64(value, &to->bits[i]) == KT_OK &&
           to->bits[i] >= WINDOW_BITS_MIN && to->bits[i] <= WINDOW_BITS;
}

static terms terms_of(kt_text extension)
{
    terms read = { 0 };
    kt_text part = { 0 };

    if (!kt_text_cut(&extension, ';', &part) || !kt_text_equal(trim(part), KT_TEXT("permessage-deflate")))
        return read;
    read.good = true;
    while (kt_text_cut(&extension, ';', &part))
        read.good &= param_take(&read, part);
    return read;
}

/* Walk the extensions of all headers of that name; *at and *rest start with zeros. A comma inside quotes, which none of
 * ours has, cuts an extension into two that are not known. */
static bool extension_next(
    const kt_http_field *fields, uint32_t count, uint32_t *at, kt_text *rest, kt_text *out_extension)
{
    while (!kt_text_cut(rest, ',', out_extension)) {
        while (*at < count && !kt_http_text_equal_nocase(fields[*at].name, KT_TEXT("Sec-WebSocket-Extensions")))
            ++*at;
        if (*at == count)
            return false;
        *rest = fields[(*at)++].value;
    }
    return true;
}

const char *kt_deflate_answer(const kt_http_field *fields, uint32_t count)
{
    kt_text rest = { 0 }, extension = { 0 };
    uint32_t at = 0;

    while (extension_next(fields, count, &at, &rest, &extension)) {
        terms offered = terms_of(extension);
        if (!offered.good || (offered.given[SERVER_BITS] && offered.bits[SERVER_BITS] < WINDOW_BITS))
            continue;
        /* A limit that was asked for has to be repeated (RFC 7692 7.1.2.1). */
        return offered.given[SERVER_BITS] ? KT_DEFLATE_OFFER "; server_max_window_bits=15" : KT_DEFLATE_OFFER;
    }
    return NULL;
}

kt_code kt_deflate_agreed(const kt_http_field *fields, uint32_t count)
{
    kt_text rest = { 0 }, extension = { 0 };
    uint32_t at = 0;

    if (!extension_next(fields, count, &at, &rest, &extension))
        return KT_EMPTY;
    terms answered = terms_of(extension);
    /* client_max_window_bits may be answered only when it was offered (RFC 7692 7.1.2.2). */
    if (!answered.good || !answered.given[SERVER_NO_CONTEXT] || answered.given[CLIENT_BITS])
        return KT_SYNTAX;
    return extension_next(fields, count, &at, &rest, &extension) ? KT_SYNTAX : KT_OK;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

kt_code kt_deflater_new(kt_deflater **out_deflater, kt_err *err)
{
    kt_deflater *deflater = calloc(1, sizeof *deflater);

    if (deflater == NULL ||
        deflateInit2(&deflater->out, LEVEL, Z_DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK ||
        inflateInit2(&deflater->in, -WINDOW_BITS) != Z_OK) {
        kt_deflater_free(deflater);
        return kt_fail(err, KT_SYS, "no memory for compression");
    }
    *out_deflater = deflater;
    return KT_OK;
}

void kt_deflater_free(kt_deflater *deflater)
{
    if (deflater == NULL)
        return;
    deflateEnd(&deflater->out);
    inflateEnd(&deflater->in);
    free(deflater);
}

/* --- compressing ------------------------------------------------------------------------------------------------ */

size_t kt_deflate(kt_deflater *deflater, const void *data, size_t size, uint8_t *to, size_t to_size)
{
    z_stream *out = &deflater->out;

    kt_assert(size <= UINT32_MAX - TAIL_SIZE && to_size <= UINT32_MAX);
    if (size == 0 || to_size <= TAIL_SIZE)
        return 0;
    deflateReset(out);
    out->next_in = (Bytef *)data;
    out->avail_in = (uInt)size;
    out->next_out = to;
    out->avail_out = (uInt)to_size;
    /* A byte left over says that zlib was not stopped by the end of the room. */
    if (deflate(out, Z_SYNC_FLUSH) != Z_OK || out->avail_out == 0)
        return 0;
    size_t made = to_size - out->avail_out;
    kt_assert(out->avail_in == 0);
    kt_assert(memcmp(to + made - TAIL_SIZE, tail, TAIL_SIZE) == 0);
    return made - TAIL_SIZE;
}

size_t kt_deflate_frame(kt_deflater *deflater, kt_ws_opcode opcode, const uint8_t *payload, size_t size,
    size_t private_size, uint8_t *to, size_t to_size, size_t *out_private_at)
{
    size_t ahead = KT_WS_HEADER_MAX + STORED_SIZE + private_size;
    uint8_t header[KT_WS_HEADER_MAX];

    kt_assert(private_size <= size && private_size <= KT_DEFLATE_PRIVATE_MAX);
    if (to_size <= ahead)
        return 0;
    size_t rest = kt_deflate(deflater, payload + private_size, size - private_size, to + ahead, to_size - ahead);
    size_t body = STORED_SIZE + private_size + rest;
    if (rest == 0 || body >= size)
        return 0;
    size_t header_size = kt_ws_header(header, opcode, true, body, NULL);
    header[0] |= KT_WS_COMPRESSED;
    memcpy(to, header, header_size);
    uint8_t *stored = to + header_size;
    stored[0] = 0; /* not the last, stored; the rest of the byte is padding */
    stored[1] = (uint8_t)private_size;
    stored[2] = (uint8_t)(private_size >> 8);
    stored[3] = (uint8_t)~stored[1];
    stored[4] = (uint8_t)~stored[2];
    memcpy(stored + STORED_SIZE, payload, private_size);
    memmove(stored + STORED_SIZE + private_size, to + ahead, rest);
    *out_private_at = header_size + STORED_SIZE;
    return header_size + body;
}

/* --- inflating -------------------------------------------------------------------------------------------------- */

/* Take all of one piece of input. */
static kt_code inflate_piece(
    z_stream *in, const uint8_t *data, size_t size, kt_queue *to, kt_pool *pool, size_t size_max)
{
    uint8_t beyond; /* where the first byte too many goes */
    int result = Z_OK;

    in->next_in = (Bytef *)data;
    in->avail_in = (uInt)size;
    do {
        size_t have = kt_queue_size(to);
        size_t room = have < CHUNK_MIN ? CHUNK_MIN : have;
        room = room < size_max - have ? room : size_max - have;
        uint8_t *at = room > 0 ? kt_queue_extend(to, pool, room, size_max) : &beyond;
        if (at == NULL)
            return KT_FULL;
        in->next_out = at;
        in->avail_out = room > 0 ? (uInt)room : 1;
        result = inflate(in, Z_SYNC_FLUSH);
        if (room == 0 && in->avail_out == 0)
            return KT_LIMIT;
        if (room > 0)
            kt_queue_trim(to, pool, in->avail_out);
        if (result == Z_STREAM_END)
            inflateReset(in); /* a block may say that it is the last, and others follow all the same (7.2.3.4) */
        else if (result != Z_OK && result != Z_BUF_ERROR)
            return KT_CORRUPT;
    } while (in->avail_in > 0 || in->avail_out == 0);
    return KT_OK;
}

kt_code kt_inflate(
    kt_deflater *deflater, const uint8_t *data, size_t size, kt_queue *to, kt_pool *pool, size_t size_max)
{
    z_stream *in = &deflater->in;

    kt_assert(size <= UINT32_MAX && size_max <= UINT32_MAX);
    inflateReset(in);
    kt_code code = inflate_piece(in, data, size, to, pool, size_max);
    if (code == KT_OK)
        code = inflate_piece(in, tail, TAIL_SIZE, to, pool, size_max);
    /* Between two blocks, all bits used: see inflate() in zlib.h on data_type. */
    if (code == KT_OK && in->data_type != 128)
        code = KT_CORRUPT;
    return code;
}
