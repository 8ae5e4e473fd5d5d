/* lane/bytes.h - the bytes of snapshots: a writer that grows, and a taker that checks.
 *
 * Little endian, no alignment. The writer remembers its first failure, the taker too: put or take everything, look at the
 * code once at the end. A taker never reads outside its bytes and gives zeros after a failure.
 */
#ifndef KT_LANE_BYTES_H
#define KT_LANE_BYTES_H

#include "base/decimal.h"
#include "base/error.h"
#include "base/types.h"

#define KT_WRITER_MAX ((size_t)256 << 20) /* bytes of one snapshot */

typedef struct kt_writer {
    uint8_t *bytes; /* heap, kt_writer_done() frees */
    size_t size;
    size_t capacity;
    kt_code code; /* KT_OK; KT_SYS: no memory; KT_LIMIT: beyond KT_WRITER_MAX */
} kt_writer;

void kt_writer_init(kt_writer *writer);
void kt_writer_done(kt_writer *writer);
void kt_writer_put(kt_writer *writer, const void *bytes, size_t size);
void kt_writer_u8(kt_writer *writer, uint8_t value);
void kt_writer_u32(kt_writer *writer, uint32_t value);
void kt_writer_u64(kt_writer *writer, uint64_t value);
void kt_writer_i64(kt_writer *writer, int64_t value);
void kt_writer_i128(kt_writer *writer, kt_i128 value);
void kt_writer_decimal(kt_writer *writer, kt_decimal value);
void kt_writer_text(kt_writer *writer, kt_text text); /* its size in 4 bytes, then its bytes */

/* What is put between these two reads as one text. `begun`: what begin answered. */
size_t kt_writer_begin(kt_writer *writer);
void kt_writer_end(kt_writer *writer, size_t begun);

typedef struct kt_taker {
    const uint8_t *bytes;
    size_t left;
    kt_code code; /* KT_OK or KT_CORRUPT */
} kt_taker;

void kt_taker_init(kt_taker *taker, const void *bytes, size_t size);
void kt_taker_get(kt_taker *taker, void *out, size_t size);
uint8_t kt_taker_u8(kt_taker *taker);
uint32_t kt_taker_u32(kt_taker *taker);
uint64_t kt_taker_u64(kt_taker *taker);
int64_t kt_taker_i64(kt_taker *taker);
kt_i128 kt_taker_i128(kt_taker *taker);
kt_decimal kt_taker_decimal(kt_taker *taker);
kt_text kt_taker_text(kt_taker *taker); /* borrowed from the bytes */

/* A count of items of at least `item_size` bytes each: KT_CORRUPT and 0 when they can not be there, so that a damaged count
 * never makes a loop or an allocation large. */
uint32_t kt_taker_count(kt_taker *taker, size_t item_size);

/* KT_CORRUPT also when something is left over. */
kt_code kt_taker_end(const kt_taker *taker);

#endif
