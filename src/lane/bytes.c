#include "lane/bytes.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "snapshots are little endian, like logs");

void kt_writer_init(kt_writer *writer)
{
    *writer = (kt_writer){ .code = KT_OK };
}

void kt_writer_done(kt_writer *writer)
{
    free(writer->bytes);
    kt_writer_init(writer);
}

static bool grow(kt_writer *writer, size_t more)
{
    size_t capacity = writer->capacity != 0 ? writer->capacity : 4096;

    if (more > KT_WRITER_MAX - writer->size) {
        writer->code = KT_LIMIT;
        return false;
    }
    while (capacity < writer->size + more)
        capacity *= 2;
    uint8_t *bytes = realloc(writer->bytes, capacity);
    if (bytes == NULL) {
        writer->code = KT_SYS;
        return false;
    }
    writer->bytes = bytes;
    writer->capacity = capacity;
    return true;
}

/* Inlined, so that a number is one store: a snapshot has millions of them. */
static inline void put(kt_writer *writer, const void *bytes, size_t size)
{
    if (writer->code != KT_OK || size == 0 || (size > writer->capacity - writer->size && !grow(writer, size)))
        return;
    memcpy(writer->bytes + writer->size, bytes, size);
    writer->size += size;
}

void kt_writer_put(kt_writer *writer, const void *bytes, size_t size)
{
    put(writer, bytes, size);
}

void kt_writer_u8(kt_writer *writer, uint8_t value)
{
    put(writer, &value, sizeof value);
}

void kt_writer_u32(kt_writer *writer, uint32_t value)
{
    put(writer, &value, sizeof value);
}

void kt_writer_u64(kt_writer *writer, uint64_t value)
{
    put(writer, &value, sizeof value);
}

void kt_writer_i64(kt_writer *writer, int64_t value)
{
    put(writer, &value, sizeof value);
}

void kt_writer_i128(kt_writer *writer, kt_i128 value)
{
    put(writer, &value, sizeof value);
}

void kt_writer_decimal(kt_writer *writer, kt_decimal value)
{
    kt_writer_i64(writer, value.m);
    kt_writer_u8(writer, value.scale);
}

void kt_writer_text(kt_writer *writer, kt_text text)
{
    if (text.n > UINT32_MAX) {
        writer->code = KT_LIMIT;
        return;
    }
    kt_writer_u32(writer, (uint32_t)text.n);
    put(writer, text.s, text.n);
}

size_t kt_writer_begin(kt_writer *writer)
{
    kt_writer_u32(writer, 0);
    return writer->size;
}

void kt_writer_end(kt_writer *writer, size_t begun)
{
    uint32_t size = (uint32_t)(writer->size - begun);

    if (writer->code == KT_OK)
        memcpy(writer->bytes + begun - sizeof size, &size, sizeof size);
}

void kt_taker_init(kt_taker *taker, const void *bytes, size_t size)
{
    *taker = (kt_taker){ .bytes = bytes, .left = size, .code = KT_OK };
}

static const uint8_t *take(kt_taker *taker, size_t size)
{
    const uint8_t *bytes = taker->bytes;

    if (taker->code != KT_OK || size > taker->left) {
        taker->code = KT_CORRUPT;
        return NULL;
    }
    taker->bytes += size;
    taker->left -= size;
    return bytes;
}

void kt_taker_get(kt_taker *taker, void *out, size_t size)
{
    const uint8_t *bytes = take(taker, size);

    if (size == 0)
        return;
    if (bytes != NULL)
        memcpy(out, bytes, size);
    else
        memset(out, 0, size);
}

uint8_t kt_taker_u8(kt_taker *taker)
{
    uint8_t value;

    kt_taker_get(taker, &value, sizeof value);
    return value;
}

uint32_t kt_taker_u32(kt_taker *taker)
{
    uint32_t value;

    kt_taker_get(taker, &value, sizeof value);
    return value;
}

uint64_t kt_taker_u64(kt_taker *taker)
{
    uint64_t value;

    kt_taker_get(taker, &value, sizeof value);
    return value;
}

int64_t kt_taker_i64(kt_taker *taker)
{
    int64_t value;

    kt_taker_get(taker, &value, sizeof value);
    return value;
}

kt_i128 kt_taker_i128(kt_taker *taker)
{
    kt_i128 value;

    kt_taker_get(taker, &value, sizeof value);
    return value;
}

kt_decimal kt_taker_decimal(kt_taker *taker)
{
    kt_decimal value = { .m = kt_taker_i64(taker) };

    value.scale = kt_taker_u8(taker);
    return value;
}

kt_text kt_taker_text(kt_taker *taker)
{
    uint32_t size = kt_taker_u32(taker);
    const uint8_t *bytes = take(taker, size);

    return bytes != NULL ? (kt_text){ (const char *)bytes, size } : (kt_text){ NULL, 0 };
}

uint32_t kt_taker_count(kt_taker *taker, size_t item_size)
{
    uint32_t count = kt_taker_u32(taker);

    if (taker->code == KT_OK && (uint64_t)count * item_size <= taker->left)
        return count;
    taker->code = KT_CORRUPT;
    return 0;
}

kt_code kt_taker_end(const kt_taker *taker)
{
    return taker->code == KT_OK && taker->left == 0 ? KT_OK : KT_CORRUPT;
}
