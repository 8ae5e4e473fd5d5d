/* How long a call takes that never leaves the node: from kt_bus_call_start() to the answer, through everything that a call has.
 *
 *   call_bench
 *
 * within a lane    a real lane with a log hosts the service and makes the call: the action is looked up by its name, a place
 *                  and a deadline are kept, the service is asked, the answer finds its call. One kt_bus_poll() of the lane
 *                  delivers question and answer
 * between lanes    the same between two processes that are awake, each a lane that turns with its own loop (epoll, log,
 *                  timers); the caller makes its next call when the last one is answered
 * bare             the handler answers with a constant text. "checked": it first reads its parameters from JSON by the
 *                  action's table, and checks them against their bounds; "written": it makes its answer by the table, too
 * calibration      two readings of the clock (in every figure once), a call through a pointer, and a hop between two
 *                  processes that spin on one shared word: what a call can not be below */
#include "base/assert.h"
#include "base/test_util.h"
#include "base/text.h"
#include "bus/ring.h"
#include "lane/lane.h"
#include "log/log.h"
#include "report.h"
#include "schema/actions.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

enum { CALLS = 50000, WARM = 10000, ANSWER_SIZE = 512, CALLER = 0, SERVER = 1 };

#define PARAMS "{\"venue\":\"binance\",\"symbol\":\"BTC/USDT\"}"

static int64_t took_ns[CALLS];

static void die(const char *what, const kt_err *err)
{
    fprintf(stderr, "call_bench: %s: %s\n", what, err != NULL ? err->msg : "");
    exit(1);
}

static int order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

typedef struct figure {
    int64_t p50_ns, p99_ns;
} figure;

static void keep(const char *what, const char *workload, const int64_t list[CALLS])
{
    static double us[CALLS];

    for (uint32_t i = 0; i < CALLS; i++)
        us[i] = (double)list[i] / 1e3;
    bench_keep(what, workload, us, CALLS);
}

static figure figure_of(int64_t list[CALLS])
{
    qsort(list, CALLS, sizeof *list, order);
    return (figure){ list[CALLS / 2], list[CALLS / 100 * 99] };
}

/* ---- calibration ---- */

/* How fine the clock is: the least that two durations differ by. The list is sorted. */
static int64_t least_step_ns(const int64_t list[CALLS])
{
    int64_t least = INT64_MAX;

    for (uint32_t i = 1; i < CALLS; i++)
        if (list[i] > list[i - 1] && list[i] - list[i - 1] < least)
            least = list[i] - list[i - 1];
    return least;
}

static figure clock_figure(void)
{
    for (uint32_t i = 0; i < CALLS; i++) {
        int64_t start_ns = kt_test_now_ns();
        took_ns[i] = kt_test_now_ns() - start_ns;
    }
    return figure_of(took_ns);
}

static uint64_t add_one(uint64_t number)
{
    return number + 1;
}

static double pointer_call_ns(void)
{
    uint64_t (*volatile through)(uint64_t) = add_one;
    uint64_t number = 0;
    int64_t start_ns = kt_test_now_ns();

    for (uint32_t i = 0; i < 100 * CALLS; i++)
        number = through(number);
    kt_assert(number == 100 * CALLS);
    return (double)(kt_test_now_ns() - start_ns) / (100 * CALLS);
}

/* There and back again, on one word. */
static figure hop_figure(void)
{
    _Atomic uint64_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = word != MAP_FAILED ? fork() : -1;

    if (pid < 0)
        die("no second process", NULL);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (uint64_t i = 1; i < 2 * CALLS; i += 2) {
            while (atomic_load_explicit(word, memory_order_acquire) != i) {}
            atomic_store_explicit(word, i + 1, memory_order_release);
        }
        _exit(0);
    }
    for (uint64_t i = 0; i < CALLS; i++) {
        int64_t start_ns = kt_test_now_ns();
        atomic_store_explicit(word, 2 * i + 1, memory_order_release);
        while (atomic_load_explicit(word, memory_order_acquire) != 2 * i + 2) {}
        took_ns[i] = kt_test_now_ns() - start_ns;
    }
    waitpid(pid, NULL, 0);
    munmap(word, 4096);
    return figure_of(took_ns);
}

/* ---- the service ---- */

static bool check(kt_env *env, const kt_call *call)
{
    const kt_table *table = &kt_actions[KT_ACTION_ticker_latest].params;
    kt_params_ticker_latest params;
    kt_json_node nodes[16];
    kt_json_doc doc;
    kt_arena arena;
    char mem[256];

    kt_arena_init(&arena, mem, sizeof mem);
    if (kt_json_parse(call->params, nodes, KT_COUNT(nodes), &doc, NULL) != KT_OK ||
        kt_table_read_json(table, &doc, 0, &arena, &params, NULL) != KT_OK ||
        kt_table_check(table, &params, NULL) != KT_OK) {
        kt_env_answer(env, call, KT_SYNTAX, (kt_text){ NULL, 0 });
        return false;
    }
    return true;
}

static void answer_latest(kt_env *env, const kt_call *call)
{
    const kt_table *table = &kt_actions[KT_ACTION_ticker_latest].response;
    kt_response_ticker_latest response;
    char answer[ANSWER_SIZE];
    kt_json_writer writer;
    kt_text body;

    kt_table_init(table, &response);
    response.bid = (kt_decimal){ .m = 6183712, .scale = 2 };
    response.bid_quantity = (kt_decimal){ .m = 15000, .scale = 4 };
    response.ask = (kt_decimal){ .m = 6183713, .scale = 2 };
    response.ask_quantity = (kt_decimal){ .m = 2500, .scale = 4 };
    kt_json_writer_init(&writer, answer, sizeof answer);
    kt_table_write_json(table, &response, &writer);
    if (kt_json_writer_done(&writer, &body) == KT_OK)
        kt_env_answer(env, call, KT_OK, body);
}

static kt_code on_call(void *state, kt_env *env, const kt_call *call)
{
    if (!kt_text_equal(call->action, KT_TEXT("ticker.bare")) && !check(env, call))
        return KT_OK;
    if (kt_text_equal(call->action, KT_TEXT("ticker.latest")))
        answer_latest(env, call);
    else
        kt_env_answer(env, call, KT_OK, KT_TEXT("{\"status\":\"OK\"}"));
    return KT_OK;
}

static const kt_service_action actions[] = { { "ticker.bare", false }, { "ticker.checked", false },
    { "ticker.latest", false }, { NULL, false } };
static const kt_service_spec service = { .name = "ticker", .version = 1, .actions = actions, .on_call = on_call };
static const kt_service_spec *const services[] = { &service, NULL };
static const kt_service_spec *const no_services[] = { NULL };

/* ---- the caller ---- */

typedef struct caller {
    kt_bus *bus;
    kt_text action;
    int64_t start_ns;
    uint32_t answers;
    bool open;
} caller;

static caller made;

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    caller *self = ctx;

    if (code != KT_OK || body.n == 0)
        die("a call failed", NULL);
    if (self->answers >= WARM)
        took_ns[self->answers - WARM] = kt_test_now_ns() - self->start_ns;
    self->answers++;
    self->open = false;
}

static void start_call(caller *self)
{
    kt_bus_call_spec spec = { .action = self->action, .params = KT_TEXT(PARAMS), .on_answer = on_answer, .ctx = self };

    self->open = true;
    self->start_ns = kt_test_now_ns();
    if (kt_bus_call_start(self->bus, &spec, NULL, NULL) != KT_OK)
        die("cannot call", NULL);
}

static kt_lane *open_lane(const char *name, const char *dir, const kt_service_spec *const *hosted,
    const kt_feed_spec *const *feeds, const kt_lane_links *links)
{
    kt_lane_options options = { .name = name,
        .data_dir = dir,
        .services = hosted,
        .feeds = feeds,
        .version = "bench",
        .segment_size = KT_SEGMENT_SIZE_MIN,
        .links = links };
    kt_err err = { 0 };
    kt_lane *lane;
    bool park;

    if (kt_lane_open(&options, &lane, &park, &err) != KT_OK)
        die("cannot open a lane", &err);
    return lane;
}

static figure within(const char *action)
{
    kt_lane *lane = open_lane("one", kt_test_dir(), services, NULL, NULL);

    made = (caller){ .bus = kt_lane_bus(lane), .action = kt_text_of(action) };
    while (made.answers < WARM + CALLS) {
        start_call(&made);
        while (made.open)
            kt_bus_poll(made.bus);
    }
    kt_lane_close(lane, true);
    return figure_of(took_ns);
}

/* ---- two lanes ---- */

static void caller_turn(void *state)
{
    if (!made.open && made.answers < WARM + CALLS)
        start_call(&made);
}

static bool caller_pending(void *state)
{
    return !made.open;
}

static const kt_feed_spec caller_feed = { .name = "caller", .turn = caller_turn, .pending = caller_pending };
static const kt_feed_spec *const caller_feeds[] = { &caller_feed, NULL };

static kt_lane *open_linked(kt_board *board, const char *dir, uint32_t index, int control_fd, int ring_fd)
{
    static const char *const names[] = { "caller", "server" };
    kt_lane_links links = { .board = board, .lane_index = index, .control_fd = control_fd, .generation = 1 };
    kt_lane *lane = open_lane(
        names[index], dir, index == SERVER ? services : no_services, index == CALLER ? caller_feeds : NULL, &links);
    kt_err err = { 0 };

    if (kt_bus_link(kt_lane_bus(lane), 1 - index, 1, ring_fd, &err) != KT_OK)
        die("no ring", &err);
    return lane;
}

static void serve(kt_board *board, const char *dir, int control_fd, int ring_fd, int ready_fd)
{
    kt_lane *lane = open_linked(board, dir, SERVER, control_fd, ring_fd);
    kt_err err = { 0 };

    atomic_store(&kt_board_page_of(board, SERVER)->state, KT_BOARD_LIVE);
    if (write(ready_fd, "r", 1) != 1)
        die("nobody waits", NULL);
    for (;;)
        if (kt_lane_turn(lane, -1, &err) != KT_OK)
            die("a turn", &err);
}

static figure between(const char *action)
{
    static const char *const names[] = { "caller", "server" };
    const char *dir = kt_test_dir();
    int control[2][2], ready[2], ring_fd;
    kt_board board;
    kt_err err = { 0 };
    char byte;

    if (kt_board_open(&board, names, 2, &err) != KT_OK ||
        kt_peer_link_create(KT_PEER_RING_CAPACITY, &ring_fd, &err) != KT_OK)
        die("no board", &err);
    for (int i = 0; i < 2; i++)
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control[i]) != 0)
            die("no sockets", NULL);
    if (pipe(ready) != 0)
        die("no pipe", NULL);
    pid_t pid = fork();
    if (pid < 0)
        die("no second process", NULL);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(&board, dir, control[SERVER][1], ring_fd, ready[1]);
    }
    if (read(ready[0], &byte, 1) != 1)
        die("the other lane has ended", NULL);
    kt_lane *lane = open_linked(&board, dir, CALLER, control[CALLER][1], ring_fd);
    made = (caller){ .bus = kt_lane_bus(lane), .action = kt_text_of(action) };
    while (made.answers < WARM + CALLS)
        if (kt_lane_turn(lane, -1, &err) != KT_OK)
            die("a turn", &err);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    kt_lane_close(lane, true);
    kt_board_close(&board);
    for (int i = 0; i < 2; i++)
        for (int side = 0; side < 2; side++)
            close(control[i][side]);
    close(ready[0]);
    close(ready[1]);
    return figure_of(took_ns);
}

int main(void)
{
    typedef struct row {
        const char *workload, *action;
        figure (*measure)(const char *action);
        double demand_us; /* on the reference machine */
    } row;
    static const row rows[] = {
        { "within a lane, bare", "ticker.bare", within, 0 },
        { "within a lane, parameters checked", "ticker.checked", within, 0.3 },
        { "within a lane, and an answer of six fields written", "ticker.latest", within, 0 },
        { "between awake lanes, there and back, bare", "ticker.bare", between, 0 },
        { "between awake lanes, there and back, parameters checked", "ticker.checked", between, 3 },
        { "between awake lanes, and an answer of six fields written", "ticker.latest", between, 0 },
    };
    static const char clock_workload[] = "two readings, part of every local call below";
    static const char hop_workload[] = "between two spinning processes, there and back";
    figure clock, hop;
    int64_t step_ns;
    double through_pointer;

    bench_progress("call_bench: clock, pointer, hop");
    clock = clock_figure();
    step_ns = least_step_ns(took_ns);
    keep("clock", clock_workload, took_ns);
    through_pointer = pointer_call_ns();
    hop = hop_figure();
    keep("shared word", hop_workload, took_ns);
    bench_print(&(bench_row){ .what = "clock",
        .workload = clock_workload,
        .figure = bench_text("p50 %.2f us, p99 %.2f us; in steps of %lld ns", (double)clock.p50_ns / 1e3,
            (double)clock.p99_ns / 1e3, (long long)step_ns),
        .met = BENCH_NOT_ASKED });
    bench_print(&(bench_row){ .what = "shared word",
        .workload = hop_workload,
        .figure = bench_text("p50 %.2f us, p99 %.2f us", (double)hop.p50_ns / 1e3, (double)hop.p99_ns / 1e3),
        .met = BENCH_NOT_ASKED });
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        bench_progress("call_bench: %s", rows[i].workload);
        figure took = rows[i].measure(rows[i].action);
        double p50_us = (double)took.p50_ns / 1e3, demand_us = rows[i].demand_us / bench_speed();
        bool alone = rows[i].measure == within;
        keep("local call", rows[i].workload, took_ns);
        bench_print(&(bench_row){ .what = "local call",
            .workload = rows[i].workload,
            .figure = bench_text("p50 %.2f us, p99 %.2f us", p50_us, (double)took.p99_ns / 1e3),
            .against = alone ? bench_text("%.0f calls through a pointer", (double)took.p50_ns / through_pointer)
                             : bench_text("%.1f of the shared word", p50_us * 1e3 / (double)hop.p50_ns),
            .demand = rows[i].demand_us > 0 ? bench_text("p50 at most %.2f us", demand_us) : NULL,
            .met = rows[i].demand_us > 0 ? bench_is(p50_us <= demand_us) : BENCH_NOT_ASKED });
    }
    return 0;
}
