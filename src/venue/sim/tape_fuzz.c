/* A tape of any bytes, as csv and as raw messages: what is accepted keeps the promises of market.h, and written as a
 * csv it reads as the same trades. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/decimal.h"
#include "base/test_util.h"
#include "venue/sim/tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "we");

    kt_assert(file != NULL);
    kt_assert(fwrite(data, 1, size, file) == size);
    fclose(file);
}

static void write_csv(const char *path, const kt_sim_tape *tape)
{
    FILE *file = fopen(path, "we");

    kt_assert(file != NULL);
    fputs("recv_ns,trade_id,qty,price,buyer_is_maker,trade_time_ms\n", file);
    for (uint32_t i = 0; i < tape->count; i++) {
        const kt_sim_trade *trade = &tape->trades[i];
        char price[KT_DECIMAL_TEXT_MAX], quantity[KT_DECIMAL_TEXT_MAX];

        kt_decimal_format(price, sizeof price, (kt_decimal){ .m = trade->price, .scale = KT_SIM_SCALE });
        kt_decimal_format_trimmed(
            quantity, sizeof quantity, (kt_decimal){ .m = trade->quantity, .scale = KT_SIM_SCALE });
        fprintf(file, "%lld,%llu,%s,%s,%d,%lld\n", (long long)trade->at_ns, (unsigned long long)trade->number, quantity,
            price, trade->seller_took, (long long)trade->time_ms);
    }
    fclose(file);
}

static void check(const kt_sim_tape *tape, const char *csv_path)
{
    uint64_t number[KT_SIM_TAPE_SYMBOL_MAX] = { 0 };
    int64_t time_ms[KT_SIM_TAPE_SYMBOL_MAX] = { 0 }, at_ns = INT64_MIN;
    kt_sim_tape again = { 0 };

    kt_assert(tape->count > 0);
    for (uint32_t i = 0; i < tape->count; i++) {
        const kt_sim_trade *trade = &tape->trades[i];

        kt_assert(trade->symbol < tape->symbol_count);
        kt_assert(trade->price > 0 && trade->quantity > 0);
        kt_assert(trade->number > number[trade->symbol] || number[trade->symbol] == 0);
        kt_assert(trade->time_ms > 0 && trade->time_ms >= time_ms[trade->symbol]);
        kt_assert(trade->at_ns >= at_ns);
        number[trade->symbol] = trade->number;
        time_ms[trade->symbol] = trade->time_ms;
        at_ns = trade->at_ns;
    }
    for (uint32_t i = 0; i < tape->message_count; i++) {
        kt_text text = kt_sim_tape_text(tape, &tape->messages[i]);

        kt_assert(tape->messages[i].symbol < tape->symbol_count);
        kt_assert(text.n == 0 || memchr(text.s, '\n', text.n) == NULL);
    }
    if (tape->symbol_count != 1)
        return; /* a csv has one symbol */
    write_csv(csv_path, tape);
    kt_assert(kt_sim_tape_read(csv_path, tape->symbols[0], &again, NULL) == KT_OK);
    kt_assert(again.count == tape->count);
    kt_assert(memcmp(again.trades, tape->trades, tape->count * sizeof *tape->trades) == 0);
    kt_sim_tape_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char csv[512], raw[512], copy[512];
    const char *const paths[] = { csv, raw };

    if (csv[0] == '\0') {
        const char *dir = kt_test_dir();

        snprintf(csv, sizeof csv, "%s/trades_btcusdt.csv", dir);
        snprintf(raw, sizeof raw, "%s/ns_raw.txt", dir);
        snprintf(copy, sizeof copy, "%s/copy.csv", dir);
    }
    for (size_t i = 0; i < 2; i++) {
        kt_sim_tape tape = { 0 };

        write_file(paths[i], data, size);
        if (kt_sim_tape_read(paths[i], NULL, &tape, NULL) == KT_OK) {
            check(&tape, copy);
            kt_sim_tape_done(&tape);
        }
    }
    return 0;
}
