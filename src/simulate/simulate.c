#include "simulate/simulate.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/time.h"
#include "log/cursor.h"
#include "log/disk.h"
#include "schema/config.h"
#include "simulate/crowd.h"
#include "simulate/house.h"
#include "simulate/judge.h"
#include "store/recorder.h"
#include "venue/sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MARKET_MAX = (KT_SIMULATE_SYMBOL_MAX + KT_SIM_SYMBOL_MAX - 1) / KT_SIM_SYMBOL_MAX,
    OWNER_VENUE = 4,
    OWNER_CROWD = 5,
    EDGE_PORT = 3000,
    VENUE_PORT = 3001,
    STEP_US_MAX = 40,   /* virtual time that a step takes, at most */
    SETTLE_S_MAX = 180, /* after the mischief: by then all must be well */
    FULL_MS_MAX = 1500, /* that the disk is full */
    HISTORY_S_MAX = 300,
    SMALL_RATE = 20,             /* trades a second, at which no answer of REST is long */
    FULL_PAGE_SEGMENT = 1 << 20, /* an eighth of it holds an answer of 1,000 trades */
    FOLLOWED_EACH = 25, /* long runs: clients follow one of so many symbols, of the others they hear the minutes */
    FUSE_MAX = 3000,    /* calls until a death */
    WIDE_MIN = 16,      /* symbols, above which only the generic format is gathered */
    CHANNEL_MAX = 256,
    CHANNEL_SIZE = 96,
    YAML_SIZE = 16 << 10,
    FILES_SLACK = 256, /* descriptors beyond those of clients' links */
    LOOP_TIMERS = 1 << 16,
};
#define START_NS INT64_C(1700000000000000000)
#define LONG_NS (600 * KT_NS_PER_S)
#define MEMORY_SLACK (64ULL << 20) /* by which the heap may be above twice that of the first quarter */
#define LONG_SEGMENT (16ULL << 20)
#define LONG_RETENTION (256ULL << 20)
/* Four logs, one of them four times as large; each has a segment that is written, one ahead, and one that waits to be unlinked. */
#define LOGS_MAX ((LONG_RETENTION + 4 * LONG_SEGMENT) * 7 / 4)

/* A short run breaks much in little time. A long one shows that nothing grows: less breaks, and its logs reach what retention
 * leaves. */
typedef struct run_kind {
    const char *windows;
    double skew;         /* of the markets */
    int64_t pause_ms;    /* between two pieces of mischief */
    int64_t grain_ms;    /* what arrives within it is one step's work */
    int64_t silence_ms;  /* of a client until the edge closes its connection */
    int64_t stay_ms;     /* of a client */
    int64_t away_ms;     /* until it comes back */
    int64_t kept_ns;     /* for which a client that comes back hears all of it; retention holds more */
    int64_t lag_ns;      /* until which a mark must have been validated */
    int64_t progress_ms; /* between two lines of it */
    uint64_t segment_size;
    uint64_t retention_bytes; /* 0: the configuration's */
} run_kind;

static const run_kind short_run = { .windows = "5s, 1m",
    .skew = 1,
    .pause_ms = 500,
    .silence_ms = 5000,
    .stay_ms = 5000,
    .away_ms = 500,
    .kept_ns = INT64_MAX,
    .lag_ns = INT64_MAX,
    .progress_ms = 5000,
    .segment_size = 512 << 10 };
static const run_kind long_run = { .windows = "10s, 1m, 5m",
    .skew = 1,
    .pause_ms = 60000,
    .grain_ms = 50,
    .silence_ms = 60000,
    .stay_ms = 600000,
    .away_ms = 10000,
    .kept_ns = 600 * KT_NS_PER_S,
    .lag_ns = 900 * KT_NS_PER_S,
    .progress_ms = 60000,
    .segment_size = LONG_SEGMENT,
    .retention_bytes = LONG_RETENTION };

/* A loop that belongs to nobody's process. */
typedef struct task {
    kt_loop *loop;
    bool parked;
    int64_t until_ns;
} task;

typedef struct simulation {
    const kt_simulate_options *options;
    run_kind kind;
    int64_t history_ns; /* for which the market has been open before the house was */
    kt_simulate_report *report;
    kt_rng rng;
    int64_t now_ns;
    bool cuts; /* the power may go */
    bool over; /* the mischief is */
    bool closing;
    kt_vdisk *disk;
    kt_vnet *net;
    kt_house *house;
    kt_judge *judge;
    kt_crowd *crowd;
    task net_task, venue_task, crowd_task;
    kt_sim_options venue_options[MARKET_MAX];
    kt_sim_market_options markets[MARKET_MAX];
    kt_sim *venues[MARKET_MAX];
    uint32_t market_count;
    char channels[CHANNEL_MAX][CHANNEL_SIZE];
    const char *channel_list[CHANNEL_MAX];
    uint32_t channel_count;
    char yaml[YAML_SIZE];
    int64_t mischief_ns, room_ns, progress_ns, settle_ns;
    uint64_t memory_base;
    uint64_t durable_before; /* of log market, when it was last looked whether all is well */
    uint32_t next_event;
} simulation;

static const char *const questions[] = { "/health", "/latest?ticker=BTC", "/historical?ticker=BTC&ts=1700000005000",
    "/nowhere" };

/* ---- telling ---- */

static void note(simulation *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(simulation *sim, const char *fmt, ...)
{
    if (sim->closing)
        return; /* what is told is what was before the end */
    char *line = sim->report->events[sim->next_event++ % KT_SIMULATE_EVENTS];
    int at = snprintf(line, sizeof sim->report->events[0], "%10.6f s  step %llu  ",
        (double)(sim->now_ns - START_NS) / (double)KT_NS_PER_S, (unsigned long long)sim->report->steps);
    va_list args;

    va_start(args, fmt);
    vsnprintf(line + at, sizeof sim->report->events[0] - (size_t)at, fmt, args);
    va_end(args);
    if (sim->options->verbose && sim->options->progress != NULL)
        fprintf(sim->options->progress, "%s\n", line);
}

static void broken(void *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void broken(void *ctx, const char *fmt, ...)
{
    simulation *sim = ctx;
    va_list args;

    if (sim->report->failure[0] != '\0')
        return; /* the first one is the one */
    va_start(args, fmt);
    vsnprintf(sim->report->failure, sizeof sim->report->failure, fmt, args);
    va_end(args);
    sim->report->failed_step = sim->report->steps;
}

static bool is_broken(const simulation *sim)
{
    return sim->report->failure[0] != '\0';
}

static void on_diag(void *ctx, kt_level level, const char *line)
{
    if (level <= KT_LEVEL_WARNING)
        note(ctx, "%s", line);
}

/* ---- the parts ---- */

static int64_t clock_now(void *ctx)
{
    return ((simulation *)ctx)->now_ns;
}

static kt_code task_new(simulation *sim, uint32_t owner, task *out_task, kt_err *err)
{
    return kt_loop_new(&(kt_loop_options){ .clock_ns = clock_now,
                           .ctx = sim,
                           .timer_max = LOOP_TIMERS,
                           .net = sim->net != NULL ? kt_vnet_of(sim->net, owner) : NULL },
        &out_task->loop, err);
}

/* Half of the houses begin in the midst of things: REST knows of trades from before. */
static int64_t history_of(const kt_simulate_options *options)
{
    uint64_t dice = kt_hash_u64(options->seed, 0);

    return options->span_ns >= LONG_NS || dice % 2 == 0 ? 0 : (int64_t)(dice % HISTORY_S_MAX + 1) * KT_NS_PER_S;
}

static run_kind kind_of(const kt_simulate_options *options)
{
    run_kind kind = options->span_ns < LONG_NS ? short_run : long_run;

    if (options->span_ns >= LONG_NS && options->rate < options->symbol_count) {
        /* Less than a trade a second of each: they trade alike, and nearly every window has a trade, so that all are at work. */
        kind.skew = 0;
        kind.windows = "1m, 3m, 5m";
        kind.kept_ns = 40 * KT_NS_PER_S;
    }
    if (kind.segment_size < FULL_PAGE_SEGMENT && (history_of(options) > 0 || options->rate > SMALL_RATE))
        kind.segment_size = FULL_PAGE_SEGMENT;
    return kind;
}

static bool is_long(const simulation *sim)
{
    return sim->options->span_ns >= LONG_NS;
}

/* Both formats are served by each venue; of many symbols only the generic one is gathered, which needs no list of them. */
static bool is_wide(const simulation *sim)
{
    return sim->options->symbol_count > WIDE_MIN;
}

static uint32_t symbols_of(const simulation *sim, uint32_t index)
{
    uint32_t before = index * KT_SIM_SYMBOL_MAX, left = sim->options->symbol_count - before;

    return left < KT_SIM_SYMBOL_MAX ? left : KT_SIM_SYMBOL_MAX;
}

static kt_code open_venues(simulation *sim, kt_err *err)
{
    static char *no_words[] = { (char *)"sim", NULL };
    static char counts[MARKET_MAX][16];
    kt_code code = task_new(sim, OWNER_VENUE, &sim->venue_task, err);

    sim->market_count = (sim->options->symbol_count + KT_SIM_SYMBOL_MAX - 1) / KT_SIM_SYMBOL_MAX;
    for (uint32_t i = 0; i < sim->market_count && code == KT_OK; i++) {
        kt_sim_options *options = &sim->venue_options[i];
        double rate = sim->options->rate * symbols_of(sim, i) / sim->options->symbol_count;
        code = kt_sim_options_read(1, no_words, START_NS, options, err);
        if (code != KT_OK)
            return code;
        snprintf(counts[i], sizeof counts[i], "%u", symbols_of(sim, i));
        options->port = (uint16_t)(VENUE_PORT + i);
        options->generic = options->binance = true;
        options->speed = 1;
        options->wait = 0;
        options->silence_max_ns = 2 * KT_NS_PER_S;
        /* of each symbol: what REST is asked for lies minutes back, and a long run should come to rest */
        options->keep = (uint32_t)(rate * 7200 / symbols_of(sim, i)) + 1000;
        options->market.symbols = counts[i];
        options->market.seed = sim->options->seed * MARKET_MAX + i;
        options->market.rate = rate;
        options->market.skew = sim->kind.skew;
        options->market.start_ns = START_NS;
        options->market.count = (uint64_t)(rate * (double)sim->options->span_ns / (double)KT_NS_PER_S) + 1;
        options->history_ns = sim->history_ns;
        options->market.count += (uint64_t)(rate * (double)sim->history_ns / (double)KT_NS_PER_S);
        sim->markets[i] = options->market;
        sim->markets[i].start_ns -= sim->history_ns;
        code = kt_sim_open(sim->venue_task.loop, options, &sim->venues[i], err);
        if (code == KT_OK)
            kt_sim_start(sim->venues[i]);
    }
    return code;
}

static void put_venue(simulation *sim, kt_builder *yaml, uint32_t index, bool binance)
{
    const char *name = binance ? "bin" : "gen";

    kt_builder_format(yaml, "  - {name: %s", name);
    if (sim->market_count > 1)
        kt_builder_format(yaml, "%u", index);
    kt_builder_format(yaml,
        ", format: %s, ws_url: \"ws://127.0.0.1:%u%s\", rest_url: \"http://127.0.0.1:%u%s\", silence_ms: 3000, "
        "price_scale: 8, quantity_scale: 8, requests_per_s: %d%s",
        binance ? "binance" : "generic", VENUE_PORT + index, binance ? "" : "/stream", VENUE_PORT + index,
        binance ? "" : "/trades", is_wide(sim) ? 1000 : 50, binance ? ", books: true, symbols: [" : "}\n");
}

static kt_code write_yaml(simulation *sim, kt_err *err)
{
    kt_sim_market *market = NULL;
    kt_builder yaml;
    kt_code code = kt_sim_market_open(&sim->markets[0], &market, err);

    if (code != KT_OK)
        return code;
    kt_builder_init(&yaml, sim->yaml, sizeof sim->yaml);
    kt_builder_format(&yaml,
        "data: house\nedge: {port: %d, client_max: %d, silence_ms: %d}\n"
        "vwap: {windows: [%s], interval_ms: 60000}\nrepair: {interval_ms: 500}\n"
        "log: {retention_bytes: %d}\nvenues:\n",
        EDGE_PORT, 2 * KT_SIMULATE_CLIENT_MAX, (int)sim->kind.silence_ms, sim->kind.windows, 1 << 26);
    for (uint32_t i = 0; i < sim->market_count; i++)
        put_venue(sim, &yaml, i, false);
    for (uint32_t i = 0; !is_wide(sim) && i < kt_sim_symbol_count(market); i++) {
        if (i == 0)
            put_venue(sim, &yaml, 0, true);
        kt_builder_format(
            &yaml, "%s\"%.*s\"", i == 0 ? "" : ", ", KT_TEXT_ARG(kt_sim_symbol_at(market, i)->pair.symbol));
    }
    if (!is_wide(sim))
        kt_builder_str(&yaml, "]}\n");
    kt_builder_done(&yaml);
    kt_sim_market_close(market);
    return yaml.code == KT_OK ? KT_OK : kt_fail(err, KT_FULL, "too many symbols for one configuration");
}

static void add_channel(simulation *sim, const char *first, const char *venue, kt_text symbol)
{
    kt_builder name;

    if (sim->channel_count == CHANNEL_MAX)
        return;
    kt_builder_init(&name, sim->channels[sim->channel_count], CHANNEL_SIZE);
    kt_builder_format(&name, "%s.%s.", first, venue);
    kt_subject_token(&name, symbol);
    kt_builder_done(&name);
    sim->channel_list[sim->channel_count] = sim->channels[sim->channel_count];
    sim->channel_count++;
}

static kt_code open_crowd(simulation *sim, kt_err *err)
{
    kt_sim_market *market = NULL;
    kt_code code = task_new(sim, OWNER_CROWD, &sim->crowd_task, err);

    if (code == KT_OK)
        code = kt_sim_market_open(&sim->markets[0], &market, err);
    if (code != KT_OK)
        return code;
    for (uint32_t i = 0; i < kt_sim_symbol_count(market); i++) {
        const kt_sim_symbol *symbol = kt_sim_symbol_at(market, i);
        const char *gen = sim->market_count > 1 ? "gen0" : "gen";
        if (is_long(sim) && is_wide(sim)) {
            add_channel(sim, "quality", gen, symbol->ticker.symbol);
            if (i % FOLLOWED_EACH != FOLLOWED_EACH - 1 && i + 1 != kt_sim_symbol_count(market))
                continue;
        }
        add_channel(sim, "trades", gen, symbol->ticker.symbol);
        add_channel(sim, "vwap.1m", gen, symbol->ticker.symbol);
        if (is_wide(sim))
            continue;
        add_channel(sim, "vwap.1m", "bin", symbol->pair.symbol);
        add_channel(sim, "book", "bin", symbol->pair.symbol);
        add_channel(sim, "ticker", "bin", symbol->pair.symbol);
    }
    kt_sim_market_close(market);
    return kt_crowd_new(&(kt_crowd_options){ .loop = sim->crowd_task.loop,
                            .rng = &sim->rng,
                            .port = EDGE_PORT,
                            .client_count = sim->options->client_count,
                            .channels = sim->channel_list,
                            .channel_count = sim->channel_count,
                            .questions = questions,
                            .question_count = KT_COUNT(questions),
                            .stay_ns = sim->kind.stay_ms * KT_NS_PER_MS,
                            .away_ns = sim->kind.away_ms * KT_NS_PER_MS,
                            .kept_ns = sim->kind.kept_ns,
                            .ping_ns = sim->kind.silence_ms * KT_NS_PER_MS * 3 / 10,
                            .failed = broken,
                            .ctx = sim },
        &sim->crowd, err);
}

static kt_code open_house(simulation *sim, kt_err *err)
{
    kt_code code = kt_house_new(&(kt_house_options){ .disk = sim->disk,
                                    .net = sim->net,
                                    .rng = &sim->rng,
                                    .now_ns = &sim->now_ns,
                                    .yaml = sim->yaml,
                                    .data = "house",
                                    .segment_size = sim->kind.segment_size,
                                    .retention_bytes = sim->kind.retention_bytes,
                                    .diag = on_diag,
                                    .ctx = sim },
        &sim->house, err);

    return code == KT_OK ? kt_house_boot(sim->house, err) : code;
}

static kt_code open_judge(simulation *sim, kt_err *err)
{
    static const char *const dirs[] = { "house/market", "house/keep", "house/edge", "house/house" };
    kt_judge_options options = { .boot_id = kt_house_boot_id(sim->house),
        .markets = sim->markets,
        .market_count = sim->market_count,
        .venues = { "gen", is_wide(sim) ? NULL : "bin" },
        .lag_ns = sim->kind.lag_ns,
        .failed = broken,
        .ctx = sim };
    kt_config *config = NULL;
    kt_code code = kt_config_parse("the simulator's configuration", sim->yaml, strlen(sim->yaml), &config, err);

    if (code != KT_OK)
        return code;
    memcpy(options.dirs, dirs, sizeof dirs);
    options.window_count = config->window_count;
    memcpy(options.windows_ns, config->windows_ns, config->window_count * sizeof options.windows_ns[0]);
    kt_config_free(config);
    return kt_judge_new(&options, &sim->judge, err);
}

/* ---- mischief ---- */

static bool chance(simulation *sim, double probability)
{
    return kt_rng_chance(&sim->rng, probability);
}

static void break_market(simulation *sim)
{
    static const struct {
        const char *name;
        double most;
    } rows[] = {
        { "drop", 0.1 },
        { "repeat", 0.1 },
        { "reorder", 0.1 },
        { "malformed", 0.03 },
        { "missing_field", 0.03 },
        { "wrong_type", 0.03 },
        { "absurd_price", 0.05 },
        { "disconnect", 0.01 },
        { "silence", 0.01 },
        { "cut_frame", 0.01 },
        { "sequence_gap", 0.05 },
        { "crossed_book", 0.02 },
        { "old_snapshot", 0.2 },
        { "half_open", 0.1 },
        { "status_429", 0.05 },
        { "status_500", 0.1 },
        { "status_503", 0.1 },
        { "truncated_body", 0.1 },
        { "wrong_content_type", 0.05 },
        { "overlap", 0.2 },
    };
    kt_sim_faults faults = { 0 };
    kt_err err = { 0 };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char value[16];
        if (!chance(sim, 0.3))
            continue;
        snprintf(value, sizeof value, "%.4f", kt_rng_unit(&sim->rng) * rows[i].most);
        if (kt_sim_faults_set(&faults, kt_text_of(rows[i].name), kt_text_of(value), &err) != KT_OK)
            broken(sim, "the market does not take the fault %s: %s", rows[i].name, err.msg);
    }
    for (uint32_t i = 0; i < sim->market_count; i++)
        kt_sim_break(sim->venues[i], &faults);
    note(sim, "the market breaks other things now");
}

static kt_vnet_faults sound_network(const simulation *sim)
{
    return (kt_vnet_faults){ .latency_max_ns = KT_NS_PER_MS, .grain_ns = sim->kind.grain_ms * KT_NS_PER_MS };
}

static void mend_network(simulation *sim)
{
    kt_vnet_faults sound = sound_network(sim);

    kt_vnet_set(sim->net, &sound);
}

static void break_network(simulation *sim)
{
    kt_vnet_faults faults = sound_network(sim);

    faults.latency_max_ns += kt_rng_between(&sim->rng, 0, 50 * KT_NS_PER_MS);
    if (chance(sim, 0.7)) {
        faults.refused = kt_rng_unit(&sim->rng) * 0.3;
        faults.cut = kt_rng_unit(&sim->rng) * 0.3;
        faults.silent = kt_rng_unit(&sim->rng) * 0.1;
        faults.trickles = kt_rng_unit(&sim->rng) * 0.2;
    }
    kt_vnet_set(sim->net, &faults);
    note(sim, "the network: %.0f %% refused, %.0f %% cut, %.0f %% silent, %.0f %% slow", 100 * faults.refused,
        100 * faults.cut, 100 * faults.silent, 100 * faults.trickles);
}

static void kill_one(simulation *sim)
{
    uint32_t lane = (uint32_t)kt_rng_below(&sim->rng, KT_HOUSE_LANES);
    uint64_t calls = 1 + kt_rng_below(&sim->rng, chance(sim, 0.3) ? 40 : FUSE_MAX);

    kt_vdisk_fuse(sim->disk, lane, calls);
    note(sim, "lane %s dies before its call %llu from now", kt_house_lane_name(lane), (unsigned long long)calls);
}

static void cut_power(simulation *sim)
{
    uint64_t calls = 1 + kt_rng_below(&sim->rng, chance(sim, 0.5) ? 60 : FUSE_MAX);

    kt_vdisk_cut_fuse(sim->disk, calls);
    note(sim, "the power goes before call %llu from now", (unsigned long long)calls);
}

static void fail_sync(simulation *sim)
{
    uint32_t lane = (uint32_t)kt_rng_below(&sim->rng, KT_HOUSE_LANES);
    bool for_good = chance(sim, 0.5);

    if (!kt_house_lives(sim->house, lane))
        return; /* one that fails while a log is opened parks the lane, for people to look at */
    kt_vdisk_fail_sync(sim->disk, lane, for_good);
    note(sim, "%s of lane %s fails", for_good ? "each sync" : "a sync", kt_house_lane_name(lane));
}

static void fill_disk(simulation *sim)
{
    kt_vdisk_fill(sim->disk, true);
    sim->room_ns = sim->now_ns + kt_rng_between(&sim->rng, 1, FULL_MS_MAX) * KT_NS_PER_MS;
    sim->report->full_disks++;
    note(sim, "the disk is full");
}

static void mischief(simulation *sim)
{
    static const struct {
        uint32_t weight;
        void (*does)(simulation *sim);
        bool shadows;
    } rows[] = {
        { 30, kill_one, false },
        { 20, cut_power, true },
        { 15, fail_sync, true },
        { 5, fill_disk, false },
        { 15, break_network, false },
        { 15, break_market, false },
    };
    uint64_t dice = kt_rng_below(&sim->rng, 100);
    uint32_t i = 0;
    int64_t pause_ns = sim->kind.pause_ms * KT_NS_PER_MS;

    for (; dice >= rows[i].weight; i++)
        dice -= rows[i].weight;
    if (sim->cuts || !rows[i].shadows)
        rows[i].does(sim);
    sim->mischief_ns = sim->now_ns + kt_rng_between(&sim->rng, pause_ns / 4, 2 * pause_ns);
}

/* From here on nothing breaks any more. */
static void end_mischief(simulation *sim)
{
    kt_sim_faults none = { 0 };

    sim->over = true;
    sim->mischief_ns = INT64_MAX;
    sim->settle_ns = sim->now_ns;
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++) {
        if (kt_vdisk_dead(sim->disk, i))
            continue;
        kt_vdisk_revive(sim->disk, i);
    }
    kt_vdisk_cut_fuse(sim->disk, 0);
    kt_vdisk_fill(sim->disk, false);
    mend_network(sim);
    for (uint32_t i = 0; i < sim->market_count; i++)
        kt_sim_break(sim->venues[i], &none);
    kt_crowd_settle(sim->crowd);
    note(sim, "the mischief is over");
}

/* The machine starts again on what its disk has left. */
static kt_code restart_machine(simulation *sim, kt_err *err)
{
    note(sim, "the power went");
    sim->report->power_cuts++;
    kt_judge_power_cut(sim->judge);
    kt_house_fall(sim->house);
    kt_crowd_lost(sim->crowd);
    sim->now_ns += kt_rng_between(&sim->rng, 1, 500) * KT_NS_PER_MS;
    kt_vdisk_fill(sim->disk, false);
    sim->room_ns = INT64_MAX;
    kt_code code = kt_vdisk_power_on(sim->disk, err);
    return code == KT_OK ? kt_house_boot(sim->house, err) : code;
}

/* ---- steps ---- */

static kt_code turn(task *one, kt_err *err)
{
    kt_code code = kt_loop_turn(one->loop, 0, err);

    one->parked = kt_loop_park(one->loop, &one->until_ns);
    return code;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Nobody has anything to do: whoever sleeps on work has missed a wake-up. The clock goes on to what comes next. */
static void wait_on(simulation *sim, int64_t next_ns)
{
    const char *lane = kt_house_overslept(sim->house);

    if (lane != NULL)
        broken(sim, "lane %s sleeps although there is work: a wake-up was lost", lane);
    if (next_ns > sim->now_ns)
        sim->now_ns = next_ns;
}

static void judge(simulation *sim)
{
    kt_judge_truth(sim->judge, sim->now_ns);
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++)
        if (kt_house_lives(sim->house, i))
            kt_judge_look(sim->judge, i);
    if (!kt_vdisk_is_off(sim->disk))
        kt_judge_look(sim->judge, KT_HOUSE_SUPERVISOR);
}

static kt_code step(simulation *sim, kt_err *err)
{
    task *const tasks[] = { &sim->net_task, &sim->venue_task, &sim->crowd_task };
    kt_house_task house_tasks[KT_HOUSE_TASK_MAX];
    task *due[KT_COUNT(tasks)];
    struct pollfd fds[KT_HOUSE_LANES + KT_COUNT(tasks)];
    uint32_t due_count = 0;
    int64_t next_ns;
    kt_code code = KT_OK;

    kt_house_fds(sim->house, fds);
    for (uint32_t i = 0; i < KT_COUNT(tasks); i++)
        fds[KT_HOUSE_LANES + i] = (struct pollfd){ .fd = kt_loop_fd(tasks[i]->loop), .events = POLLIN };
    poll(fds, KT_COUNT(fds), 0);
    uint32_t house_count = kt_house_tasks(sim->house, fds, house_tasks, &next_ns);
    for (uint32_t i = 0; i < KT_COUNT(tasks); i++)
        if (!tasks[i]->parked || tasks[i]->until_ns <= sim->now_ns || fds[KT_HOUSE_LANES + i].revents != 0)
            due[due_count++] = tasks[i];
        else
            next_ns = least(next_ns, tasks[i]->until_ns);
    if (sim->now_ns >= sim->mischief_ns)
        mischief(sim);
    if (sim->now_ns >= sim->room_ns) {
        kt_vdisk_fill(sim->disk, false);
        sim->room_ns = INT64_MAX;
    }
    if (house_count + due_count == 0) {
        wait_on(sim, least(next_ns, least(sim->mischief_ns, sim->room_ns)));
        return KT_OK;
    }
    sim->report->steps++;
    uint64_t pick = kt_rng_below(&sim->rng, house_count + due_count);
    bool of_house = pick < house_count;
    code = of_house ? kt_house_run(sim->house, house_tasks[pick], err) : turn(due[pick - house_count], err);
    sim->now_ns += kt_rng_between(&sim->rng, 1, STEP_US_MAX) * 1000;
    if (kt_vdisk_is_off(sim->disk))
        return restart_machine(sim, err);
    if (of_house && code == KT_OK)
        judge(sim);
    const char *parked = of_house ? kt_house_parked(sim->house) : NULL;
    if (parked != NULL)
        broken(sim, "a lane is parked: %s", parked);
    return code;
}

/* ---- bounds ---- */

static uint64_t open_files(void)
{
    DIR *stream = opendir("/proc/self/fd");
    uint64_t count = 0;

    while (stream != NULL && readdir(stream) != NULL)
        count++;
    if (stream != NULL)
        closedir(stream);
    return count;
}

static void greater(uint64_t *most, uint64_t now)
{
    if (now > *most)
        *most = now;
}

/* The logs' part of the disk: the store keeps what it is told to keep. */
static uint64_t log_bytes(const simulation *sim)
{
    static const char *const others[] = { "house/store.db", "house/store.db-wal", "house/store.db-shm" };
    uint64_t bytes = kt_vdisk_bytes(sim->disk);

    for (uint32_t i = 0; i < KT_COUNT(others); i++) {
        struct stat info;
        if (stat(others[i], &info) == 0)
            bytes -= (uint64_t)info.st_blocks * 512;
    }
    return bytes;
}

/* In a long run nothing grows: neither the heap once all is in use, nor descriptors beyond the links' own, nor the logs beyond
 * what they may keep. */
static void look_at_bounds(simulation *sim)
{
    struct mallinfo2 heap = mallinfo2();
    uint64_t memory = heap.uordblks + heap.hblkhd, files = open_files(), logs = log_bytes(sim);
    uint64_t files_max = FILES_SLACK + 6ULL * kt_vnet_count(sim->net).open + 2ULL * sim->options->client_count;
    int64_t passed_ns = sim->now_ns - START_NS;

    greater(&sim->report->memory_peak, memory);
    greater(&sim->report->files_peak, files);
    greater(&sim->report->disk_peak, logs);
    if (files > files_max)
        broken(sim, "%llu descriptors are open; %llu are enough for %u links", (unsigned long long)files,
            (unsigned long long)files_max, kt_vnet_count(sim->net).open);
    if (!is_long(sim))
        return;
    if (passed_ns < sim->options->span_ns / 4)
        sim->memory_base = sim->report->memory_peak;
    else if (memory > 2 * sim->memory_base + MEMORY_SLACK)
        broken(sim, "the heap has grown to %llu bytes; in the first quarter it had at most %llu",
            (unsigned long long)memory, (unsigned long long)sim->memory_base);
    if (logs > LOGS_MAX)
        broken(sim, "the logs have %llu bytes on disk; retention and what is ahead of it make %llu",
            (unsigned long long)logs, (unsigned long long)LOGS_MAX);
}

static void progress(simulation *sim)
{
    kt_judge_counts counts = kt_judge_count(sim->judge);

    if (sim->now_ns < sim->progress_ns)
        return;
    sim->progress_ns = sim->now_ns + sim->kind.progress_ms * KT_NS_PER_MS;
    look_at_bounds(sim);
    if (sim->options->progress == NULL)
        return;
    fprintf(sim->options->progress,
        "%8.0f s  %llu steps, %llu records, %llu validated, %u clients, %llu MB heap, %llu MB disk\n",
        (double)(sim->now_ns - START_NS) / (double)KT_NS_PER_S, (unsigned long long)sim->report->steps,
        (unsigned long long)counts.records, (unsigned long long)counts.validated, kt_crowd_count(sim->crowd).connected,
        (unsigned long long)(mallinfo2().uordblks >> 20), (unsigned long long)(kt_vdisk_bytes(sim->disk) >> 20));
    fflush(sim->options->progress);
}

/* ---- the end ---- */

static bool end_of(void *ctx, const char *channel, uint64_t *out_epoch, uint64_t *out_offset)
{
    return kt_judge_end_of(((simulation *)ctx)->judge, KT_HOUSE_MARKET, kt_text_of(channel), out_epoch, out_offset) ==
           KT_OK;
}

static void on_cursor(void *ctx, const char *name, kt_cursor_position position)
{
    if (strcmp(name, "record") == 0)
        *(uint64_t *)ctx = position.seq;
}

/* All is well: false and why, where something has still to come. */
static bool is_settled(simulation *sim, char *out_why, size_t why_size)
{
    if (!kt_house_all_live(sim->house)) {
        snprintf(out_why, why_size, "not every lane is live");
        return false;
    }
    uint64_t kept = 0, durable = kt_judge_durable(sim->judge, KT_HOUSE_MARKET);
    kt_cursor_each("house/market", on_cursor, &kept, NULL);
    /* REST is asked for each of many symbols also when nothing happens: the store is always some records behind. */
    bool follows = is_long(sim) && kept >= sim->durable_before;
    sim->durable_before = durable;
    if (kept != durable && !follows) {
        snprintf(out_why, why_size, "the store holds log market up to %llu of %llu", (unsigned long long)kept,
            (unsigned long long)durable);
        return false;
    }
    return kt_judge_complete(sim->judge, kt_judge_last_ns(sim->judge), out_why, why_size) &&
           kt_crowd_caught_up(sim->crowd, end_of, sim, out_why, why_size);
}

static bool is_told_to_stop(simulation *sim)
{
    if (sim->options->stop != NULL && *sim->options->stop)
        sim->report->stopped = true;
    return sim->report->stopped;
}

static kt_code play(simulation *sim, kt_err *err)
{
    int64_t end_ns = START_NS + sim->options->span_ns, look_ns = 0;
    char why[256] = "";
    bool settled = false;
    kt_code code = KT_OK;

    while (code == KT_OK && !is_broken(sim) && !settled && !is_told_to_stop(sim)) {
        code = step(sim, err);
        if (!sim->over && sim->now_ns >= end_ns)
            end_mischief(sim);
        progress(sim);
        if (!sim->over || sim->now_ns < look_ns)
            continue;
        look_ns = sim->now_ns + KT_NS_PER_S / 2;
        settled = is_settled(sim, why, sizeof why);
        if (!settled && sim->now_ns > sim->settle_ns + SETTLE_S_MAX * KT_NS_PER_S)
            broken(sim, "%d s after the mischief: %s", SETTLE_S_MAX, why);
    }
    return code;
}

/* The house is told to stop, and does. */
static kt_code stop(simulation *sim, kt_err *err)
{
    int64_t end_ns = sim->now_ns + KT_STOP_WAIT_NS;
    kt_code code = KT_OK;

    kt_crowd_free(sim->crowd);
    sim->crowd = NULL;
    kt_house_stop(sim->house);
    while (code == KT_OK && !is_broken(sim) && !kt_house_stopped(sim->house)) {
        code = step(sim, err);
        if (sim->now_ns > end_ns)
            broken(sim, "the house does not stop within %lld s", (long long)(KT_STOP_WAIT_NS / KT_NS_PER_S));
    }
    return code;
}

static kt_code dump(kt_store *store, char **out_text, size_t *out_size, kt_err *err)
{
    FILE *out = open_memstream(out_text, out_size);
    kt_code code = out != NULL ? kt_store_dump(store, out, err) : kt_fail(err, KT_SYS, "no memory for a store's rows");

    if (out != NULL)
        fclose(out);
    return code;
}

/* The store holds what a new one made from the log holds. */
static kt_code compare_store(simulation *sim, kt_err *err)
{
    kt_store *kept = NULL, *made = NULL;
    kt_recorder recorder = { 0 };
    kt_store_cursor cursor = { 0 };
    kt_config *config = NULL;
    char *texts[2] = { NULL, NULL };
    size_t sizes[2] = { 0, 0 };
    kt_code code = kt_config_parse("the simulator's configuration", sim->yaml, strlen(sim->yaml), &config, err);

    kt_vdisk_revive(sim->disk, KT_HOUSE_KEEP);
    if (code == KT_OK)
        code = kt_store_open(config, &kept, err);
    if (code == KT_OK)
        code = kt_store_open_file("made.db", config, &made, err);
    if (code == KT_OK)
        code = kt_store_cursor_of(kept, KT_RECORDER_LOG, &cursor, err);
    if (code == KT_OK)
        code = kt_recorder_init(&recorder, made, "house", err);
    recorder.boot_id = kt_house_boot_id(sim->house);
    recorder.end = cursor.seq; /* what came while the house stopped waits in the log */
    while (code == KT_OK)
        code = kt_recorder_batch(&recorder, KT_RECORDER_BATCH_MAX, err);
    kt_recorder_close(&recorder);
    code = code == KT_EMPTY ? dump(kept, &texts[0], &sizes[0], err) : code;
    if (code == KT_OK)
        code = dump(made, &texts[1], &sizes[1], err);
    if (code == KT_OK && (sizes[0] != sizes[1] || memcmp(texts[0], texts[1], sizes[0]) != 0)) {
        size_t at = 0;
        while (at < sizes[0] && at < sizes[1] && texts[0][at] == texts[1][at])
            at++;
        while (at > 0 && texts[0][at - 1] != '\n')
            at--;
        broken(sim, "the store does not hold what the log says: '%.*s' stands where '%.*s' should",
            (int)strcspn(texts[0] + at, "\n"), texts[0] + at, (int)strcspn(texts[1] + at, "\n"), texts[1] + at);
    }
    free(texts[0]);
    free(texts[1]);
    kt_store_close(kept);
    kt_store_close(made);
    kt_config_free(config);
    return code;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_segment(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);

    return n > 4 && strcmp(entry->d_name + n - 4, ".seg") == 0;
}

static uint64_t hash_file(const char *path, uint64_t hash)
{
    uint8_t piece[KT_PAGE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t at = 0;

    for (ssize_t n; fd >= 0 && (n = kt_read_all(fd, piece, sizeof piece, at)) > 0; at += n)
        hash = kt_hash64(piece, (size_t)n, hash);
    if (fd >= 0)
        close(fd);
    return hash;
}

static uint64_t hash_logs(void)
{
    static const char *const logs[] = { "market", "keep", "edge", "house" };
    uint64_t hash = 0;

    for (uint32_t i = 0; i < KT_COUNT(logs); i++) {
        char path[128 + NAME_MAX];
        struct dirent **list;
        snprintf(path, sizeof path, "house/%s", logs[i]);
        int count = scandir(path, &list, is_segment, by_name);
        for (int j = 0; j < count; j++) {
            snprintf(path, sizeof path, "house/%s/%s", logs[i], list[j]->d_name);
            hash = hash_file(path, kt_hash64(list[j]->d_name, strlen(list[j]->d_name), hash));
            free(list[j]);
        }
        if (count >= 0)
            free(list);
    }
    return hash;
}

/* ---- all of it ---- */

static void fill_report(simulation *sim)
{
    kt_simulate_report *report = sim->report;
    kt_judge_counts judged = kt_judge_count(sim->judge);
    kt_vnet_counts net = kt_vnet_count(sim->net);
    kt_house_counts house = kt_house_count(sim->house);

    report->virtual_ns = sim->now_ns - START_NS;
    report->deaths = house.deaths;
    report->starts = house.starts;
    report->failed_syncs = kt_vdisk_count(sim->disk).failed_syncs;
    report->unwritten = judged.unwritten;
    report->records = judged.records;
    report->values = judged.values;
    report->validated = judged.validated;
    report->trades = judged.truths;
    report->links = net.links;
    report->refused = net.refused;
    report->cut = net.cut;
    report->silent = net.silent;
    report->trickled = net.trickled;
    report->event_count = sim->next_event < KT_SIMULATE_EVENTS ? sim->next_event : KT_SIMULATE_EVENTS;
    report->hash ^= judged.hash;
}

static void keep_crowd(simulation *sim)
{
    kt_crowd_counts crowd = kt_crowd_count(sim->crowd);

    sim->report->connects = crowd.connects;
    sim->report->resumes = crowd.resumes;
    sim->report->recovered = crowd.recovered;
    sim->report->messages = crowd.messages;
    sim->report->questions = crowd.questions;
    sim->report->answered = crowd.answered;
    sim->report->hash = crowd.hash;
}

/* The oldest first. */
static void order_events(simulation *sim)
{
    char(*events)[256] = sim->report->events;
    uint32_t first = sim->next_event > KT_SIMULATE_EVENTS ? sim->next_event % KT_SIMULATE_EVENTS : 0;

    for (; first > 0; first--) {
        char line[256];
        memcpy(line, events[0], sizeof line);
        memmove(events[0], events[1], (KT_SIMULATE_EVENTS - 1) * sizeof events[0]);
        memcpy(events[KT_SIMULATE_EVENTS - 1], line, sizeof line);
    }
}

static int on_old(const char *path, const struct stat *info, int type, struct FTW *place)
{
    return place->level == 0 ? 0 : remove(path);
}

static kt_code enter_folder(const char *folder, kt_err *err)
{
    if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || nftw(folder, on_old, 16, FTW_PHYS | FTW_DEPTH) != 0 ||
        chdir(folder) != 0 || mkdir("house", 0700) != 0)
        return kt_fail(err, KT_SYS, "cannot use folder '%s'", folder);
    return KT_OK;
}

static kt_code open_all(simulation *sim, kt_err *err)
{
    kt_code code = kt_vdisk_new("house", &sim->rng, sim->cuts, &sim->disk, err);

    if (code == KT_OK)
        code = kt_vdisk_take_sqlite(sim->disk, KT_HOUSE_KEEP, err);
    if (code == KT_OK)
        code = task_new(sim, 0, &sim->net_task, err);
    if (code == KT_OK)
        code = kt_vnet_new(sim->net_task.loop, &sim->rng, &sim->net, err);
    if (code == KT_OK)
        mend_network(sim);
    if (code == KT_OK)
        code = open_venues(sim, err);
    if (code == KT_OK)
        code = write_yaml(sim, err);
    if (code == KT_OK)
        code = open_house(sim, err);
    if (code == KT_OK)
        code = open_judge(sim, err);
    if (code == KT_OK)
        code = open_crowd(sim, err);
    return code;
}

static void close_all(simulation *sim)
{
    kt_crowd_free(sim->crowd);
    kt_judge_free(sim->judge);
    kt_house_free(sim->house);
    for (uint32_t i = 0; i < MARKET_MAX; i++)
        kt_sim_close(sim->venues[i]);
    kt_vnet_free(sim->net);
    kt_loop_free(sim->crowd_task.loop);
    kt_loop_free(sim->venue_task.loop);
    kt_loop_free(sim->net_task.loop);
    kt_vdisk_free(sim->disk);
}

kt_code kt_simulate(const kt_simulate_options *options, kt_simulate_report *out_report, kt_err *err)
{
    simulation sim = { .options = options,
        .kind = kind_of(options),
        .history_ns = history_of(options),
        .report = out_report,
        .now_ns = START_NS,
        .mischief_ns = START_NS + short_run.pause_ms * KT_NS_PER_MS / 2,
        .room_ns = INT64_MAX,
        .durable_before = UINT64_MAX,
        .cuts = options->span_ns <= KT_SIMULATE_CUTS_MAX_NS && options->symbol_count <= WIDE_MIN };
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct rlimit files;

    *out_report = (kt_simulate_report){ 0 };
    kt_rng_init(&sim.rng, options->seed);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    kt_code code = enter_folder(options->folder, err);
    if (code == KT_OK)
        code = open_all(&sim, err);
    if (code == KT_OK)
        code = play(&sim, err);
    if (code == KT_OK)
        keep_crowd(&sim);
    bool whole = code == KT_OK && !is_broken(&sim) && !out_report->stopped;
    if (whole)
        code = stop(&sim, err);
    if (whole && code == KT_OK && !is_broken(&sim) && !is_long(&sim))
        code = compare_store(&sim, err);
    if (code == KT_OK) {
        fill_report(&sim);
        order_events(&sim);
    }
    sim.closing = true;
    close_all(&sim);
    out_report->hash ^= code == KT_OK ? hash_logs() : 0;
    if (before >= 0 && fchdir(before) != 0 && code == KT_OK)
        code = kt_fail(err, KT_SYS, "cannot go back from folder '%s'", options->folder);
    if (before >= 0)
        close(before);
    return code;
}

void kt_simulate_print(const kt_simulate_report *r, FILE *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        { "steps", r->steps },
        { "lanes started", r->starts },
        { "lanes killed", r->deaths },
        { "power cuts", r->power_cuts },
        { "records that they took back", r->unwritten },
        { "syncs that failed", r->failed_syncs },
        { "times that the disk was full", r->full_disks },
        { "connections", r->links },
        { "  refused", r->refused },
        { "  cut off", r->cut },
        { "  silent", r->silent },
        { "  slow", r->trickled },
        { "true trades", r->trades },
        { "records", r->records },
        { "averages", r->values },
        { "  validated, all as the venue's trades give them", r->validated },
        { "clients that came", r->connects },
        { "subscriptions resumed", r->resumes },
        { "  recovered", r->recovered },
        { "messages to clients", r->messages },
        { "questions over REST", r->questions },
        { "  answered", r->answered },
        { "bytes of heap, at most", r->memory_peak },
        { "descriptors, at most", r->files_peak },
        { "bytes on disk, at most", r->disk_peak },
    };

    fprintf(out, "%-50s %18.3f s\n", "virtual time", (double)r->virtual_ns / (double)KT_NS_PER_S);
    for (uint32_t i = 0; i < KT_COUNT(rows); i++)
        fprintf(out, "%-50s %18llu\n", rows[i].name, (unsigned long long)rows[i].value);
    fprintf(out, "%-50s   %016llx\n", "hash of logs and messages", (unsigned long long)r->hash);
}
