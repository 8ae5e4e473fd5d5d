/* Property: whatever the operations, the sliding sums equal those of the naive list. Input: 12 bytes an operation. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "quant/naive.h"
#include "quant/vwap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPERATION_SIZE = 12, OPERATION_MAX = 2000, CELL_MAX = 64 };

typedef struct operation {
    uint8_t what;
    uint8_t span; /* of the window that is asked, or which trade goes */
    uint16_t qty;
    uint32_t price;
    uint32_t time_ms; /* only the lower 18 bits: about four minutes, so that cells are shared and fill up */
} operation;

_Static_assert(sizeof(operation) == OPERATION_SIZE, "layout of the corpus");

static void step(kt_vwap *vwap, const uint32_t *windows, kt_naive *naive, int64_t *kept, const operation *op)
{
    static const int64_t spans[] = { 1, 5, 30 };
    int64_t time = (int64_t)(op->time_ms & 0x3ffff) * KT_NS_PER_MS;
    int64_t mark = time / KT_NS_PER_S;
    uint32_t which = op->span % 3;
    kt_vwap_sums ours, theirs;
    kt_code code;

    switch (op->what % 4) {
    case 0:
        code = kt_vwap_push(vwap, time, (kt_price){ op->price }, (kt_qty){ op->qty });
        kt_assert((code == KT_ARG) == (op->price == 0 || op->qty == 0));
        kt_assert(code == KT_ARG || (code == KT_SEQ) == (time < *kept * KT_NS_PER_S));
        if (code == KT_OK)
            kt_naive_push(naive, time, op->price, op->qty);
        else
            kt_assert(code == KT_ARG || code == KT_SEQ || code == KT_FULL);
        break;
    case 1:
        if (naive->count > 0) {
            size_t index = op->span % naive->count;
            kt_naive_trade t = naive->trades[index];

            kt_assert(kt_vwap_remove(vwap, t.time_ns, (kt_price){ t.price }, (kt_qty){ t.qty }) == KT_OK);
            kt_naive_drop(naive, index);
        }
        break;
    case 2:
        code = kt_vwap_at(vwap, windows[which], mark, &ours);
        kt_assert((code == KT_SEQ) == (*kept > 0 && mark - spans[which] < *kept));
        if (code == KT_OK) {
            theirs = kt_naive_at(naive, spans[which], mark);
            kt_assert(kt_sums_equal(&ours, &theirs));
        }
        break;
    default:
        if (op->span > 250 && mark > *kept) {
            *kept = mark;
            kt_vwap_forget(vwap, mark);
            for (size_t i = naive->count; i-- > 0;)
                if (naive->trades[i].time_ns < mark * KT_NS_PER_S)
                    kt_naive_drop(naive, i);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_naive naive = { 0 };
    kt_blocks *blocks = kt_blocks_new();
    kt_vwap *vwap;
    uint32_t windows[3];
    int64_t kept = 0;

    kt_assert(blocks != NULL);
    kt_assert(kt_vwap_new(blocks, CELL_MAX, 3, &vwap) == KT_OK);
    kt_assert(kt_vwap_window(vwap, 1, &windows[0]) == KT_OK);
    kt_assert(kt_vwap_window(vwap, 5, &windows[1]) == KT_OK);
    kt_assert(kt_vwap_window(vwap, 30, &windows[2]) == KT_OK);
    for (size_t i = 0; i < size / OPERATION_SIZE && i < OPERATION_MAX; i++) {
        operation op;

        memcpy(&op, data + i * OPERATION_SIZE, sizeof op);
        step(vwap, windows, &naive, &kept, &op);
    }
    kt_vwap_free(vwap);
    kt_blocks_free(blocks);
    kt_naive_free(&naive);
    return 0;
}
