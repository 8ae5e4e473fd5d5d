/* Lanes as processes under a supervisor (reference: log.md 5 and 8). */
#include "lane/supervisor.h"

#include "base/test_util.h"
#include "base/text.h"
#include "lane/test_service.h"
#include "log/reader.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_S = 60, MARKET = 0, KEEP = 1 };

/* What tests tell lanes that are already forked, and hear from them. */
typedef struct shared {
    _Atomic uint64_t ticks_max;    /* the feed makes so many ticks in all */
    _Atomic uint64_t ticks;        /* made so far, over all generations */
    _Atomic uint64_t die_at[2];    /* trade number that kills, of each lane */
    _Atomic uint64_t halt_at[2];   /* trade number at which each lane stands still */
    _Atomic uint64_t halted;       /* one does */
    _Atomic uint64_t poison_call;  /* 1: the feed writes a command that kills, once */
    _Atomic uint64_t crash_start;  /* the feed dies in start */
    _Atomic uint64_t decode_crash; /* the feed dies while it decodes */
    _Atomic uint64_t refused;      /* messages that were set aside */
    _Atomic uint64_t diverge;      /* added to each count: a logic change without a new version */
    _Atomic uint64_t ask;          /* 1: lane keep asks count.read, 2: count.wait */
    _Atomic uint64_t asked;
    _Atomic uint64_t meddle; /* 1: lane keep writes to the page of lane market, once */
    _Atomic uint64_t answered[KT_CODE_COUNT];
    _Atomic uint64_t applied[2];
    _Atomic uint64_t turns[2];
    _Atomic uint32_t not_signalled; /* lanes give up the death signal */
} shared;
static shared *world;

/* ---- feeds ---- */

typedef struct feed {
    kt_lane *lane;
    uint32_t index;
    bool waits; /* for an answer */
} feed;

static kt_code feed_start(kt_lane *lane, uint32_t index, void **out_state)
{
    feed *self = calloc(1, sizeof *self);

    if (atomic_load(&world->crash_start) != 0)
        raise(SIGKILL);
    self->lane = lane;
    self->index = index;
    *out_state = self;
    return KT_OK;
}

static kt_code ticker_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    return feed_start(lane, MARKET, out_state);
}

static void ticker_live(void *state)
{
    feed *self = state;
    static const char message[] = "{\"a message\": that kills}";

    if (atomic_load(&world->decode_crash) == 0)
        return;
    if (!kt_lane_decoding(self->lane, message, sizeof message)) {
        atomic_fetch_add(&world->refused, 1);
        return;
    }
    raise(SIGKILL);
}

static bool ticker_pending(void *state)
{
    return atomic_load(&world->ticks) < atomic_load(&world->ticks_max) || atomic_load(&world->poison_call) == 1;
}

static void ticker_turn(void *state)
{
    feed *self = state;
    char id[32];

    atomic_fetch_add(&world->turns[MARKET], 1);
    if (atomic_load(&world->poison_call) == 1) {
        kt_ev_call call;
        kt_event_init(KT_EV_CALL, &call);
        call.action = KT_TEXT("count.kill");
        atomic_store(&world->poison_call, 2);
        kt_lane_input(self->lane, KT_EV_CALL, KT_TEXT("call.count.kill"), 0, &call, NULL);
    }
    for (int i = 0; i < 16 && atomic_load(&world->ticks) < atomic_load(&world->ticks_max); i++) {
        kt_ev_tick tick = kt_test_tick_of(atomic_fetch_add(&world->ticks, 1) + 1, id);
        kt_lane_input(self->lane, KT_EV_TICK, KT_TEXT("feed.sim.BTC"), 0, &tick, NULL);
    }
    kt_test_counting *counting = kt_lane_service_state(self->lane, "counter");
    atomic_store(&world->applied[MARKET], counting->count);
}

static kt_code asker_start(kt_lane *lane, const kt_config *config, void **out_state, kt_err *err)
{
    return feed_start(lane, KEEP, out_state);
}

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    feed *self = ctx;

    self->waits = false;
    atomic_fetch_add(&world->answered[code], 1);
}

static void asker_turn(void *state)
{
    feed *self = state;
    static const char *const actions[] = { "", "count.read", "count.wait", "count.add" };
    kt_bus_call_spec spec = {
        .to = "market", .timeout_ns = 20 * INT64_C(1000000000), .on_answer = on_answer, .ctx = self
    };

    atomic_fetch_add(&world->turns[KEEP], 1);
    kt_test_counting *counting = kt_lane_service_state(self->lane, "counter");
    atomic_store(&world->applied[KEEP], counting->count);
    if (atomic_load(&world->meddle) == 1) {
        atomic_store(&world->meddle, 2);
        atomic_store(&kt_board_page_of(kt_lane_board(self->lane), MARKET)->restarts, 99);
    }
    if (atomic_load(&world->ask) == 0 || self->waits)
        return;
    spec.action = kt_text_of(actions[atomic_load(&world->ask)]);
    if (kt_bus_call_start(kt_lane_bus(self->lane), &spec, NULL, NULL) == KT_OK) {
        self->waits = true;
        atomic_store(&world->ask, 0);
        atomic_fetch_add(&world->asked, 1);
    }
}

static bool asker_pending(void *state)
{
    return atomic_load(&world->ask) != 0 && !((feed *)state)->waits;
}

static const kt_feed_spec ticker = { .name = "ticker",
    .start = ticker_start,
    .live = ticker_live,
    .turn = ticker_turn,
    .pending = ticker_pending,
    .stop = free };
static const kt_feed_spec asker = {
    .name = "asker", .start = asker_start, .turn = asker_turn, .pending = asker_pending, .stop = free
};

/* ---- the house ---- */

typedef struct house {
    char dir[256];
    kt_supervisor *supervisor;
    kt_supervisor_options options;
    kt_supervisor_lane lanes[2];
} house;

static int run_lane(const kt_lane_links *links, void *ctx)
{
    static const kt_service_spec *const services[2][2] = { { &kt_test_counter, NULL },
        { &kt_test_foreign_counter, NULL } };
    static const kt_feed_spec *const feeds[2][2] = { { &ticker, NULL }, { &asker, NULL } };
    const house *self = ctx;
    uint32_t index = links->lane_index;
    kt_lane_options options = { .name = self->lanes[index].name,
        .data_dir = self->dir,
        .services = services[index],
        .feeds = feeds[index],
        .version = "test",
        .links = links,
        .segment_size = 1 << 16 };

    signal(SIGSEGV, SIG_DFL); /* cmocka's own handler would go on with the tests */
    if (atomic_load(&world->not_signalled))
        prctl(PR_SET_PDEATHSIG, 0);
    kt_test_mood_now.die_at = atomic_load(&world->die_at[index]);
    kt_test_mood_now.halt_at = atomic_load(&world->halt_at[index]);
    kt_test_mood_now.halted = &world->halted;
    kt_test_mood_now.add = atomic_load(&world->diverge);
    return kt_lane_main(&options);
}

/* What the supervisor has said of back-off: milliseconds, in order. */
static char backoffs[256];

static void diag(void *ctx, kt_level level, const char *line)
{
    const char *at = strstr(line, "starts again in ");
    size_t n = strlen(backoffs);

    if (at != NULL)
        snprintf(backoffs + n, sizeof backoffs - n, "%d ", atoi(at + strlen("starts again in ")));
    if (getenv("KONTOR_TEST_DIAG") != NULL)
        fprintf(stderr, "# %s\n", line);
}

static void house_open(house *self, uint32_t lane_count)
{
    kt_err err = { 0 };

    if (world == NULL)
        world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(world, 0, sizeof *world);
    memset(self, 0, sizeof *self);
    backoffs[0] = 0;
    snprintf(self->dir, sizeof self->dir, "%s", kt_test_dir());
    self->lanes[MARKET] = (kt_supervisor_lane){ .name = "market", .run = run_lane, .ctx = self };
    self->lanes[KEEP] = (kt_supervisor_lane){ .name = "keep", .run = run_lane, .ctx = self };
    self->options = (kt_supervisor_options){ .data_dir = self->dir,
        .lanes = self->lanes,
        .lane_count = lane_count,
        .backoff_first_ns = 1000000,
        .backoff_max_ns = 8000000,
        .diag = diag };
    if (kt_supervisor_open(&self->options, &self->supervisor, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

/* Of a running supervisor, whose first member they are. */
static kt_supervisor_options *options_of(const house *self)
{
    return (kt_supervisor_options *)self->supervisor;
}

static kt_board_page *page(const house *self, uint32_t lane)
{
    return kt_board_page_of(kt_supervisor_board(self->supervisor), lane);
}

#define TURN_UNTIL(self, condition)                                                         \
    do {                                                                                    \
        int64_t until_ = kt_test_now_ns() + WAIT_S * INT64_C(1000000000);                   \
        while (!(condition)) {                                                              \
            assert_true(kt_test_now_ns() < until_);                                         \
            assert_int_equal(kt_supervisor_turn((self)->supervisor, 5000000, NULL), KT_OK); \
        }                                                                                   \
    } while (0)

static bool is_state(const house *self, uint32_t lane, kt_board_state state)
{
    return atomic_load(&page(self, lane)->state) == (uint32_t)state;
}

static void ring_lane(const house *self, uint32_t lane)
{
    uint64_t one = 1;

    assert_int_equal(write(kt_supervisor_board(self->supervisor)->bell_fds[lane], &one, sizeof one), sizeof one);
}

/* The feed looks at the world when its lane is awake. */
static void tick_to(const house *self, uint64_t ticks_max)
{
    atomic_store(&world->ticks_max, ticks_max);
    ring_lane(self, MARKET);
}

static void house_stop(house *self)
{
    kt_supervisor_stop(self->supervisor);
    TURN_UNTIL(self, kt_supervisor_stopped(self->supervisor));
    kt_supervisor_close(self->supervisor);
    self->supervisor = NULL;
}

static void kill_lane(house *self, uint32_t lane)
{
    int32_t pid = atomic_load(&page(self, lane)->pid);

    if (pid > 0)
        kill(pid, SIGKILL);
}

/* ---- reading the logs ---- */

typedef struct tally {
    uint64_t inputs, outputs, records, lane_starts;
    uint64_t states[8], alerts, set_asides, divergences;
    uint32_t deaths;     /* that the last set_aside speaks of */
    uint64_t last_count; /* received of the last output: 1, 2, 3 ... is asserted */
    uint64_t numbers;    /* checksum of the trade numbers in their order */
    char alert[512];
} tally;

static tally read_log(const house *self, const char *name)
{
    char path[512];
    tally sum = { 0 };
    kt_reader *reader = NULL;
    const kt_rec *rec;
    uint64_t input_of_output = 0;

    snprintf(path, sizeof path, "%s/%s", self->dir, name);
    assert_int_equal(kt_reader_open(path, NULL, &reader, NULL), KT_OK);
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK) {
        const void *payload = kt_rec_payload(rec);
        uint32_t size = kt_rec_payload_size(rec);
        kt_event_any any;
        kt_text subject = kt_reader_subject(reader, rec->subject);
        assert_int_equal(rec->seq, ++sum.records);
        if (kt_event_decode(rec->kind, payload, size, &any) != KT_OK)
            continue;
        if ((rec->flags & KT_REC_OUTPUT) != 0 && kt_text_equal(subject, KT_TEXT("stats.sim.count"))) {
            sum.outputs++;
            assert_int_equal(any.feed_stats.received, ++sum.last_count);
            assert_true(rec->cause > 0 && rec->cause >= input_of_output);
            input_of_output = rec->cause;
            sum.numbers = sum.numbers * 31 + any.feed_stats.repaired;
        }
        if ((rec->flags & (KT_REC_INPUT | KT_REC_ADMIT)) == 0 && rec->kind != KT_EV_SET_ASIDE &&
            rec->kind != KT_EV_DIVERGENCE)
            continue;
        sum.inputs += rec->kind == KT_EV_TICK;
        sum.lane_starts += rec->kind == KT_EV_LANE_START;
        sum.set_asides += rec->kind == KT_EV_SET_ASIDE;
        sum.divergences += rec->kind == KT_EV_DIVERGENCE;
        if (rec->kind == KT_EV_SET_ASIDE)
            sum.deaths = any.set_aside.deaths;
        if (rec->kind == KT_EV_LANE_STATE)
            sum.states[any.lane_state.state]++;
        if (rec->kind == KT_EV_ALERT) {
            sum.alerts++;
            snprintf(sum.alert, sizeof sum.alert, "%.*s", KT_TEXT_ARG(any.alert.text));
        }
    }
    kt_reader_close(reader);
    return sum;
}

/* ---- log.md 5 ---- */

static void kill_9_at_random_points_gives_each_output_once_and_no_gap(void **state)
{
    house self;
    kt_rng rng;
    uint32_t kills = kt_test_cases(200);

    kt_rng_init(&rng, kt_test_seed());
    house_open(&self, 2);
    tick_to(&self, UINT64_MAX);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    for (uint32_t i = 0; i < kills; i++) {
        uint32_t lane = (uint32_t)kt_rng_below(&rng, 3);
        uint64_t before[2] = { atomic_load(&world->applied[0]), atomic_load(&world->applied[1]) };
        uint32_t starts[2];
        kt_supervisor_turn(self.supervisor, (int64_t)kt_rng_below(&rng, 3000000), NULL);
        for (uint32_t k = MARKET; k <= KEEP; k++) {
            bool killed = lane != 1 - k;

            starts[k] = atomic_load(&page(&self, k)->generation) + (killed && atomic_load(&page(&self, k)->pid) > 0);
            if (killed)
                kill_lane(&self, k);
        }
        /* Only from then on the board speaks of the lanes that live now. */
        TURN_UNTIL(&self, atomic_load(&page(&self, MARKET)->generation) >= starts[MARKET] &&
                              atomic_load(&page(&self, KEEP)->generation) >= starts[KEEP]);
        TURN_UNTIL(&self, atomic_load(&world->applied[0]) > before[0] && atomic_load(&world->applied[1]) > before[1]);
        assert_false(is_state(&self, MARKET, KT_BOARD_PARKED));
        assert_false(is_state(&self, KEEP, KT_BOARD_PARKED));
    }
    tick_to(&self, 0);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    TURN_UNTIL(&self, atomic_load(&world->applied[0]) == atomic_load(&world->applied[1]));
    house_stop(&self);

    tally market = read_log(&self, "market"), keep = read_log(&self, "keep"), said = read_log(&self, "house");
    assert_int_equal(market.outputs, market.inputs);
    assert_int_equal(keep.outputs, market.inputs);
    assert_int_equal(keep.numbers, market.numbers);
    assert_int_equal(market.divergences + keep.divergences, 0);
    assert_true(said.states[KT_LANE_DIED] >= kills / 2);
    assert_int_equal(said.states[KT_LANE_PARKED], 0);
}

static void divergence_is_an_event_and_parks_the_lane(void **state)
{
    house self;

    house_open(&self, 1);
    tick_to(&self, 100);
    TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == 100);
    atomic_store(&world->diverge, 1);
    kill_lane(&self, MARKET);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_PARKED));
    house_stop(&self);
    tally market = read_log(&self, "market"), said = read_log(&self, "house");
    assert_int_equal(market.divergences, 1);
    assert_int_equal(said.states[KT_LANE_PARKED], 1);
    assert_int_equal(said.alerts, 1);
    assert_non_null(strstr(said.alert, "diverges"));
}

/* ---- log.md 8 ---- */

static void five_deaths_in_a_row_without_progress_park_with_event_and_alert(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    tick_to(&self, 10);
    TURN_UNTIL(&self, atomic_load(&world->applied[KEEP]) == 10);
    kill_lane(&self, KEEP); /* a death after progress does not count */
    TURN_UNTIL(&self, atomic_load(&page(&self, KEEP)->restarts) == 1 && is_state(&self, KEEP, KT_BOARD_LIVE));
    atomic_store(&world->crash_start, 1);
    kill_lane(&self, KEEP); /* without: nothing has been applied since */
    TURN_UNTIL(&self, is_state(&self, KEEP, KT_BOARD_PARKED));
    assert_int_equal(atomic_load(&page(&self, KEEP)->restarts), 1 + 4);
    assert_true(is_state(&self, MARKET, KT_BOARD_LIVE));
    house_stop(&self);
    tally said = read_log(&self, "house");
    assert_int_equal(said.states[KT_LANE_PARKED], 1);
    assert_int_equal(said.alerts, 1);
    assert_non_null(strstr(said.alert, "5 times"));
}

static void deaths_with_progress_never_park(void **state)
{
    house self;

    house_open(&self, 1);
    for (uint64_t i = 1; i <= 12; i++) {
        TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE));
        tick_to(&self, i);
        TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == i);
        kill_lane(&self, MARKET);
        TURN_UNTIL(&self, atomic_load(&page(&self, MARKET)->restarts) == i);
    }
    assert_false(is_state(&self, MARKET, KT_BOARD_PARKED));
    house_stop(&self);
    assert_int_equal(read_log(&self, "house").alerts, 0);
}

static void a_lane_that_was_live_for_long_with_nothing_to_do_starts_to_count_anew(void **state)
{
    house self;

    house_open(&self, 1);
    options_of(&self)->settled_ns = 1;
    for (uint32_t i = 1; i <= KT_DEATHS_TO_PARK + 2; i++) {
        TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE));
        kill_lane(&self, MARKET);
        TURN_UNTIL(&self, atomic_load(&page(&self, MARKET)->restarts) == i);
    }
    assert_false(is_state(&self, MARKET, KT_BOARD_PARKED));
    house_stop(&self);
    assert_int_equal(KT_SETTLED_NS, INT64_C(60000000000));
}

static void back_off_doubles_up_to_its_bound_and_is_waited_for(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    options_of(&self)->backoff_max_ns = 3000000;
    atomic_store(&world->crash_start, 1);
    kill_lane(&self, KEEP);
    TURN_UNTIL(&self, is_state(&self, KEEP, KT_BOARD_PARKED));
    assert_string_equal(backoffs, "1 2 3 3 ");
    options_of(&self)->backoff_first_ns = options_of(&self)->backoff_max_ns = INT64_C(3600000000000);
    kill_lane(&self, MARKET);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_WAITING));
    for (int i = 0; i < 10; i++)
        assert_int_equal(kt_supervisor_turn(self.supervisor, 1000000, NULL), KT_OK);
    assert_int_equal(atomic_load(&page(&self, MARKET)->restarts), 0);
    house_stop(&self);
    assert_int_equal(read_log(&self, "house").states[KT_LANE_RUNNING], 2);
}

static void lanes_leave_signals_of_the_terminal_to_their_supervisor(void **state)
{
    house self;

    house_open(&self, 1);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE));
    kill(atomic_load(&page(&self, MARKET)->pid), SIGTERM);
    kill(atomic_load(&page(&self, MARKET)->pid), SIGINT);
    tick_to(&self, 10);
    TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == 10);
    house_stop(&self);
    tally said = read_log(&self, "house");
    assert_int_equal(said.states[KT_LANE_DIED], 0);
    assert_int_equal(said.states[KT_LANE_STOPPED], 1);
}

static void a_lane_can_not_write_to_the_page_of_another(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    atomic_store(&world->meddle, 1);
    ring_lane(&self, KEEP);
    TURN_UNTIL(&self, atomic_load(&world->meddle) == 2);
    TURN_UNTIL(
        &self, atomic_load(&page(&self, KEEP)->restarts) == 1 || atomic_load(&page(&self, MARKET)->restarts) != 0);
    assert_int_equal(atomic_load(&page(&self, MARKET)->restarts), 0);
    house_stop(&self);
}

static void a_name_is_given_to_one_lane(void **state)
{
    static const char *const names[][2] = { { "market", "market" }, { "market", "house" } };
    house self;

    house_open(&self, 1);
    house_stop(&self);
    for (size_t i = 0; i < KT_COUNT(names); i++) {
        kt_err err = { 0 };
        self.lanes[MARKET].name = names[i][0];
        self.lanes[KEEP].name = names[i][1];
        self.options.lane_count = 2;
        assert_int_equal(kt_supervisor_open(&self.options, &self.supervisor, &err), KT_ARG);
        assert_non_null(strstr(err.msg, names[i][1]));
    }
    self.options.lane_count = 0;
    assert_int_equal(kt_supervisor_open(&self.options, &self.supervisor, NULL), KT_LIMIT);
}

static void a_market_message_that_killed_three_times_is_set_aside_with_an_event(void **state)
{
    house self;

    house_open(&self, 2);
    atomic_store(&world->die_at[MARKET], 50);
    kill_lane(&self, MARKET); /* the next generation knows what kills it */
    tick_to(&self, 100);
    TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == 99 && atomic_load(&world->applied[KEEP]) == 100);
    assert_false(is_state(&self, MARKET, KT_BOARD_PARKED));
    kill_lane(&self, MARKET); /* later recoveries skip it too, without dying */
    uint32_t restarts = atomic_load(&page(&self, MARKET)->restarts);
    TURN_UNTIL(
        &self, atomic_load(&page(&self, MARKET)->restarts) == restarts + 1 && is_state(&self, MARKET, KT_BOARD_LIVE));
    house_stop(&self);
    tally market = read_log(&self, "market"), said = read_log(&self, "house");
    assert_int_equal(market.inputs, 100);
    assert_int_equal(market.outputs, 99);
    assert_int_equal(market.set_asides, 1);
    assert_int_equal(said.set_asides, 1);
    assert_int_equal(said.deaths, 3);
}

static void a_foreign_record_that_killed_three_times_is_set_aside(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, KEEP, KT_BOARD_LIVE));
    atomic_store(&world->die_at[KEEP], 50);
    kill_lane(&self, KEEP);
    TURN_UNTIL(&self, atomic_load(&page(&self, KEEP)->restarts) == 1);
    tick_to(&self, 100);
    TURN_UNTIL(&self, atomic_load(&world->applied[KEEP]) == 99);
    house_stop(&self);
    tally keep = read_log(&self, "keep");
    assert_int_equal(keep.outputs, 99);
    assert_int_equal(keep.set_asides, 1);
    assert_int_equal(read_log(&self, "market").outputs, 100);
}

static void a_raw_message_that_killed_the_decoder_three_times_is_set_aside_by_its_hash(void **state)
{
    house self;

    house_open(&self, 1);
    atomic_store(&world->decode_crash, 1);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE));
    kill_lane(&self, MARKET);
    TURN_UNTIL(&self, atomic_load(&world->refused) == 1 && is_state(&self, MARKET, KT_BOARD_LIVE));
    tick_to(&self, 5);
    TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == 5);
    kill_lane(&self, MARKET); /* it stays set aside without a word from the supervisor */
    TURN_UNTIL(&self, atomic_load(&world->refused) == 2);
    house_stop(&self);
    assert_int_equal(read_log(&self, "house").set_asides, 1);
    assert_int_equal(read_log(&self, "market").set_asides, 1);
}

static void a_command_that_kills_is_never_set_aside_but_parks_the_lane(void **state)
{
    house self;

    house_open(&self, 1);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE));
    atomic_store(&world->poison_call, 1);
    ring_lane(&self, MARKET);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_PARKED));
    house_stop(&self);
    tally said = read_log(&self, "house");
    assert_int_equal(said.set_asides, 0);
    assert_int_equal(said.alerts, 1);
    assert_true(said.states[KT_LANE_DIED] >= 5);
}

/* Folders where the log of lane market would make its next segments: to the log a disk without room. */
static void fill_disk(const house *self, bool full)
{
    char path[512];

    for (int serial = 1; serial <= 64; serial++) {
        snprintf(path, sizeof path, "%s/market/ready-%d.tmp", self->dir, serial);
        if (full)
            mkdir(path, 0755); /* where a segment is ready already it is used first */
        else
            rmdir(path);
    }
}

static void a_lane_that_finds_no_room_waits_until_there_is_some(void **state)
{
    house self;

    house_open(&self, 1);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE));
    fill_disk(&self, true);
    tick_to(&self, 20000); /* more than two segments hold: what is refused is gone */
    TURN_UNTIL(&self, atomic_load(&world->ticks) == 20000);
    uint64_t applied = atomic_load(&world->applied[MARKET]);
    assert_true(applied < 20000);
    fill_disk(&self, true); /* the one that was ready is used */
    kill_lane(&self, MARKET);
    TURN_UNTIL(&self, atomic_load(&page(&self, MARKET)->restarts) > 2 * KT_DEATHS_TO_PARK);
    fill_disk(&self, false);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE));
    tick_to(&self, 20100);
    TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == applied + 100);
    house_stop(&self);
    tally said = read_log(&self, "house");
    assert_int_equal(said.states[KT_LANE_PARKED], 0);
    assert_int_equal(said.states[KT_LANE_DIED], 1);
    assert_true(said.states[KT_LANE_WAITING] > KT_DEATHS_TO_PARK);
    assert_int_equal(said.alerts, 1);
    assert_non_null(strstr(said.alert, "waits for room"));
    assert_non_null(strstr(backoffs, "1 2 4 8 8 8 "));
    assert_int_equal(read_log(&self, "market").inputs, applied + 100);
}

/* A supervisor in a process of its own, so that it can be killed. */
static pid_t fork_supervisor(house *self, int lock_wait_ms, int *out_fd)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        kt_err err = { 0 };
        close(fds[0]);
        self->options.lock_wait_ns = (int64_t)lock_wait_ms * 1000000;
        kt_code code = kt_supervisor_open(&self->options, &self->supervisor, &err);
        int32_t told[3] = { (int32_t)code, 0, 0 };
        for (int lane = 0; lane < 2 && code == KT_OK; lane++)
            told[1 + lane] = atomic_load(&page(self, (uint32_t)lane)->pid);
        if (write(fds[1], told, sizeof told) != sizeof told)
            _exit(9);
        if (code == KT_OK)
            code = kt_supervisor_run(self->supervisor, &err);
        kt_supervisor_close(self->supervisor);
        _exit((int)code);
    }
    close(fds[1]);
    *out_fd = fds[0];
    return pid;
}

/* Gone, or a zombie that whoever has inherited it has not buried yet. */
static bool gone(int32_t pid)
{
    char path[64], line[256] = "";
    FILE *file;

    if (kill(pid, 0) != 0 && errno == ESRCH)
        return true;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = fopen(path, "r");
    if (file == NULL)
        return true;
    if (fgets(line, sizeof line, file) == NULL)
        line[0] = 0;
    fclose(file);
    const char *behind_name = strrchr(line, ')');
    return behind_name == NULL || behind_name[2] == 'Z' || behind_name[2] == 'X';
}

/* Each way out is tried alone: a lane that stands still can not read its control socket, one that is not signalled must. */
static void lanes_end_with_their_supervisor(bool stand_still, bool signalled)
{
    house self;
    int32_t told[3];
    int fd;

    house_open(&self, 2);
    house_stop(&self);
    atomic_store(&world->not_signalled, !signalled);
    for (int round = 0; round < 5; round++) {
        atomic_store(&world->turns[MARKET], 0); /* those that have just ended have turned too */
        atomic_store(&world->turns[KEEP], 0);
        pid_t pid = fork_supervisor(&self, 5000, &fd);
        assert_int_equal(read(fd, told, sizeof told), sizeof told);
        assert_int_equal(told[0], KT_OK);
        if (stand_still || !signalled) /* once they turn, each has asked for its signal, or given it up */
            assert_true(
                KT_TEST_WAIT(atomic_load(&world->turns[MARKET]) > 0 && atomic_load(&world->turns[KEEP]) > 0, WAIT_S));
        for (int lane = 1; stand_still && lane < 3; lane++)
            kill(told[lane], SIGSTOP);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(KT_TEST_WAIT(gone(told[1]) && gone(told[2]), WAIT_S));
        close(fd);
    }
}

static void lanes_end_when_the_supervisor_ends(void **state)
{
    lanes_end_with_their_supervisor(false, true);
}

static void lanes_that_stand_still_are_ended_by_the_death_signal(void **state)
{
    lanes_end_with_their_supervisor(true, true);
}

static void lanes_without_the_death_signal_end_with_their_control_socket(void **state)
{
    lanes_end_with_their_supervisor(false, false);
}

static void a_supervisor_killed_while_a_lane_recovers_leaves_nothing_behind(void **state)
{
    house self;
    int32_t told[3];
    int fd;

    house_open(&self, 2);
    house_stop(&self);
    atomic_store(&world->ticks_max, 100);
    for (int round = 0; round < 3; round++) { /* killed live, while market recovers, while keep does */
        atomic_store(&world->turns[MARKET], 0);
        atomic_store(&world->turns[KEEP], 0);
        if (round > 0)
            atomic_store(&world->halt_at[round - 1], 50);
        pid_t pid = fork_supervisor(&self, 5000, &fd);
        assert_int_equal(read(fd, told, sizeof told), sizeof told);
        assert_int_equal(told[0], KT_OK);
        if (round == 0)
            assert_true(KT_TEST_WAIT(atomic_load(&world->applied[KEEP]) == 100, WAIT_S));
        else
            assert_true(KT_TEST_WAIT(atomic_load(&world->halted) == 50, WAIT_S));
        for (int lane = 0; lane < 2;
             lane++) /* one that is live may see its socket close first, and stop with a snapshot */
            if (lane != round - 1) {
                assert_true(
                    KT_TEST_WAIT(atomic_load(&world->turns[lane]) > 0, WAIT_S)); /* its death signal is asked for */
                kill(told[1 + lane], SIGSTOP);
            }
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(KT_TEST_WAIT(gone(told[1]) && gone(told[2]), WAIT_S));
        close(fd);
        memset(world->halt_at, 0, sizeof world->halt_at);
        atomic_store(&world->halted, 0);
    }
    assert_int_equal(kt_supervisor_open(&self.options, &self.supervisor, NULL), KT_OK);
    tick_to(&self, 110);
    TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == 110 && atomic_load(&world->applied[KEEP]) == 110);
    house_stop(&self);
    tally market = read_log(&self, "market"), keep = read_log(&self, "keep");
    assert_int_equal(market.inputs, 110);
    assert_int_equal(market.outputs, 110);
    assert_int_equal(keep.outputs, 110);
    assert_int_equal(keep.numbers, market.numbers);
    assert_int_equal(market.divergences + keep.divergences, 0);
}

static void a_lane_that_stands_still_keeps_no_other_alive(void **state)
{
    house self;
    int32_t told[3];
    int fd;

    house_open(&self, 2);
    house_stop(&self);
    atomic_store(&world->not_signalled, 1);
    atomic_store(&world->turns[MARKET], 0);
    atomic_store(&world->turns[KEEP], 0);
    pid_t pid = fork_supervisor(&self, 5000, &fd);
    assert_int_equal(read(fd, told, sizeof told), sizeof told);
    assert_true(KT_TEST_WAIT(atomic_load(&world->turns[MARKET]) > 0 && atomic_load(&world->turns[KEEP]) > 0, WAIT_S));
    kill(told[1 + KEEP], SIGSTOP); /* forked when the socket of lane market was open */
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    bool ended = KT_TEST_WAIT(gone(told[1 + MARKET]), 20);
    kill(told[1 + KEEP], SIGCONT);
    assert_true(KT_TEST_WAIT(gone(told[1 + KEEP]), WAIT_S));
    assert_true(ended);
    close(fd);
}

static void a_second_supervisor_waits_for_the_locks_and_then_complains(void **state)
{
    house self;
    kt_supervisor *second = NULL;
    kt_err err = { 0 };

    house_open(&self, 1);
    kt_supervisor_options options = self.options;
    options.lock_wait_ns = 200000000;
    int64_t before = kt_test_now_ns();
    assert_int_equal(kt_supervisor_open(&options, &second, &err), KT_BUSY);
    assert_true(kt_test_now_ns() - before >= 200000000);
    assert_non_null(strstr(err.msg, "another kontor has the data folder"));
    assert_non_null(strstr(err.msg, self.dir));
    assert_int_equal(KT_LOCK_WAIT_NS, 5000000000);
    house_stop(&self);
    assert_int_equal(kt_supervisor_open(&options, &second, &err), KT_OK);
    kt_supervisor_close(second);
}

/* A process that holds the log of lane market until it is killed. */
static pid_t hold_lock(const house *self)
{
    int fds[2];
    char held = 0;

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        kt_log_options options;
        kt_log *log;
        char path[512];
        snprintf(path, sizeof path, "%s/market", self->dir);
        kt_log_options_init(&options, path);
        options.segment_size = 1 << 16;
        options.sync = KT_SYNC_INLINE;
        if (kt_log_open(&options, &log, NULL) != KT_OK || write(fds[1], "y", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(fds[0], &held, 1), 1);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static void a_new_supervisor_waits_for_the_locks_of_dying_lanes(void **state)
{
    house self;
    int32_t told[3];
    int fd;

    house_open(&self, 1);
    house_stop(&self);
    pid_t holder = hold_lock(&self); /* as a lane that still dies would */
    atomic_store(&world->ticks_max, 5);
    pid_t pid = fork_supervisor(&self, 30000, &fd);
    assert_int_equal(read(fd, told, sizeof told), sizeof told);
    kt_test_sleep_ms(100);
    assert_int_equal(atomic_load(&world->applied[MARKET]), 0);
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    assert_true(KT_TEST_WAIT(atomic_load(&world->applied[MARKET]) == 5, WAIT_S));
    kill(pid, SIGTERM);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == KT_OK);
    assert_int_equal(read_log(&self, "house").states[KT_LANE_DIED], 0);
    close(fd);
}

static void sigterm_stops_all_lanes_and_their_logs_are_clean(void **state)
{
    house self;
    int32_t told[3];
    int fd, status;

    house_open(&self, 2);
    house_stop(&self);
    pid_t pid = fork_supervisor(&self, 5000, &fd);
    assert_int_equal(read(fd, told, sizeof told), sizeof told);
    atomic_store(&world->ticks_max, 500);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == KT_OK);
    static const char *const names[] = { "house", "market", "keep" };
    for (int i = 0; i < 3; i++) {
        kt_log_options log;
        kt_log *opened = NULL;
        char path[512];
        snprintf(path, sizeof path, "%s/%s", self.dir, names[i]);
        kt_log_options_init(&log, path);
        log.sync = KT_SYNC_INLINE;
        assert_int_equal(kt_log_open(&log, &opened, NULL), KT_OK);
        assert_true(kt_log_recovered(opened)->clean);
        kt_log_close(opened, NULL);
    }
    close(fd);
}

static void a_lane_that_does_not_stop_is_killed_after_a_bounded_time(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    kill(atomic_load(&page(&self, KEEP)->pid), SIGSTOP);
    options_of(&self)->stop_wait_ns = 200000000;
    house_stop(&self);
    tally said = read_log(&self, "house");
    assert_int_equal(said.states[KT_LANE_STOPPED], 1);
    assert_int_equal(said.states[KT_LANE_DIED], 1);
}

static void a_second_signal_kills_what_has_not_stopped(void **state)
{
    house self;
    int32_t told[3];
    int fd, status;

    house_open(&self, 2);
    house_stop(&self);
    self.options.stop_wait_ns = INT64_C(3600000000000);
    atomic_store(&world->turns[MARKET], 0);
    pid_t pid = fork_supervisor(&self, 5000, &fd);
    assert_int_equal(read(fd, told, sizeof told), sizeof told);
    assert_true(KT_TEST_WAIT(atomic_load(&world->turns[MARKET]) > 0, WAIT_S));
    kill(told[1 + KEEP], SIGSTOP);
    kill(pid, SIGTERM);
    assert_true(KT_TEST_WAIT(gone(told[1 + MARKET]), WAIT_S)); /* the first has been read */
    kill(pid, SIGTERM);
    assert_true(KT_TEST_WAIT(gone(told[1 + KEEP]), WAIT_S));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == KT_TIMEOUT);
    close(fd);
}

static void a_stopped_lane_costs_the_others_nothing(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    kill(atomic_load(&page(&self, KEEP)->pid), SIGSTOP);
    tick_to(&self, 20000);
    TURN_UNTIL(&self, atomic_load(&world->applied[MARKET]) == 20000);
    kill_lane(&self, MARKET); /* restarts too, with messages to the stopped one */
    TURN_UNTIL(&self, atomic_load(&page(&self, MARKET)->restarts) == 1 && is_state(&self, MARKET, KT_BOARD_LIVE));
    kill(atomic_load(&page(&self, KEEP)->pid), SIGCONT);
    TURN_UNTIL(&self, atomic_load(&world->applied[KEEP]) == 20000);
    house_stop(&self);
    assert_int_equal(read_log(&self, "keep").numbers, read_log(&self, "market").numbers);
}

static void a_call_goes_over_the_ring_and_is_answered(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    for (uint64_t i = 1; i <= 20; i++) {
        atomic_store(&world->ask, i % 2 == 0 ? 1 : 3); /* questions, and commands whose answer waits for the disk */
        ring_lane(&self, KEEP);
        TURN_UNTIL(&self, atomic_load(&world->answered[KT_OK]) == i);
    }
    house_stop(&self);
    assert_int_equal(read_log(&self, "market").states[0], 0);
}

static void open_calls_end_unknown_when_the_other_side_restarts(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    for (uint64_t i = 1; i <= 3; i++) {
        atomic_store(&world->ask, 2);
        ring_lane(&self, KEEP);
        TURN_UNTIL(&self, atomic_load(&world->asked) == 2 * i - 1);
        kill_lane(&self, MARKET);
        TURN_UNTIL(&self, atomic_load(&world->answered[KT_UNKNOWN]) == i);
        TURN_UNTIL(&self, atomic_load(&page(&self, MARKET)->restarts) == i && is_state(&self, MARKET, KT_BOARD_LIVE));
        atomic_store(&world->ask, 1); /* the next generation's ring works */
        ring_lane(&self, KEEP);
        TURN_UNTIL(&self, atomic_load(&world->answered[KT_OK]) == i);
    }
    house_stop(&self);
}

static void open_calls_end_unknown_when_the_other_side_stays_away(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    options_of(&self)->backoff_first_ns = options_of(&self)->backoff_max_ns = INT64_C(3600000000000);
    atomic_store(&world->ask, 2);
    ring_lane(&self, KEEP);
    TURN_UNTIL(&self, atomic_load(&world->asked) == 1);
    kill_lane(&self, MARKET);
    TURN_UNTIL(&self, atomic_load(&world->answered[KT_UNKNOWN]) == 1);
    assert_true(is_state(&self, MARKET, KT_BOARD_WAITING));
    house_stop(&self);
}

/* Messages that mean nothing, until nothing more fits into the control sockets. */
static void fill_control_sockets(void)
{
    static const uint32_t nothing[3] = { 99 };

    for (int fd = 3; fd < 256; fd++) {
        int type = 0;
        socklen_t size = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
            continue;
        while (send(fd, nothing, sizeof nothing, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {}
    }
}

static void a_lane_that_takes_no_messages_gets_its_ring_when_it_does_again(void **state)
{
    house self;

    house_open(&self, 2);
    TURN_UNTIL(&self, is_state(&self, MARKET, KT_BOARD_LIVE) && is_state(&self, KEEP, KT_BOARD_LIVE));
    kill(atomic_load(&page(&self, KEEP)->pid), SIGSTOP);
    fill_control_sockets();
    kill_lane(&self, MARKET);
    TURN_UNTIL(&self, atomic_load(&page(&self, MARKET)->restarts) == 1 && is_state(&self, MARKET, KT_BOARD_LIVE));
    kill(atomic_load(&page(&self, KEEP)->pid), SIGCONT);
    atomic_store(&world->turns[KEEP], 0);
    ring_lane(&self, KEEP);
    TURN_UNTIL(&self, atomic_load(&world->turns[KEEP]) > 0);
    kt_supervisor_turn(self.supervisor, 1500000000, NULL); /* it is tried again once a second */
    kt_supervisor_turn(self.supervisor, 0, NULL);
    atomic_store(&world->ask, 1);
    ring_lane(&self, KEEP);
    TURN_UNTIL(&self, atomic_load(&world->answered[KT_OK]) == 1);
    assert_true(is_state(&self, KEEP, KT_BOARD_LIVE));
    house_stop(&self);
    assert_int_equal(read_log(&self, "house").states[KT_LANE_DIED], 1);
}

static uint64_t cpu_ticks(int32_t pid)
{
    char path[64];
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        user = system = 0;
    fclose(file);
    return user + system;
}

static void an_idle_house_uses_at_most_two_percent_of_a_core(void **state)
{
    house self;
    uint64_t before = 0, after = 0, turns;

    house_open(&self, 2);
    tick_to(&self, 1000);
    TURN_UNTIL(&self, atomic_load(&world->applied[KEEP]) == 1000 && is_state(&self, MARKET, KT_BOARD_LIVE));
    kt_supervisor_turn(self.supervisor, 300000000, NULL);
    turns = atomic_load(&world->turns[0]) + atomic_load(&world->turns[1]);
    for (uint32_t lane = 0; lane < 2; lane++)
        before += cpu_ticks(atomic_load(&page(&self, lane)->pid));
    kt_supervisor_turn(self.supervisor, 2000000000, NULL);
    for (uint32_t lane = 0; lane < 2; lane++)
        after += cpu_ticks(atomic_load(&page(&self, lane)->pid));
    turns = atomic_load(&world->turns[0]) + atomic_load(&world->turns[1]) - turns;
    assert_true(turns <= 4); /* blocked, not polling */
    assert_true(after - before <= (uint64_t)sysconf(_SC_CLK_TCK) * 2 * 2 / 100);
    house_stop(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_9_at_random_points_gives_each_output_once_and_no_gap),
        cmocka_unit_test(divergence_is_an_event_and_parks_the_lane),
        cmocka_unit_test(five_deaths_in_a_row_without_progress_park_with_event_and_alert),
        cmocka_unit_test(deaths_with_progress_never_park),
        cmocka_unit_test(a_lane_that_was_live_for_long_with_nothing_to_do_starts_to_count_anew),
        cmocka_unit_test(back_off_doubles_up_to_its_bound_and_is_waited_for),
        cmocka_unit_test(lanes_leave_signals_of_the_terminal_to_their_supervisor),
        cmocka_unit_test(a_lane_can_not_write_to_the_page_of_another),
        cmocka_unit_test(a_name_is_given_to_one_lane),
        cmocka_unit_test(a_market_message_that_killed_three_times_is_set_aside_with_an_event),
        cmocka_unit_test(a_foreign_record_that_killed_three_times_is_set_aside),
        cmocka_unit_test(a_raw_message_that_killed_the_decoder_three_times_is_set_aside_by_its_hash),
        cmocka_unit_test(a_command_that_kills_is_never_set_aside_but_parks_the_lane),
        cmocka_unit_test(a_lane_that_finds_no_room_waits_until_there_is_some),
        cmocka_unit_test(lanes_end_when_the_supervisor_ends),
        cmocka_unit_test(lanes_that_stand_still_are_ended_by_the_death_signal),
        cmocka_unit_test(lanes_without_the_death_signal_end_with_their_control_socket),
        cmocka_unit_test(a_supervisor_killed_while_a_lane_recovers_leaves_nothing_behind),
        cmocka_unit_test(a_lane_that_stands_still_keeps_no_other_alive),
        cmocka_unit_test(a_second_supervisor_waits_for_the_locks_and_then_complains),
        cmocka_unit_test(a_new_supervisor_waits_for_the_locks_of_dying_lanes),
        cmocka_unit_test(sigterm_stops_all_lanes_and_their_logs_are_clean),
        cmocka_unit_test(a_lane_that_does_not_stop_is_killed_after_a_bounded_time),
        cmocka_unit_test(a_second_signal_kills_what_has_not_stopped),
        cmocka_unit_test(a_stopped_lane_costs_the_others_nothing),
        cmocka_unit_test(a_call_goes_over_the_ring_and_is_answered),
        cmocka_unit_test(open_calls_end_unknown_when_the_other_side_restarts),
        cmocka_unit_test(open_calls_end_unknown_when_the_other_side_stays_away),
        cmocka_unit_test(a_lane_that_takes_no_messages_gets_its_ring_when_it_does_again),
        cmocka_unit_test(an_idle_house_uses_at_most_two_percent_of_a_core),
    };
    cmocka_set_test_filter(getenv("KONTOR_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
