#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/rng.h"
#include "base/test_util.h"
#include "base/time.h"
#include "log/log.h"
#include "log/reader.h"
#include "service/record_feed.h"
#include "store/rebuild.h"
#include "store/recorder.h"
#include "store/store.h"

#define S KT_NS_PER_S

/* A data folder with a log market that the test writes and a lane keep that hosts only the feed, turn by turn. */
typedef struct test_house {
    char data[512];
    kt_config *config;
    kt_log *market;
    kt_lane *keep;
    kt_rng rng;
    /* Monotonic, moved by each look at it, so that waiting for the next batch takes no time; desks look, too. */
    _Atomic int64_t clock;
    _Atomic uint32_t step_ms;
    uint64_t hold_bytes; /* of the market's log */
} test_house;

static int64_t clock_of(void *ctx)
{
    test_house *house = ctx;
    int64_t step_ns = house->step_ms * KT_NS_PER_MS;

    return atomic_fetch_add(&house->clock, step_ns) + step_ns;
}

static void must(kt_code code, const kt_err *err, int line)
{
    if (code != KT_OK)
        fail_msg("line %d: %s: %s", line, kt_code_name(code), err->msg);
}

static kt_err last;
#define MUST(call) must((call), &last, __LINE__)

static void open_market_after(test_house *house, uint64_t retention_bytes, uint8_t boot)
{
    kt_log_options options;
    char dir[600];

    snprintf(dir, sizeof dir, "%s/market", house->data);
    kt_log_options_init(&options, dir);
    options.segment_size = KT_SEGMENT_SIZE_MIN;
    options.sync = KT_SYNC_INLINE;
    options.retention_bytes = retention_bytes;
    options.hold_bytes = house->hold_bytes;
    options.boot_id[0] = boot; /* 0: the kernel's own */
    MUST(kt_log_open(&options, &house->market, &last));
}

static void open_market(test_house *house, uint64_t retention_bytes)
{
    open_market_after(house, retention_bytes, 0);
}

static kt_code try_keep(test_house *house, bool *out_park, kt_err *err)
{
    static const kt_service_spec *const services[] = { NULL };
    static const kt_feed_spec *const feeds[] = { &kt_record_feed, NULL };
    kt_lane_options options = { .name = "keep",
        .data_dir = house->data,
        .services = services,
        .feeds = feeds,
        .config = house->config,
        .version = "test",
        .segment_size = 1 << 20,
        .inline_sync = true,
        .mono_ns = clock_of,
        .clock_ctx = house };

    return kt_lane_open(&options, &house->keep, out_park, err);
}

static void open_keep(test_house *house)
{
    bool park;

    MUST(try_keep(house, &park, &last));
}

static void close_keep(test_house *house, bool clean)
{
    kt_lane_close(house->keep, clean);
    house->keep = NULL;
}

static void open_house(test_house *house, uint64_t seed)
{
    char yaml[1024];

    memset(house, 0, sizeof *house);
    house->step_ms = 100;
    house->hold_bytes = UINT64_C(1) << 30;
    kt_rng_init(&house->rng, seed);
    snprintf(house->data, sizeof house->data, "%s", kt_test_dir());
    snprintf(yaml, sizeof yaml,
        "data: %s\nvwap: {windows: [1m], interval_ms: 60000, composites: [{ticker: ALL, members: [{venue: market, symbol: BTC}]}]}\n"
        "venues: [{name: market, format: generic, ws_url: 'ws://h/s'}]\n",
        house->data);
    MUST(kt_config_parse("test", yaml, strlen(yaml), &house->config, &last));
}

static void close_house(test_house *house)
{
    kt_lane_close(house->keep, true);
    kt_log_close(house->market, NULL);
    kt_config_free(house->config);
}

/* ---- what the market lane would write ---- */

static void write_event(test_house *house, uint16_t kind, const char *subject, const void *event)
{
    static uint8_t payload[4096];
    kt_rec_head head = { .kind = kind, .flags = KT_REC_OUTPUT, .time_ns = 1 };
    uint32_t size = 0;

    MUST(kt_event_encode(kind, event, payload, sizeof payload, &size));
    MUST(kt_log_subject(house->market, kt_text_of(subject), 0, &head.subject, &last));
    MUST(kt_log_append(house->market, &head, payload, size, NULL));
}

static void write_trade(test_house *house, const char *symbol, uint64_t id, int64_t price, bool validated)
{
    char subject[64];
    char text[24];
    kt_ev_trade trade;

    snprintf(subject, sizeof subject, "trades.market.%s", symbol);
    snprintf(text, sizeof text, "%llu", (unsigned long long)id);
    kt_event_init(KT_EV_TRADE, &trade);
    trade.venue_time = trade.receive_time = (int64_t)id * KT_NS_PER_MS;
    trade.price = (kt_decimal){ .m = price, .scale = 2 };
    trade.quantity = (kt_decimal){ .m = 1 + (int64_t)id % 7, .scale = 3 };
    trade.trade_id = kt_text_of(text);
    trade.trade_number = id;
    trade.validated = validated;
    trade.revision = 1;
    write_event(house, KT_EV_TRADE, subject, &trade);
}

static void write_vwap(test_house *house, const char *subject, int64_t mark_s, int64_t price, bool validated)
{
    kt_ev_vwap vwap;

    kt_event_init(KT_EV_VWAP, &vwap);
    vwap.mark = mark_s * S;
    vwap.window = 60 * S;
    vwap.price = (kt_decimal){ .m = price, .scale = 4 };
    vwap.sum_pq = kt_sum_of(price * 3, 4);
    vwap.sum_q = kt_sum_of(3, 0);
    vwap.trades = 3;
    vwap.validated = validated;
    vwap.complete = true;
    write_event(house, KT_EV_VWAP, subject, &vwap);
}

static void write_correction(test_house *house, int64_t from_s, int64_t to_s)
{
    kt_ev_correction correction;

    kt_event_init(KT_EV_CORRECTION, &correction);
    correction.mark_from = from_s * S;
    correction.mark_to = to_s * S;
    correction.window = 60 * S;
    correction.delta_pq = kt_sum_of(10001, 4);
    correction.delta_q = kt_sum_of(1, 1);
    correction.delta_trades = 1;
    correction.price_scale = 4;
    correction.cause = KT_CAUSE_CHANGED;
    write_event(house, KT_EV_CORRECTION, "correction.1m.market.BTC", &correction);
}

/* A stretch of a market's life: provisional and validated trades and values, repeats, corrections, and other kinds. */
static void write_some(test_house *house, uint32_t count)
{
    static const char *const symbols[] = { "BTC", "ETH/USD%2EX" };
    kt_ev_watermark watermark;
    kt_ev_link link;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = 1 + kt_rng_below(&house->rng, 500);
        int64_t mark = 100 + (int64_t)kt_rng_below(&house->rng, 50);
        int64_t price = 1000 + (int64_t)kt_rng_below(&house->rng, 1000);
        bool validated = kt_rng_chance(&house->rng, 0.4);

        switch (kt_rng_below(&house->rng, 8)) {
        case 0:
            write_vwap(house, "vwap.1m.market.BTC", mark, price, validated);
            break;
        case 1:
            write_vwap(house, "vwap.1m.ALL", mark, price, validated);
            break;
        case 2:
            write_correction(house, mark, mark + (int64_t)kt_rng_below(&house->rng, 5));
            break;
        case 3:
            kt_event_init(KT_EV_WATERMARK, &watermark);
            watermark.validated_until = (int64_t)id * S;
            write_event(house, KT_EV_WATERMARK, "watermark.market.BTC", &watermark);
            break;
        case 4:
            kt_event_init(KT_EV_LINK, &link);
            write_event(house, KT_EV_LINK, "feed.market.link", &link);
            break;
        default:
            write_trade(house, symbols[id % 2], id, price, validated);
        }
    }
}

/* ---- what stands in the store ---- */

static char *dump(const test_house *house)
{
    kt_store *store = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    MUST(kt_store_open_read(house->config->store_file, &store, &last));
    MUST(kt_store_dump(store, out, &last));
    kt_store_close(store);
    fclose(out);
    return text;
}

static uint64_t cursor_of(const test_house *house)
{
    kt_store *store = NULL;
    kt_store_cursor cursor = { 0 };

    MUST(kt_store_open_read(house->config->store_file, &store, &last));
    kt_store_cursor_of(store, "market", &cursor, NULL);
    kt_store_close(store);
    return cursor.seq;
}

static void turn(test_house *house)
{
    MUST(kt_lane_turn(house->keep, 0, &last));
}

/* Turn until everything durable is in the store. */
static void catch_up(test_house *house)
{
    uint64_t durable = kt_log_durable(house->market);

    for (uint32_t i = 0; i < 1000 && cursor_of(house) < durable; i++)
        turn(house);
    assert_int_equal(cursor_of(house), durable);
}

/* The same events applied by one process that never dies. */
static char *expected_dump(const test_house *house)
{
    MUST(kt_rebuild_store(house->config, NULL, NULL, &last));
    return dump(house);
}

static uint32_t count_events(const test_house *house, const char *log, uint16_t kind, char *text, size_t size)
{
    kt_reader *reader = NULL;
    const kt_rec *rec;
    kt_event_any any;
    uint32_t count = 0;
    char dir[600];

    snprintf(dir, sizeof dir, "%s/%s", house->data, log);
    MUST(kt_reader_open(dir, NULL, &reader, &last));
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK) {
        if (rec->kind != kind || (rec->flags & KT_REC_CONTROL) != 0)
            continue;
        count++;
        MUST(kt_event_decode(kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &any));
        if (kind == KT_EV_ALERT && count == 1)
            snprintf(text, size, "%.*s", KT_TEXT_ARG(any.alert.text));
    }
    kt_reader_close(reader);
    return count;
}

static void write_damaged(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs("no database at all, and long enough to have a head", file);
    fclose(file);
}

/* ---- tests ---- */

static void test_store_never_passes_durable(void **state)
{
    test_house house;

    open_house(&house, 1);
    open_market(&house, 0);
    open_keep(&house);
    write_some(&house, 100);
    for (uint32_t i = 0; i < 20; i++)
        turn(&house);
    assert_true(cursor_of(&house) <= kt_log_durable(house.market));
    assert_true(kt_log_durable(house.market) < kt_log_written(house.market));
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    assert_int_equal(cursor_of(&house), kt_log_written(house.market));
    close_house(&house);
}

static void test_log_may_come_later_than_the_lane(void **state)
{
    test_house house;

    open_house(&house, 1);
    open_keep(&house);
    turn(&house);
    open_market(&house, 0);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    close_house(&house);
}

/* A lane that turns a few times and then dies without a word: _exit, as kill -9. */
static void run_and_die(test_house *house, uint32_t turns)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        bool park;

        kt_log_disown(house->market);
        if (try_keep(house, &park, &last) != KT_OK)
            _exit(1);
        for (uint32_t i = 0; i < turns; i++)
            if (kt_lane_turn(house->keep, 0, &last) != KT_OK)
                _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_killed_at_any_moment_each_event_counts_once(void **state)
{
    uint32_t rounds = kt_test_cases(60);
    test_house house;
    char *killed;
    char *whole;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    house.step_ms = 20; /* so that some turns wait for the next batch */
    for (uint32_t i = 0; i < rounds; i++) {
        write_some(&house, 1 + (uint32_t)kt_rng_below(&house.rng, 300));
        MUST(kt_log_sync(house.market, &last));
        run_and_die(&house, (uint32_t)kt_rng_below(&house.rng, 12));
    }
    open_keep(&house);
    catch_up(&house);
    close_keep(&house, true);
    killed = dump(&house);
    whole = expected_dump(&house);
    assert_string_equal(killed, whole);
    free(killed);
    free(whole);
    close_house(&house);
}

static void progress(void *ctx, const char *log, uint64_t done, uint64_t all)
{
    uint64_t *seen = ctx;

    assert_string_equal(log, "market");
    assert_true(done >= seen[0] && done <= all);
    seen[0] = done;
    seen[1] = all;
}

static void test_rebuild_gives_the_same_bytes(void **state)
{
    static const char *const stores[] = { "as it was", "removed", "damaged" };
    uint64_t seen[2] = { 0 };
    test_house house;
    char *before;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    for (uint32_t i = 0; i < 20; i++) {
        write_some(&house, 500);
        MUST(kt_log_sync(house.market, &last));
        turn(&house);
    }
    catch_up(&house);
    assert_int_equal(kt_rebuild_store(house.config, NULL, NULL, &last), KT_BUSY);
    assert_non_null(strstr(last.msg, "stop kontor first"));
    close_keep(&house, true);
    before = dump(&house);
    assert_true(strlen(before) > 10000);
    for (uint32_t i = 0; i < KT_COUNT(stores); i++) {
        char *after;

        if (i == 1)
            unlink(house.config->store_file);
        if (i == 2)
            write_damaged(house.config->store_file);
        seen[0] = 0;
        MUST(kt_rebuild_store(house.config, progress, seen, &last));
        assert_true(seen[0] == seen[1] && seen[1] == kt_log_durable(house.market));
        after = dump(&house);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);

    /* and lane keep goes on from there */
    open_keep(&house);
    write_some(&house, 100);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    close_house(&house);
}

/* What came after the old store's place is left to lane keep, so that before and after can be compared at any time. */
static void test_rebuild_comes_as_far_as_the_old_store(void **state)
{
    test_house house;
    uint64_t place;
    char *before;
    char *after;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    write_some(&house, 1000);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    close_keep(&house, true);
    place = cursor_of(&house);
    write_some(&house, 1000);
    MUST(kt_log_sync(house.market, &last));
    before = dump(&house);
    MUST(kt_rebuild_store(house.config, NULL, NULL, &last));
    after = dump(&house);
    assert_string_equal(before, after);
    assert_int_equal(cursor_of(&house), place);
    free(before);
    free(after);
    open_keep(&house);
    catch_up(&house);
    close_house(&house);
}

/* A lane that is told to stop does not leave the last batch for the next start. */
static void test_stop_keeps_what_is_durable(void **state)
{
    test_house house;

    open_house(&house, kt_test_seed());
    house.step_ms = 0; /* the time for a second batch never comes */
    open_market(&house, 0);
    open_keep(&house);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    turn(&house);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    turn(&house);
    assert_true(cursor_of(&house) < kt_log_durable(house.market));
    close_keep(&house, true);
    assert_int_equal(cursor_of(&house), kt_log_durable(house.market));
    close_house(&house);
}

/* Nor does it go on for as long as there is something to catch up with. */
static void test_stop_while_catching_up_takes_one_batch(void **state)
{
    test_house house;
    uint64_t before;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    write_some(&house, 4 * KT_RECORDER_BATCH_MAX);
    MUST(kt_log_sync(house.market, &last));
    turn(&house);
    before = cursor_of(&house);
    close_keep(&house, true);
    assert_true(cursor_of(&house) - before <= KT_RECORDER_BATCH_MAX);
    assert_true(cursor_of(&house) < kt_log_durable(house.market));
    open_keep(&house);
    catch_up(&house);
    assert_int_equal(cursor_of(&house), kt_log_durable(house.market));
    close_house(&house);
}

/* A correction far back changes a row for each second of a window: batches of them are short, by rows. */
static void test_a_batch_ends_where_it_has_changed_enough_rows(void **state)
{
    enum { RANGE = 3600, COUNT = 20 };
    test_house house;
    uint32_t batches = 0;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    for (int i = 0; i < COUNT; i++)
        write_correction(&house, 1000, 1000 + RANGE - 1);
    MUST(kt_log_sync(house.market, &last));
    while (cursor_of(&house) < kt_log_durable(house.market)) {
        uint64_t before = cursor_of(&house);

        turn(&house);
        batches += cursor_of(&house) > before;
        assert_true((cursor_of(&house) - before) * RANGE < KT_RECORDER_ROWS_MAX + 2 * RANGE);
    }
    assert_true(batches >= COUNT * RANGE / (KT_RECORDER_ROWS_MAX + RANGE));
    close_keep(&house, true);
    close_house(&house);
}

static void test_rebuild_keeps_what_the_log_does_not_hold_any_more(void **state)
{
    test_house house;
    kt_reader *reader = NULL;
    char dir[600];
    char *before;
    char *after;

    open_house(&house, kt_test_seed());
    open_market(&house, 4 * KT_SEGMENT_SIZE_MIN);
    open_keep(&house);
    for (uint32_t i = 0; i < 20; i++) {
        write_some(&house, 400);
        MUST(kt_log_sync(house.market, &last));
        catch_up(&house);
        kt_log_retain(house.market);
    }
    close_keep(&house, true);
    snprintf(dir, sizeof dir, "%s/market", house.data);
    MUST(kt_reader_open(dir, NULL, &reader, &last));
    assert_true(kt_reader_first(reader) > 1);
    kt_reader_close(reader);
    before = dump(&house);
    MUST(kt_rebuild_store(house.config, NULL, NULL, &last));
    after = dump(&house);
    assert_string_equal(before, after);
    free(before);
    free(after);

    /* damaged, it is not thrown away unasked; moved away, the new one begins where the log does */
    write_damaged(house.config->store_file);
    assert_int_equal(kt_rebuild_store(house.config, NULL, NULL, &last), KT_CORRUPT);
    assert_non_null(strstr(last.msg, "so the old store is needed for what was in them"));
    unlink(house.config->store_file);
    MUST(kt_rebuild_store(house.config, NULL, NULL, &last));
    after = dump(&house);
    assert_true(strlen(after) > 1000);
    free(after);
    close_house(&house);
}

static void test_retention_waits_for_the_store(void **state)
{
    test_house house;

    open_house(&house, kt_test_seed());
    open_market(&house, 2 * KT_SEGMENT_SIZE_MIN);
    open_keep(&house);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    close_keep(&house, true); /* the lane is away, its cursor stays registered */
    for (uint32_t i = 0; i < 10; i++) {
        write_some(&house, 400);
        MUST(kt_log_sync(house.market, &last));
        kt_log_retain(house.market);
    }
    open_keep(&house);
    catch_up(&house);
    assert_int_equal(count_events(&house, "keep", KT_EV_LOST, NULL, 0), 0);
    close_house(&house);
}

/* The lane is away longer than the log may wait for it: what is gone is told once, by range, and it goes on behind. */
static void test_what_retention_took_from_the_store_is_told(void **state)
{
    test_house house;
    kt_reader *reader = NULL;
    const kt_rec *rec;
    kt_ev_lost lost = { 0 };
    uint64_t kept, first;
    char dir[600];

    open_house(&house, kt_test_seed());
    house.hold_bytes = KT_SEGMENT_SIZE_MIN;
    open_market(&house, 2 * KT_SEGMENT_SIZE_MIN);
    open_keep(&house);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    kept = cursor_of(&house);
    close_keep(&house, true);
    for (uint32_t i = 0; i < 20; i++) {
        write_some(&house, 400);
        MUST(kt_log_sync(house.market, &last));
        kt_log_retain(house.market);
    }
    snprintf(dir, sizeof dir, "%s/market", house.data);
    MUST(kt_reader_open(dir, NULL, &reader, &last));
    first = kt_reader_first(reader);
    kt_reader_close(reader);
    assert_true(first > kept + 1);

    open_keep(&house);
    catch_up(&house);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    close_keep(&house, true);
    assert_int_equal(count_events(&house, "keep", KT_EV_LOST, NULL, 0), 1);
    snprintf(dir, sizeof dir, "%s/keep", house.data);
    MUST(kt_reader_open(dir, NULL, &reader, &last));
    MUST(kt_reader_seek(reader, 0, 1, NULL, &last));
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK)
        if (rec->kind == KT_EV_LOST)
            MUST(kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &lost));
    assert_true(kt_text_equal(lost.log, KT_TEXT("market")));
    assert_int_equal(lost.from_seq, kept + 1);
    assert_int_equal(lost.to_seq, first - 1);
    kt_reader_close(reader);
    close_house(&house);
}

static void test_busy_store_is_told_and_tried_again(void **state)
{
    test_house house;
    sqlite3 *other = NULL;
    char text[512] = "";
    uint64_t before;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    before = cursor_of(&house);
    assert_int_equal(sqlite3_open(house.config->store_file, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    turn(&house);
    turn(&house);
    assert_int_equal(cursor_of(&house), before);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    catch_up(&house);
    close_keep(&house, true);
    assert_int_equal(count_events(&house, "keep", KT_EV_ALERT, text, sizeof text), 2); /* trouble, and its end */
    assert_non_null(strstr(text, "is being written by another process"));
    close_house(&house);
}

static void test_unknown_kind_is_skipped_and_told(void **state)
{
    kt_rec_head head = { .kind = 60000, .flags = KT_REC_OUTPUT, .time_ns = 1 };
    test_house house;
    char text[512] = "";

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    MUST(kt_log_subject(house.market, KT_TEXT("trades.market.BTC"), 0, &head.subject, &last));
    MUST(kt_log_append(house.market, &head, "what?", 5, NULL));
    MUST(kt_log_append(house.market, &head, "what?", 5, NULL));
    write_trade(&house, "BTC", 1, 10, true);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    assert_int_equal(count_events(&house, "keep", KT_EV_ALERT, text, sizeof text), 1);
    assert_non_null(strstr(text, "a newer one wrote them"));
    close_house(&house);
}

/* A record of a known kind whose bytes are no such event: it is not skipped in silence. */
static void test_bad_event_parks_the_lane(void **state)
{
    kt_rec_head head = { .kind = KT_EV_TRADE, .flags = KT_REC_OUTPUT, .time_ns = 1 };
    test_house house;
    kt_code code = KT_OK;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    write_trade(&house, "BTC", 1, 10, true);
    MUST(kt_log_subject(house.market, KT_TEXT("trades.market.BTC"), 0, &head.subject, &last));
    MUST(kt_log_append(house.market, &head, "what?", 5, NULL));
    MUST(kt_log_sync(house.market, &last));
    for (uint32_t i = 0; i < 5 && code == KT_OK; i++)
        code = kt_lane_turn(house.keep, 0, &last);
    assert_true(code != KT_OK);
    assert_non_null(strstr(last.msg, "(trades.market.BTC) can not be kept"));
    assert_int_equal(cursor_of(&house), 0);
    close_house(&house);
}

/* The machine stops: what was not synced may be gone, and the log goes on in a new epoch. The store never had it. */
static void test_store_goes_on_across_a_power_cut(void **state)
{
    test_house house;
    char *before;
    char *whole;
    pid_t child;
    int status;

    open_house(&house, kt_test_seed());
    for (uint8_t boot = 1; boot <= 3; boot++) {
        child = fork();
        assert_true(child >= 0);
        if (child == 0) { /* the market lane before the cut */
            open_market_after(&house, 0, boot);
            write_some(&house, 100);
            kt_log_sync(house.market, NULL);
            write_some(&house, 100);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        open_market_after(&house, 0, boot + 1); /* and after it */
        assert_true(kt_log_recovered(house.market)->other_boot);
        assert_true(kt_log_recovered(house.market)->epochs_begun > 0);
        open_keep(&house);
        write_some(&house, 50);
        MUST(kt_log_sync(house.market, &last));
        catch_up(&house);
        close_keep(&house, false);
        MUST(kt_log_close(house.market, &last));
    }
    open_market_after(&house, 0, 4);
    before = dump(&house);
    whole = expected_dump(&house);
    assert_string_equal(before, whole);
    free(before);
    free(whole);
    close_house(&house);
}

static void test_store_of_other_logs_parks_the_lane(void **state)
{
    test_house house;
    kt_store *store = NULL;
    kt_code code = KT_OK;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    write_some(&house, 10);
    MUST(kt_log_sync(house.market, &last));
    MUST(kt_store_open(house.config, &store, &last));
    MUST(kt_store_begin(store, &last));
    MUST(kt_store_commit(store, "market", (kt_store_cursor){ .epoch = 1, .seq = 1000 }, &last));
    kt_store_close(store);
    open_keep(&house);
    for (uint32_t i = 0; i < 5 && code == KT_OK; i++)
        code = kt_lane_turn(house.keep, 0, &last);
    assert_true(code != KT_OK);
    assert_non_null(strstr(last.msg, "belongs to other logs"));
    close_house(&house);
}

static void test_damaged_or_newer_store_does_not_start(void **state)
{
    test_house house;
    bool park = false;

    open_house(&house, kt_test_seed());
    write_damaged(house.config->store_file);
    assert_int_equal(try_keep(&house, &park, &last), KT_CORRUPT);
    assert_non_null(strstr(last.msg, house.config->store_file));
    close_house(&house);
}

static void test_historical_answers_from_the_store(void **state)
{
    static const struct {
        const char *name;
        const char *params;
        kt_code code;
        const char *answer; /* or what the message holds */
    } rows[] = {
        { "a ticker at a mark", "{\"ticker\":\"BTC\",\"ts\":\"100000\"}", KT_OK,
            "{\"ticker\":\"BTC\",\"vwap\":\"27000.1\",\"ts\":\"100000\"}" },
        { "the interval may be named", "{\"ticker\":\"BTC\",\"ts\":\"100000\",\"interval\":60000}", KT_OK,
            "{\"ticker\":\"BTC\",\"vwap\":\"27000.1\",\"ts\":\"100000\"}" },
        { "a composite", "{\"ticker\":\"ALL\",\"ts\":\"101000\"}", KT_OK,
            "{\"ticker\":\"ALL\",\"vwap\":\"5\",\"ts\":\"101000\"}" },
        { "another interval", "{\"ticker\":\"BTC\",\"ts\":\"100000\",\"interval\":3600000}", KT_NOENT,
            "no value of 'BTC'" },
        { "a mark without value", "{\"ticker\":\"BTC\",\"ts\":\"100001\"}", KT_NOENT, "no value of 'BTC'" },
        { "an unknown ticker", "{\"ticker\":\"X\",\"ts\":\"100000\"}", KT_NOENT, "no value of 'X'" },
        { "no ts", "{\"ticker\":\"BTC\"}", KT_RANGE, "vwap.historical.ts" },
        { "an unknown field", "{\"tick\":\"BTC\"}", KT_NOENT, "has no 'tick'" },
        { "no JSON", "{", KT_SYNTAX, "" },
    };
    test_house house;
    kt_store *store = NULL;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    write_vwap(&house, "vwap.1m.market.BTC", 100, 270001000, true);
    write_vwap(&house, "vwap.1m.ALL", 101, 50000, false);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    MUST(kt_store_open_read(house.config->store_file, &store, &last));
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char mem[512];
        kt_text body = { 0 };
        kt_err err = { 0 };
        kt_json_writer writer;
        kt_code code;

        kt_json_writer_init(&writer, mem, sizeof mem);
        code = kt_record_historical(store, house.config, kt_text_of(rows[i].params), &writer, &err);
        if (code == KT_OK)
            code = kt_json_writer_done(&writer, &body);
        if (code != rows[i].code || (code == KT_OK && !kt_text_equal(body, kt_text_of(rows[i].answer))) ||
            (code != KT_OK && strstr(err.msg, rows[i].answer) == NULL))
            fail_msg("%s: %s, '%.*s', '%s'", rows[i].name, kt_code_name(code), KT_TEXT_ARG(body), err.msg);
    }
    kt_store_close(store);
    close_house(&house);
}

/* ---- questions that a desk answers ---- */

typedef struct test_answer {
    uint32_t count;
    kt_code code;
    char body[16384];
} test_answer;

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    test_answer *answer = ctx;

    answer->count++;
    answer->code = code;
    snprintf(answer->body, sizeof answer->body, "%.*s", KT_TEXT_ARG(body));
}

static void ask(test_house *house, const char *action, const char *params, test_answer *answer)
{
    *answer = (test_answer){ 0 };
    MUST(kt_bus_call_start(kt_lane_bus(house->keep),
        &(kt_bus_call_spec){
            .action = kt_text_of(action), .params = kt_text_of(params), .on_answer = on_answer, .ctx = answer },
        NULL, &last));
}

static bool turned(test_house *house, const test_answer *answer)
{
    turn(house);
    return answer->count > 0;
}

static void test_desks_answer_beside_the_lane(void **state)
{
    static const struct {
        const char *name, *action, *params;
        kt_code code;
        const char *answer; /* a part of it */
    } rows[] = {
        { "SQL", "store.query", "{\"sql\":\"SELECT count(*) FROM trades\"}", KT_OK,
            "\"rows\":[[2]],\"complete\":true" },
        { "a write", "store.query", "{\"sql\":\"DELETE FROM trades\"}", KT_ARG, "this wants DELETE" },
        { "no SQL", "store.query", "{\"sql\":\"FROM\"}", KT_SYNTAX, "syntax error" },
        { "no parameters", "store.query", "{}", KT_RANGE, "store.query.sql" },
        { "more rows than there may be", "store.query", "{\"sql\":\"SELECT 1\",\"limit\":1001}", KT_RANGE, "limit" },
        { "no JSON", "store.query", "{", KT_SYNTAX, "" },
        { "tables", "store.tables", "{}", KT_OK, "{\"name\":\"trades\",\"view\":false,\"row_count\":2," },
        { "the store's place in the log", "store.tables", "{}", KT_OK, "\"lag\":0}" },
        { "trades", "trades.history",
            "{\"venue\":\"market\",\"symbol\":\"BTC\",\"from\":\"1970-01-01T00:00:00Z\",\"to\":\"1970-01-01T00:00:01Z\"}",
            KT_OK,
            "{\"step\":0,\"oldest\":\"1970-01-01T00:00:00.001Z\",\"rows\":[{\"time\":\"1970-01-01T00:00:00.001Z\",\"open\":\"1\"," },
        { "values of which there is none", "vwap.history",
            "{\"venue\":\"\",\"symbol\":\"ALL\",\"window\":\"1m\",\"from\":\"1970-01-01T00:00:00Z\",\"to\":\"1970-01-01T00:00:01Z\"}",
            KT_OK, "\"rows\":[]," },
        { "more points than there may be", "vwap.history",
            "{\"venue\":\"\",\"symbol\":\"ALL\",\"window\":\"1m\",\"from\":\"1970-01-01T00:00:00Z\",\"to\":\"1970-01-01T00:00:01Z\","
            "\"points\":4001}",
            KT_RANGE, "vwap.history.points" },
        { "migrations", "store.migrations", "{}", KT_OK, "\"migrations\":[{\"version\":1,\"applied\":true," },
    };
    test_house house;
    test_answer answer;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    write_trade(&house, "BTC", 1, 100, true);
    write_trade(&house, "BTC", 2, 100, true);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    house.step_ms = 0; /* no call runs out of time */
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        ask(&house, rows[i].action, rows[i].params, &answer);
        assert_true(KT_TEST_WAIT(turned(&house, &answer), 60));
        if (answer.count != 1 || answer.code != rows[i].code || strstr(answer.body, rows[i].answer) == NULL)
            fail_msg("%s: %s, %s", rows[i].name, kt_code_name(answer.code), answer.body);
    }
    close_house(&house);
}

/* Neither rows nor other questions nor the end of the house wait for a question that does not end. */
static void test_endless_question_holds_up_nothing(void **state)
{
    static const char endless[] = "{\"sql\":\"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) "
                                  "SELECT count(*) FROM n\"}";
    test_answer first, second, other;
    test_house house;

    open_house(&house, kt_test_seed());
    open_market(&house, 0);
    open_keep(&house);
    write_some(&house, 100);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    ask(&house, "store.query", endless, &first);
    turn(&house);
    write_some(&house, 100);
    MUST(kt_log_sync(house.market, &last));
    catch_up(&house);
    house.step_ms = 0;
    ask(&house, "store.migrations", "{}", &other);
    assert_true(KT_TEST_WAIT(turned(&house, &other), 60));
    assert_int_equal(other.code, KT_OK);
    house.step_ms = 20; /* its time passes */
    assert_true(KT_TEST_WAIT(turned(&house, &first), 60));
    assert_true(first.code == KT_LIMIT || first.code == KT_TIMEOUT);
    ask(&house, "store.query", endless, &second);
    turn(&house);
    close_house(&house);
    assert_int_equal(second.code, KT_UNKNOWN); /* by the bus, at its end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_never_passes_durable),
        cmocka_unit_test(test_log_may_come_later_than_the_lane),
        cmocka_unit_test(test_killed_at_any_moment_each_event_counts_once),
        cmocka_unit_test(test_rebuild_gives_the_same_bytes),
        cmocka_unit_test(test_rebuild_comes_as_far_as_the_old_store),
        cmocka_unit_test(test_stop_keeps_what_is_durable),
        cmocka_unit_test(test_stop_while_catching_up_takes_one_batch),
        cmocka_unit_test(test_a_batch_ends_where_it_has_changed_enough_rows),
        cmocka_unit_test(test_rebuild_keeps_what_the_log_does_not_hold_any_more),
        cmocka_unit_test(test_retention_waits_for_the_store),
        cmocka_unit_test(test_what_retention_took_from_the_store_is_told),
        cmocka_unit_test(test_busy_store_is_told_and_tried_again),
        cmocka_unit_test(test_unknown_kind_is_skipped_and_told),
        cmocka_unit_test(test_bad_event_parks_the_lane),
        cmocka_unit_test(test_store_goes_on_across_a_power_cut),
        cmocka_unit_test(test_store_of_other_logs_parks_the_lane),
        cmocka_unit_test(test_damaged_or_newer_store_does_not_start),
        cmocka_unit_test(test_historical_answers_from_the_store),
        cmocka_unit_test(test_desks_answer_beside_the_lane),
        cmocka_unit_test(test_endless_question_holds_up_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
