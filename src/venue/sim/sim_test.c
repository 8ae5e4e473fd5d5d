/* The whole sim over real sockets: a child process runs `kontor sim`, the test is its client. */
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "net/ws_client.h"
#include "venue/sim/options.h"
#include "venue/sim/sim.h"
#include "venue/sim/tape.h"
#include "venue/test_sink.h"

enum { ARG_MAX_COUNT = 32, BODY_MAX = 4 << 20, BOUND_S = 60, NODE_MAX = 1 << 18 };

static kt_json_node nodes[NODE_MAX];

/* ---- the child ---- */

typedef struct sim_child {
    pid_t pid;
    FILE *out; /* its stdout and stderr */
    uint16_t port;
    uint16_t control; /* with --control-port */
} sim_child;

/* Run `kontor sim` with the flags in `flags`, separated by blanks. */
static sim_child start_child(const char *flags)
{
    static char mem[2048];
    char *args[ARG_MAX_COUNT] = { "sim" };
    sim_child child = { 0 };
    int ends[2], count = 1;

    snprintf(mem, sizeof mem, "%s", flags);
    for (char *at = strtok(mem, " "); at != NULL && count < ARG_MAX_COUNT; at = strtok(NULL, " "))
        args[count++] = at;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        int status = kt_sim_main(count, args);

        fflush(NULL);
        _exit(status);
    }
    close(ends[1]);
    child.out = fdopen(ends[0], "r");
    assert_non_null(child.out);
    return child;
}

static sim_child start_sim(const char *flags)
{
    sim_child child = start_child(flags);
    char line[512] = "";
    unsigned port = 0;

    if (fgets(line, sizeof line, child.out) == NULL || sscanf(line, "listening 127.0.0.1:%u", &port) != 1)
        fail_msg("kontor sim %s: %s", flags, line);
    child.port = (uint16_t)port;
    return child;
}

/* One with a port of its own for control. */
static sim_child start_controlled(const char *flags)
{
    char all[2048], line[512] = "";
    unsigned port = 0;

    snprintf(all, sizeof all, "--port 0 --control-port 0 %s", flags);
    sim_child child = start_sim(all);
    if (fgets(line, sizeof line, child.out) == NULL || sscanf(line, "control 127.0.0.1:%u", &port) != 1)
        fail_msg("kontor sim %s: %s", all, line);
    child.control = (uint16_t)port;
    return child;
}

/* End it, and give its exit status. */
static int stop_sim(sim_child *child, int number)
{
    int status = 0;

    if (number != 0)
        kill(child->pid, number);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    fclose(child->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- REST ---- */

/* Connected, or -1. */
static int try_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) }
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Send a request (`method` may have headers behind it, each with its line end) and read all that comes; good until the next
 * call. */
static kt_text exchange(uint16_t port, const char *method, const char *target, const char *headers, const char *content)
{
    static char answer[BODY_MAX];
    int fd = try_connect(port);
    char request[4096];
    size_t size = 0;
    ssize_t n = 0;

    assert_true(fd >= 0);
    n = snprintf(request, sizeof request,
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", method, target, headers,
        strlen(content), content);
    assert_int_equal(write(fd, request, (size_t)n), n);
    while (size < sizeof answer - 1 && (n = read(fd, answer + size, sizeof answer - 1 - size)) > 0)
        size += (size_t)n;
    close(fd);
    answer[size] = '\0';
    return (kt_text){ answer, size };
}

/* GET `target`; the body is good until the next call. */
static kt_text get(uint16_t port, const char *target, uint16_t *out_status)
{
    kt_text answer = exchange(port, "GET", target, "", "");
    unsigned status = 0;
    const char *body = strstr(answer.s, "\r\n\r\n");

    assert_int_equal(sscanf(answer.s, "HTTP/1.1 %u", &status), 1);
    assert_non_null(body);
    *out_status = (uint16_t)status;
    return (kt_text){ body + 4, answer.n - (size_t)(body + 4 - answer.s) };
}

/* Change faults: "{\"drop\":0.5}" */
static void set_faults(const sim_child *sim, const char *values)
{
    char body[512];

    snprintf(body, sizeof body, "{\"faults\":%s}", values);
    if (strstr(exchange(sim->control, "POST", "/v1/sim/faults", "", body).s, "HTTP/1.1 200") == NULL)
        fail_msg("%s", values);
}

static kt_json_doc parsed(kt_text text)
{
    kt_json_doc doc;
    kt_err err = { 0 };

    if (kt_json_parse(text, nodes, NODE_MAX, &doc, &err) != KT_OK)
        fail_msg("%s in %.*s", err.msg, (int)(text.n < 200 ? text.n : 200), text.s);
    return doc;
}

static uint64_t number_of(const kt_json_doc *doc, uint32_t object, const char *name)
{
    uint64_t number = 0;

    assert_int_equal(kt_json_u64(doc, kt_json_get(doc, object, kt_text_of(name)), &number), KT_OK);
    return number;
}

/* How often a fault came. */
static uint64_t delivered(uint16_t port, const char *fault)
{
    uint16_t status = 0;
    kt_json_doc doc = parsed(get(port, "/sim/truth", &status));

    return number_of(&doc, kt_json_get(&doc, 0, KT_TEXT("faults")), fault);
}

/* One number of /sim/truth: of the feed, or of the whole when `feed` is NULL. */
static uint64_t truth(uint16_t port, const char *feed, const char *name)
{
    uint16_t status = 0;
    kt_json_doc doc = parsed(get(port, "/sim/truth", &status));
    uint32_t object = 0;

    if (feed != NULL)
        object = kt_json_get(&doc, kt_json_get(&doc, 0, KT_TEXT("feeds")), kt_text_of(feed));
    return number_of(&doc, object, name);
}

static bool has_ended(uint16_t port)
{
    uint16_t status = 0;
    kt_json_doc doc = parsed(get(port, "/sim/truth", &status));

    return kt_json_kind_of(&doc, kt_json_get(&doc, 0, KT_TEXT("ended"))) == KT_JSON_TRUE;
}

/* ---- the stream ---- */

typedef struct stream_reader {
    kt_loop *loop;
    kt_ws_client *client;
    char url[1024];
    kt_timer timer;
    char *text; /* every message, each with a line end */
    size_t size, capacity;
    uint64_t messages, connections;
    const char *say; /* sent when open */
} stream_reader;

static void connect_reader(stream_reader *reader);

static void on_open(void *ctx, kt_ws_conn *conn)
{
    stream_reader *reader = ctx;

    reader->connections++;
    if (reader->say != NULL)
        assert_int_equal(kt_ws_send(conn, KT_WS_TEXT, reader->say, strlen(reader->say)), KT_OK);
}

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    stream_reader *reader = ctx;

    if (reader->size + size + 2 > reader->capacity) {
        reader->capacity = 2 * reader->capacity + size + 2;
        reader->text = realloc(reader->text, reader->capacity);
        assert_non_null(reader->text);
    }
    memcpy(reader->text + reader->size, payload, size);
    reader->size += size;
    reader->text[reader->size++] = '\n';
    reader->text[reader->size] = '\0';
    reader->messages++;
}

static void on_close(void *ctx, uint16_t code, kt_text reason)
{
    stream_reader *reader = ctx;

    kt_timer_set(reader->loop, &reader->timer, kt_loop_now(reader->loop) + 2 * KT_NS_PER_MS);
}

static void on_due(kt_timer *timer)
{
    connect_reader(timer->ctx);
}

static void connect_reader(stream_reader *reader)
{
    kt_ws_client_options options = {
        .url = reader->url, .on_open = on_open, .on_message = on_message, .on_close = on_close, .ctx = reader
    };
    kt_err err = { 0 };

    kt_ws_client_free(reader->client);
    reader->client = NULL;
    if (kt_ws_connect(reader->loop, &options, &reader->client, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

static void open_reader(stream_reader *reader, uint16_t port, const char *target, const char *say)
{
    *reader = (stream_reader){ .say = say };
    assert_int_equal(kt_loop_new(NULL, &reader->loop, NULL), KT_OK);
    reader->timer = (kt_timer){ .on_due = on_due, .ctx = reader };
    snprintf(reader->url, sizeof reader->url, "ws://127.0.0.1:%u%s", port, target);
    connect_reader(reader);
}

static void close_reader(stream_reader *reader)
{
    kt_ws_client_free(reader->client);
    kt_loop_free(reader->loop);
    free(reader->text);
}

/* Read until at least so many messages are there. */
static void read_messages(stream_reader *reader, uint64_t count)
{
    int64_t end_ns = kt_test_now_ns() + BOUND_S * KT_NS_PER_S;

    while (reader->messages < count) {
        assert_int_equal(kt_loop_turn(reader->loop, 10 * KT_NS_PER_MS, NULL), KT_OK);
        assert_true(kt_test_now_ns() < end_ns);
    }
}

/* Read until the market has ended and everything that was delivered is here. */
static void read_all(stream_reader *reader, uint16_t port, const char *feed)
{
    int64_t end_ns = kt_test_now_ns() + BOUND_S * KT_NS_PER_S;

    for (;;) {
        uint64_t before = reader->messages;

        for (int i = 0; i < 50; i++)
            assert_int_equal(kt_loop_turn(reader->loop, KT_NS_PER_MS, NULL), KT_OK);
        if (reader->messages == before && has_ended(port) && truth(port, feed, "received") == reader->messages)
            return;
        assert_true(kt_test_now_ns() < end_ns);
    }
}

/* ---- tests ---- */

#define ALL_FAULTS                                                                                          \
    "--fault drop=0.03,repeat=0.03,reorder=0.05 --fault malformed=0.01,missing_field=0.01,wrong_type=0.01 " \
    "--fault=absurd_price=0.02,disconnect=0.002,silence=0.0003"

/* What one run gives: the bytes of the stream and the truth file. */
static void record(
    const char *format, const char *target, unsigned seed, const char *path, char **out_text, size_t *out_size)
{
    char flags[1024];
    stream_reader reader;
    sim_child sim;

    snprintf(flags, sizeof flags,
        "--port 0 --format %s --seed %u --speed max --count 20000 --symbols 3 --rate 200 --start-time 2024-01-01T00:00:00Z --truth %s %s",
        format, seed, path, ALL_FAULTS);
    sim = start_sim(flags);
    open_reader(&reader, sim.port, target, NULL);
    read_all(&reader, sim.port, format);
    assert_true(reader.connections > 3);
    assert_int_equal(truth(sim.port, format, "trades"), 20000);
    *out_text = reader.text;
    *out_size = reader.size;
    reader.text = NULL;
    close_reader(&reader);
    assert_int_equal(stop_sim(&sim, SIGTERM), 0);
}

/* Every delivered message of the truth, in order, is what the stream gave; its last line has the totals. */
static void check_truth_file(const char *path, const char *stream)
{
    char *line = malloc(1 << 20), *mem = malloc(1 << 16);
    FILE *file = fopen(path, "r");
    bool totals = false;
    kt_arena arena;

    kt_arena_init(&arena, mem, 1 << 16);
    assert_non_null(file);
    while (fgets(line, 1 << 20, file) != NULL) {
        kt_json_doc doc = parsed((kt_text){ line, strlen(line) - 1 });
        uint32_t event = kt_json_get(&doc, 0, KT_TEXT("delivered"));
        kt_text text;

        totals = kt_json_get(&doc, 0, KT_TEXT("totals")) != 0;
        if (event == 0 || kt_json_kind_of(&doc, event) != KT_JSON_STRING)
            continue;
        kt_arena_reset(&arena);
        assert_int_equal(kt_json_text(&doc, event, &arena, &text), KT_OK);
        assert_memory_equal(stream, text.s, text.n);
        assert_int_equal(stream[text.n], '\n');
        stream += text.n + 1;
    }
    assert_int_equal(*stream, '\0');
    assert_true(totals);
    fclose(file);
    free(line);
    free(mem);
}

static void test_same_seed_same_bytes(void **state)
{
    static const struct {
        const char *format, *target;
    } rows[] = { { "generic", "/stream" }, { "binance", "/ws/btcusdt@trade/ethusdt@trade/solusdt@trade" } };
    const char *dir = kt_test_dir();

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char path[3][512], *text[3];
        size_t size[3], truth_size[3];

        for (unsigned run = 0; run < 3; run++) {
            snprintf(path[run], sizeof path[run], "%s/%zu-%u", dir, i, run);
            record(rows[i].format, rows[i].target, run < 2 ? 5 : 6, path[run], &text[run], &size[run]);
            check_truth_file(path[run], text[run]);
        }
        char *a = kt_test_read_file(path[0], &truth_size[0]), *b = kt_test_read_file(path[1], &truth_size[1]);

        assert_int_equal(size[0], size[1]);
        assert_memory_equal(text[0], text[1], size[0]);
        assert_int_equal(truth_size[0], truth_size[1]);
        assert_memory_equal(a, b, truth_size[0]);
        assert_true(size[2] != size[0] || memcmp(text[2], text[0], size[0]) != 0);
        free(a);
        free(b);
        for (unsigned run = 0; run < 3; run++)
            free(text[run]);
    }
}

/* A sink that keeps rows or ticks by their number. */
typedef struct trade_book {
    kt_sim_trade *trades;
    uint32_t count, max;
} trade_book;

static void keep(
    trade_book *book, uint64_t number, int64_t time_ns, kt_decimal price, kt_decimal quantity, uint8_t side)
{
    kt_sim_trade trade = { .number = number, .time_ms = kt_time_to_ms(time_ns), .seller_took = side == KT_SIDE_SELL };

    assert_int_equal(kt_decimal_rescale(price, KT_SIM_SCALE, &trade.price), KT_OK);
    assert_int_equal(kt_decimal_rescale(quantity, KT_SIM_SCALE, &trade.quantity), KT_OK);
    assert_true(book->count < book->max);
    book->trades[book->count++] = trade;
}

static void keep_tick(void *ctx, kt_text symbol, const kt_ev_tick *tick)
{
    keep(ctx, tick->trade_number, tick->venue_time, tick->price, tick->quantity, tick->side);
}

static void keep_row(void *ctx, const kt_row_trade *row)
{
    keep(ctx, row->trade_number, row->venue_time, row->price, row->quantity, row->side);
}

static void same_trades(const trade_book *book, const kt_sim_trade *expected, uint32_t count)
{
    assert_int_equal(book->count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(book->trades[i].number, expected[i].number);
        assert_int_equal(book->trades[i].time_ms, expected[i].time_ms);
        assert_int_equal(book->trades[i].price, expected[i].price);
        assert_int_equal(book->trades[i].quantity, expected[i].quantity);
        assert_int_equal(book->trades[i].seller_took, expected[i].seller_took);
    }
}

/* The recorded tape without faults: the stream and the pages of REST are the csv, row by row; exchangeInfo has its
 * scales. */
static void test_tape(void **state)
{
    const char *raw = kt_test_recordings("binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz");
    const char *csv = kt_test_recordings("binance/trades_btcusdt_20240808T2354_20240809T0005.csv.gz");
    enum { TRADES = 9757 };
    trade_book book = { .max = TRADES };
    kt_venue_decoder *decoder = NULL;
    kt_ev_request request = { .symbol = KT_TEXT("BTC/USDT"), .what = KT_WHAT_INSTRUMENTS };
    kt_venue_sink sink = { .ctx = &book, .tick = keep_tick, .row = keep_row };
    kt_venue_answer answer;
    kt_sim_tape tape = { 0 };
    stream_reader reader;
    char flags[1024], url[512];
    uint16_t status = 0;
    kt_text body, rest, line;
    sim_child sim;

    assert_non_null(raw);
    assert_non_null(csv);
    book.trades = calloc(TRADES, sizeof(kt_sim_trade));
    decoder = decoder_knowing(&kt_venue_binance, "BTC/USDT", 0);
    assert_int_equal(kt_sim_tape_read(csv, NULL, &tape, NULL), KT_OK);
    snprintf(flags, sizeof flags, "--port=0 --format=binance --speed=max --tape=%s --until-id=3735693015", raw);
    sim = start_sim(flags);
    assert_int_equal(kt_venue_stream_url(decoder, "", 0, kt_venue_symbol_count(decoder), url, sizeof url, NULL), KT_OK);
    open_reader(&reader, sim.port, url, NULL);
    read_all(&reader, sim.port, "binance");

    rest = (kt_text){ reader.text, reader.size - 1 };
    while (kt_text_cut(&rest, '\n', &line))
        kt_venue_decode_message(decoder, line, 1, &sink);
    same_trades(&book, tape.trades, TRADES);

    assert_int_equal(kt_venue_rest_url(decoder, "", &request, url, sizeof url, NULL), KT_OK);
    body = get(sim.port, url, &status);
    kt_venue_decode_answer(decoder, &request, status, body, 1, &sink, &answer);
    assert_string_equal(answer.error, "");
    assert_int_equal(kt_venue_symbol_find(decoder, KT_TEXT("BTC/USDT"))->price_scale, 2);
    assert_int_equal(kt_venue_symbol_find(decoder, KT_TEXT("BTC/USDT"))->quantity_scale, 5);

    book.count = 0;
    request.what = KT_WHAT_TRADES_BY_ID;
    do {
        request.from_id = book.count == 0 ? 1 : book.trades[book.count - 1].number + 1;
        assert_int_equal(kt_venue_rest_url(decoder, "", &request, url, sizeof url, NULL), KT_OK);
        body = get(sim.port, url, &status);
        kt_venue_decode_answer(decoder, &request, status, body, 1, &sink, &answer);
        assert_int_equal(answer.invalid_count, 0);
    } while (answer.full);
    same_trades(&book, tape.trades, TRADES);

    close_reader(&reader);
    assert_int_equal(stop_sim(&sim, SIGTERM), 0);
    kt_sim_tape_done(&tape);
    kt_venue_decoder_free(decoder);
    free(book.trades);
}

/* 250 trades in one millisecond: REST gives the first 100 by id whatever is asked, and those behind can not be had. */
static void test_full_millisecond(void **state)
{
    sim_child sim = start_sim(
        "--port 0 --format generic --speed max --count 3000 --symbols 1 --rate 50 --burst 250 --burst-every 20 "
        "--start-time 1700000000000 --shuffle");
    kt_venue_decoder *decoder = decoder_knowing(&kt_venue_generic, "BTC", 0);
    kt_ev_request request = { .symbol = KT_TEXT("BTC"), .what = KT_WHAT_TRADES_BY_TIME };
    static kt_told told;
    int64_t burst_ms = INT64_C(1700000010000); /* the first comes after half of the interval */
    uint32_t first_id = UINT32_MAX;
    kt_venue_answer answer;
    stream_reader reader;
    uint16_t status = 0;
    char target[256];
    kt_json_doc doc;
    bool shuffled = false;
    uint64_t last = 0;

    open_reader(&reader, sim.port, "/stream", NULL);
    read_all(&reader, sim.port, "generic");
    assert_int_equal(reader.messages, 3000);
    for (char *at = reader.text; (at = strstr(at, "\"ts\":1700000010000,")) != NULL; at++) {
        unsigned long long id = 0;

        assert_int_equal(sscanf(strstr(at, "\"tradeid\""), "\"tradeid\":\"BTC-1700000%llu\"", &id), 1);
        if (id < first_id)
            first_id = (uint32_t)id;
    }
    request.from_time = burst_ms * KT_NS_PER_MS;
    assert_int_equal(kt_venue_rest_url(decoder, "/trades", &request, target, sizeof target, NULL), KT_OK);
    doc = parsed(get(sim.port, target, &status));
    assert_int_equal(kt_json_count(&doc, 0), 100);
    kt_json_each (&doc, 0, row) {
        kt_text id = kt_json_raw(&doc, kt_json_get(&doc, row, KT_TEXT("tradeid")));
        uint64_t number = 0;

        assert_int_equal(number_of(&doc, row, "ts"), burst_ms);
        assert_true(kt_text_starts(id, KT_TEXT("BTC-1700000")));
        assert_int_equal(kt_text_u64((kt_text){ id.s + 11, id.n - 11 }, &number), KT_OK);
        assert_true(number >= first_id && number < first_id + 100);
        shuffled |= number < last;
        last = number;
    }
    assert_true(shuffled);

    /* A millisecond further on come the next ones. */
    request.from_time += KT_NS_PER_MS;
    assert_int_equal(kt_venue_rest_url(decoder, "/trades", &request, target, sizeof target, NULL), KT_OK);
    kt_venue_sink sink = told_start(&told);
    kt_venue_decode_answer(decoder, &request, status, get(sim.port, target, &status), 1, &sink, &answer);
    assert_int_equal(answer.row_count, 100);
    assert_int_equal(answer.invalid_count, 0);
    assert_true(answer.full);
    close_reader(&reader);
    stop_sim(&sim, SIGTERM);
    kt_venue_decoder_free(decoder);
}

/* By the clock: nothing starts before the client is there, both feeds run at once, REST is complete at every moment. */
static void test_paced(void **state)
{
    sim_child sim =
        start_sim("--port 0 --speed 40 --rate 100 --count 400 --symbols 2 --wait 2 --seed 9 --start-time 1700000000000 "
                  "--fault drop=0.1,disconnect=0.01,silence=0.002 --silence-length 2");
    stream_reader generic, binance;
    uint16_t status = 0;
    kt_text body = get(sim.port, "/api/v3/trades?symbol=BTCUSDT", &status);
    int64_t end_ns = kt_test_now_ns() + BOUND_S * KT_NS_PER_S;
    uint64_t rest_trades = 0;
    kt_json_doc doc;

    assert_int_equal(status, 200);
    assert_true(kt_text_equal(body, KT_TEXT("[]")));
    open_reader(&generic, sim.port, "/stream", NULL);
    read_messages(&generic, 0);
    open_reader(&binance, sim.port, "/stream?streams=btcusdt@trade/ethusdt@trade", NULL);
    do {
        uint64_t by_truth = truth(sim.port, NULL, "trades"), by_rest = 0;

        for (int i = 0; i < 5; i++) {
            kt_loop_turn(generic.loop, KT_NS_PER_MS, NULL);
            kt_loop_turn(binance.loop, KT_NS_PER_MS, NULL);
        }
        doc = parsed(get(sim.port, "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=1&limit=1000", &status));
        by_rest = kt_json_count(&doc, 0);
        doc = parsed(get(sim.port, "/api/v3/historicalTrades?symbol=ETHUSDT&fromId=1&limit=1000", &status));
        by_rest += kt_json_count(&doc, 0);
        assert_true(by_rest >= by_truth && by_rest >= rest_trades);
        rest_trades = by_rest;
        assert_true(kt_test_now_ns() < end_ns);
    } while (!has_ended(sim.port));
    read_all(&generic, sim.port, "generic");
    read_all(&binance, sim.port, "binance");
    assert_int_equal(truth(sim.port, NULL, "trades"), 400);
    assert_int_equal(rest_trades <= 400, true);
    assert_int_equal(truth(sim.port, "generic", "trades"), 400);
    assert_int_equal(truth(sim.port, "generic", "received") + truth(sim.port, "generic", "missing"), 400);
    assert_int_equal(truth(sim.port, "binance", "received") + truth(sim.port, "binance", "missing"), 400);
    close_reader(&generic);
    close_reader(&binance);
    assert_int_equal(stop_sim(&sim, SIGINT), 0);
}

static void test_subscribing_by_message(void **state)
{
    static const struct {
        const char *name, *say, *reply;
    } rows[] = {
        { "subscribe",
            "{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@trade\",\"nobody@trade\",\"btcusdt@depth\"],\"id\":1}",
            "{\"result\":null,\"id\":1}" },
        { "list", "{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":\"x\"}", "{\"result\":[],\"id\":\"x\"}" },
        { "no params", "{\"method\":\"SUBSCRIBE\",\"id\":2}",
            "{\"error\":{\"code\":2,\"msg\":\"Invalid request: missing field `params`\"},\"id\":2}" },
        { "unknown method", "{\"method\":\"GET\",\"id\":3}",
            "{\"error\":{\"code\":2,\"msg\":\"Invalid request: unknown variant of method\"},\"id\":3}" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        sim_child sim = start_sim("--port 0 --speed max --count 20 --symbols 1");
        stream_reader reader;

        open_reader(&reader, sim.port, "/ws", rows[i].say);
        read_messages(&reader, 1);
        /* At speed max the first trades may come in the same turn as the reply, and stand before it. */
        if (i == 0)
            read_messages(&reader, 21);
        if (strstr(reader.text, rows[i].reply) == NULL)
            fail_msg("%s: %s", rows[i].name, reader.text);
        close_reader(&reader);
        stop_sim(&sim, SIGTERM);
    }
}

static void test_listing_what_the_address_subscribed(void **state)
{
    sim_child sim = start_sim("--port 0 --symbols 1 --wait 2"); /* so that nothing else is said */
    stream_reader reader;

    open_reader(&reader, sim.port, "/ws/btcusdt@trade/btcusdt@bookTicker/nobody@trade",
        "{\"method\":\"LIST_SUBSCRIPTIONS\",\"id\":1}");
    read_messages(&reader, 1);
    assert_non_null(strstr(reader.text, "{\"result\":[\"btcusdt@trade\",\"btcusdt@bookTicker\"],\"id\":1}"));
    close_reader(&reader);
    stop_sim(&sim, SIGTERM);
}

/* Trades of the last candle that a stream has told; 0: none yet. */
static uint64_t last_candle(const stream_reader *reader)
{
    const char *at = reader->text;
    unsigned long long trades = 0;

    while (at != NULL && (at = strstr(at, "\"trades\":")) != NULL)
        assert_int_equal(sscanf(at++, "\"trades\":%llu", &trades), 1);
    return trades;
}

/* A client that comes in the middle of a minute is told the minutes before, and all of this one: stream and REST agree. */
static void test_candles_of_kraken(void **state)
{
    sim_child sim = start_sim("--port 0 --format kraken_v2 --symbols 1 --start-time 2024-08-08T00:00:20Z --history 60 "
                              "--rate 5 --count 350 --speed max");
    stream_reader reader;
    unsigned long long trades = 0;
    const char *end = NULL;
    uint16_t status = 0;

    open_reader(&reader, sim.port, "/v2",
        "{\"method\":\"subscribe\",\"params\":{\"channel\":\"ohlc\",\"symbol\":[\"BTC/USDT\"]}}");
    assert_true(
        KT_TEST_WAIT(kt_loop_turn(reader.loop, KT_NS_PER_MS, NULL) == KT_OK && last_candle(&reader) > 0, BOUND_S));
    assert_non_null(strstr(reader.text, "\"type\":\"snapshot\""));
    assert_non_null(strstr(reader.text, "\"interval_begin\":\"2024-08-07T23:59:00.000000Z\""));
    assert_true(KT_TEST_WAIT(has_ended(sim.port), BOUND_S));
    end = strstr(get(sim.port, "/0/public/OHLC?pair=XBTUSDT", &status).s, "]],\"last\"");
    assert_non_null(end);
    while (end[-1] != ',')
        end--;
    assert_int_equal(sscanf(end, "%llu", &trades), 1);
    assert_true(trades > 60); /* more than there were since the client came */
    assert_true(KT_TEST_WAIT(
        kt_loop_turn(reader.loop, KT_NS_PER_MS, NULL) == KT_OK && last_candle(&reader) == trades, BOUND_S));
    close_reader(&reader);
    stop_sim(&sim, SIGTERM);
}

static void test_rest_errors(void **state)
{
    static const struct {
        const char *name, *target;
        uint16_t status;
        const char *part;
    } rows[] = {
        { "trades before the start", "/trades?ticker=BTC&startTime=0", 200, "\"ticker\":\"BTC\"" },
        { "trades from a time to come", "/trades?ticker=BTC&startTime=9000000000000", 200, "[]" },
        { "no ticker", "/trades?startTime=0", 400, "ticker=BTC" },
        { "unknown ticker", "/trades?ticker=NONE&startTime=0", 404, "not traded here" },
        { "startTime is no number", "/trades?ticker=BTC&startTime=x", 400, "ms since 1970" },
        { "recent trades", "/api/v3/trades?symbol=BTCUSDT&limit=1", 200, "\"isBestMatch\":true" },
        { "no symbol", "/api/v3/trades", 400, "-1102" },
        { "invalid symbol", "/api/v3/historicalTrades?symbol=NONE", 400,
            "{\"code\":-1121,\"msg\":\"Invalid symbol.\"}" },
        { "limit is no number", "/api/v3/trades?symbol=BTCUSDT&limit=x", 400, "-1100" },
        { "limit 0", "/api/v3/trades?symbol=BTCUSDT&limit=0", 400, "-1130" },
        { "fromId is no number", "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=-1", 400, "-1100" },
        { "fromId beyond the last", "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=18446744073709551615", 200, "[]" },
        { "a book", "/api/v3/depth?symbol=BTCUSDT&limit=5", 200, "{\"lastUpdateId\":" },
        { "a book of no symbol", "/api/v3/depth?limit=5", 400, "-1102" },
        { "a book of an invalid symbol", "/api/v3/depth?symbol=NONE", 400, "-1121" },
        { "a book: limit is no number", "/api/v3/depth?symbol=BTCUSDT&limit=x", 400, "-1100" },
        { "a book: limit 0", "/api/v3/depth?symbol=BTCUSDT&limit=0", 400, "-1130" },
        { "a book: more than there are", "/api/v3/depth?symbol=BTCUSDT&limit=99999999999", 200, "\"asks\":[[" },
        { "all instruments", "/api/v3/exchangeInfo", 200, "\"symbol\":\"ETHUSDT\"" },
        { "one instrument", "/api/v3/exchangeInfo?symbol=BTCUSDT", 200, "\"tickSize\":\"0.01000000\"" },
        { "an instrument that is none", "/api/v3/exchangeInfo?symbols=%5B%22NONE%22%5D", 400, "-1121" },
        { "symbols that are no list", "/api/v3/exchangeInfo?symbols=BTCUSDT", 400, "-1100" },
        { "unknown path", "/api/v3/klines", 404,
            "there are /stream, /trades, /stream?streams=..., /ws/..., /api/v3/..., /sim/truth and" },
        { "a stream without an upgrade", "/stream", 426, "" },
    };
    sim_child sim = start_sim("--port 0 --symbols 2 --history 100 --wait");

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        uint16_t status = 0;
        kt_text body = get(sim.port, rows[i].target, &status);

        if (status != rows[i].status || memmem(body.s, body.n, rows[i].part, strlen(rows[i].part)) == NULL)
            fail_msg("%s: %u %.*s", rows[i].name, status, (int)(body.n < 300 ? body.n : 300), body.s);
    }
    assert_true(truth(sim.port, NULL, "trades") > 500);
    assert_int_equal(truth(sim.port, "binance", "trades"), 0);
    stop_sim(&sim, SIGTERM);

    sim = start_sim("--port 0 --no-rest --wait");
    uint16_t status = 0;

    get(sim.port, "/trades?ticker=BTC&startTime=0", &status);
    assert_int_equal(status, 503);
    get(sim.port, "/sim/truth", &status);
    assert_int_equal(status, 200);
    stop_sim(&sim, SIGTERM);
}

/* At speed max a client that stops reading stops the market: nothing piles up in the sim. REST goes on. */
static void test_reader_sets_the_pace(void **state)
{
    enum { MESSAGES_MAX = 400000 }; /* what a queue and two socket buffers hold, with room to spare */
    sim_child sim = start_sim("--port 0 --speed max --rate 1000 --symbols 1");
    uint64_t before = 0, now = 0, same = 0;
    stream_reader reader;
    uint16_t status = 0;

    open_reader(&reader, sim.port, "/stream", NULL);
    read_messages(&reader, 10);
    assert_true(KT_TEST_WAIT(
        (before = now, now = truth(sim.port, "generic", "received"), same = now == before ? same + 1 : 0, same == 50),
        BOUND_S));
    assert_true(now < MESSAGES_MAX);
    get(sim.port, "/trades?ticker=BTC&startTime=0", &status);
    assert_int_equal(status, 200);
    read_messages(&reader, now + 1000); /* it goes on with the reader */
    close_reader(&reader);
    assert_int_equal(stop_sim(&sim, SIGTERM), 0);
}

static bool file_holds(const char *path, const char *part)
{
    size_t size = 0;
    char *text = kt_test_read_file(path, &size);
    bool found = text != NULL && strstr(text, part) != NULL;

    free(text);
    return found;
}

static void test_totals_on_a_signal(void **state)
{
    char flags[1024], path[512];
    sim_child sim;

    snprintf(path, sizeof path, "%s/truth", kt_test_dir());
    snprintf(flags, sizeof flags, "--port 0 --wait --truth %s", path);
    sim = start_sim(flags);
    assert_int_equal(kill(sim.pid, SIGUSR1), 0);
    assert_true(KT_TEST_WAIT(file_holds(path, "{\"totals\":{\"started\":false"), BOUND_S));
    assert_int_equal(stop_sim(&sim, SIGTERM), 0);
}

/* ---- faults of connections, REST and schedules ---- */

static void test_rest_faults(void **state)
{
    static const struct {
        const char *fault, *target, *head, *body; /* NULL: whatever */
    } rows[] = {
        { "status_429", "/trades?ticker=BTC&startTime=0", "HTTP/1.1 429", "Too many requests" },
        { "status_429", "/api/v3/trades?symbol=BTCUSDT", "Retry-After: 3\r\n", "-1003" },
        { "status_500", "/trades?ticker=BTC&startTime=0", "HTTP/1.1 500", NULL },
        { "status_503", "/api/v3/exchangeInfo", "HTTP/1.1 503", NULL },
        { "wrong_content_type", "/trades?ticker=BTC&startTime=0", "Content-Type: text/html", "<!doctype html>" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char flags[256];

        snprintf(flags, sizeof flags, "--symbols 1 --history 100 --wait --retry-after 3 --fault %s=1", rows[i].fault);
        sim_child sim = start_controlled(flags);
        kt_text answer = exchange(sim.port, "GET", rows[i].target, "", "");

        if (strstr(answer.s, rows[i].head) == NULL || (rows[i].body != NULL && strstr(answer.s, rows[i].body) == NULL))
            fail_msg("%s: %s", rows[i].fault, answer.s);
        assert_int_equal(delivered(sim.control, rows[i].fault), 1);
        assert_int_equal(truth(sim.control, NULL, "early"), 0);
        exchange(sim.port, "GET", rows[i].target, "", "");
        assert_int_equal(truth(sim.control, NULL, "early"), strcmp(rows[i].fault, "status_429") == 0);
        stop_sim(&sim, SIGTERM);
    }
}

/* The head promises more than comes. */
static void test_truncated_body(void **state)
{
    sim_child sim = start_controlled("--symbols 1 --history 100 --wait --fault truncated_body=1");
    kt_text answer = exchange(sim.port, "GET", "/trades?ticker=BTC&startTime=0", "", "");
    const char *length = strstr(answer.s, "Content-Length: "), *body = strstr(answer.s, "\r\n\r\n");

    assert_non_null(length);
    assert_non_null(body);
    assert_int_equal(atol(length + 16) / 2, answer.n - (size_t)(body + 4 - answer.s));
    stop_sim(&sim, SIGTERM);
}

static uint64_t first_id(uint16_t port, uint64_t from)
{
    char target[128];
    uint16_t status = 0;

    snprintf(target, sizeof target, "/api/v3/historicalTrades?symbol=BTCUSDT&limit=100&fromId=%llu",
        (unsigned long long)from);
    kt_json_doc doc = parsed(get(port, target, &status));
    return number_of(&doc, kt_json_at(&doc, 0, 0), "id");
}

static void test_pages_that_overlap(void **state)
{
    sim_child sim = start_controlled("--symbols 1 --history 100 --wait");
    uint64_t start = first_id(sim.port, 0), from = start + 500;

    assert_int_equal(first_id(sim.port, from), from);
    set_faults(&sim, "{\"overlap\":1}");
    for (int i = 0; i < 10; i++) {
        uint64_t id = first_id(sim.port, from);

        assert_true(id < from && id >= from - 50);
    }
    assert_int_equal(first_id(sim.port, start), start); /* before it there is nothing */
    assert_int_equal(delivered(sim.control, "overlap"), 10);
    stop_sim(&sim, SIGTERM);
}

static void test_port_that_closes(void **state)
{
    sim_child sim = start_controlled("--symbols 1 --rate 100");
    stream_reader reader;
    int fd = -1;

    open_reader(&reader, sim.port, "/stream", NULL);
    read_messages(&reader, 5);
    set_faults(&sim, "{\"refuse\":1}");
    assert_true(KT_TEST_WAIT((fd = try_connect(sim.port), fd < 0 || close(fd) != 0), BOUND_S));
    assert_int_equal(delivered(sim.control, "refuse"), 1);
    set_faults(&sim, "{\"refuse\":0}");
    read_messages(&reader, reader.messages + 5);
    assert_true(reader.connections >= 2);
    close_reader(&reader);
    assert_int_equal(stop_sim(&sim, SIGTERM), 0);
}

/* Some messages, then nothing any more: neither an end nor an answer. */
static void test_half_open(void **state)
{
    sim_child sim = start_controlled("--symbols 1 --speed max --fault half_open=1");
    stream_reader reader;

    open_reader(&reader, sim.port, "/stream", NULL);
    read_messages(&reader, 1);
    assert_true(KT_TEST_WAIT(
        (kt_loop_turn(reader.loop, KT_NS_PER_MS, NULL), delivered(sim.control, "half_open") == 1), BOUND_S));
    for (int i = 0; i < 50; i++)
        kt_loop_turn(reader.loop, KT_NS_PER_MS, NULL);
    assert_int_equal(reader.connections, 1);
    assert_true(kt_ws_is_open(kt_ws_client_conn(reader.client)));
    assert_true(reader.messages >= 1 && reader.messages <= 64);
    assert_int_equal(truth(sim.control, "generic", "received"), reader.messages);
    assert_int_equal(truth(sim.control, NULL, "clients"), 0);
    close_reader(&reader);
    assert_int_equal(stop_sim(&sim, SIGTERM), 0);
}

/* What trickles is what would have come at once. */
static void test_trickle(void **state)
{
    static const char *const flags[] = { "", "--fault trickle=100000" };
    char *text[KT_COUNT(flags)];

    for (size_t i = 0; i < KT_COUNT(flags); i++) {
        stream_reader reader;
        char all[256];

        snprintf(all, sizeof all, "--format generic --symbols 2 --speed max --count 300 --start-time 1700000000000 %s",
            flags[i]);
        sim_child sim = start_controlled(all);
        open_reader(&reader, sim.port, "/stream", NULL);
        read_messages(&reader, 300);
        assert_int_equal(delivered(sim.control, "trickle"), i == 0 ? 0 : 300);
        uint16_t status = 0;
        assert_int_equal(parsed(get(sim.port, "/trades?ticker=BTC&startTime=0", &status)).nodes[0].kind, KT_JSON_ARRAY);
        text[i] = reader.text;
        reader.text = NULL;
        close_reader(&reader);
        stop_sim(&sim, SIGTERM);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}

/* A script gives the same bytes each time, with ports that close and frames that end in the middle. */
static void test_schedule(void **state)
{
    static const char script[] = "steps:\n"
                                 "  - {at: 2s, for: 2s, faults: {drop: 0.3}}\n"
                                 "  - {at: 5s, for: 1s, faults: {silence: 1}}\n"
                                 "  - {at: 8s, for: 1s, faults: {refuse: 1}}\n"
                                 "  - {at: 10s, for: 2s, faults: {cut_frame: 0.05, clock_offset: -500}}\n";
    char path[600], flags[1024], *text[2];
    FILE *file = NULL;

    snprintf(path, sizeof path, "%s/script.yaml", kt_test_dir());
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(script, file);
    fclose(file);
    for (int i = 0; i < 2; i++) {
        stream_reader reader;

        snprintf(flags, sizeof flags,
            "--format generic --symbols 1 --rate 100 --speed max --count 1500 --start-time 1700000000000 --schedule %s",
            path);
        sim_child sim = start_controlled(flags);
        open_reader(&reader, sim.port, "/stream", NULL);
        read_all(&reader, sim.control, "generic");
        assert_true(delivered(sim.control, "drop") > 0 && delivered(sim.control, "silence") > 0);
        assert_int_equal(delivered(sim.control, "refuse"), 1);
        assert_true(delivered(sim.control, "cut_frame") > 0 && delivered(sim.control, "clock_offset") > 0);
        assert_true(reader.connections >= 3);
        text[i] = reader.text;
        reader.text = NULL;
        close_reader(&reader);
        assert_int_equal(stop_sim(&sim, SIGTERM), 0);
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}

/* The action at the sim's own port: look, change, and what is refused with which status. */
static void test_action(void **state)
{
    static const struct {
        const char *name, *method, *headers, *body, *status, *part;
    } rows[] = {
        { "a look", "GET", "", "", "HTTP/1.1 200", "{\"fault\":\"drop\",\"value\":\"0\"" },
        { "a change", "POST", "", "{\"faults\":{\"drop\":0.5}}", "HTTP/1.1 200", "\"value\":\"0.5\"" },
        { "it is there", "GET", "", "", "HTTP/1.1 200", "{\"fault\":\"drop\",\"value\":\"0.5\"" },
        { "out of range", "POST", "", "{\"faults\":{\"drop\":5}}", "HTTP/1.1 400", "drop: '5'" },
        { "no such fault", "POST", "", "{\"faults\":{\"dorp\":5}}", "HTTP/1.1 400", "no such fault" },
        { "a fault that can not come", "POST", "", "{\"faults\":{\"wrong_checksum\":0.1}}", "HTTP/1.1 400",
            "wrong_checksum has no effect without checksums" },
        { "a page of a browser", "POST", "Origin: http://other.example\r\n", "{}", "HTTP/1.1 403", "browser" },
        { "nothing was changed by them", "GET", "", "", "HTTP/1.1 200", "{\"fault\":\"drop\",\"value\":\"0.5\"" },
    };
    sim_child sim = start_controlled("--wait");

    for (size_t i = 0; i < KT_COUNT(rows); i++)
        for (int own = 0; own < 2; own++) {
            kt_text answer =
                exchange(own ? sim.control : sim.port, rows[i].method, "/v1/sim/faults", rows[i].headers, rows[i].body);

            if (strstr(answer.s, rows[i].status) == NULL || strstr(answer.s, rows[i].part) == NULL)
                fail_msg("%s: %s", rows[i].name, answer.s);
        }
    assert_non_null(strstr(exchange(sim.control, "GET", "/trades?ticker=BTC", "", "").s, "HTTP/1.1 404"));
    stop_sim(&sim, SIGTERM);
}

/* Flags, and what keeps the sim from starting: exit status and a message that names it. */
static void test_refusals(void **state)
{
    static const struct {
        const char *name, *flags;
        int status;
        const char *message;
    } rows[] = {
        { "help", "--help", 0, "Usage: kontor sim" },
        { "help in short", "-h", 0, "Usage: kontor sim" },
        { "a port in short", "-p 65536", 2, "--port: '65536'" },
        { "unknown flag", "--speeed 1", 2, "unknown flag '--speeed'" },
        { "not a flag", "speed", 2, "unknown flag 'speed'" },
        { "flag without its value", "--port", 2, "--port needs a value: --port N" },
        { "flag with a value it has not", "--no-rest=1", 2, "--no-rest takes no value" },
        { "port out of range", "--port 65536", 2, "--port: '65536': a whole number from 0 to 65535" },
        { "unknown format", "--format kraken", 2, "kraken_v1 and kraken_v2" },
        { "speed 0", "--speed 0", 2, "--speed: '0': a factor from 0.001 to 1000000, or max" },
        { "rate is no number", "--rate many", 2, "--rate: 'many': a number from 0.001" },
        { "skew below 0", "--skew -1", 2, "--skew: '-1': a number from 0 to 10" },
        { "start-time is no time", "--start-time tomorrow", 2, "a time such as" },
        { "unknown fault", "--fault typo=0.1", 2, "'typo': no such fault; there are drop" },
        { "outage can not be asked for", "--fault outage=0.1", 2, "no such fault" },
        { "fault without a value", "--fault drop", 2, "'drop': NAME=VALUE is needed, such as drop=0.01" },
        { "value without a fault", "--fault =0.1", 2, "'': NAME=VALUE is needed" },
        { "rate of a fault above 1", "--fault drop=1.1", 2, "drop: '1.1': a number from 0 to 1" },
        { "rates above 1 together", "--fault drop=0.6,repeat=0.5", 2, "add up to 1.1" },
        { "rate out of range", "--rate 2000000", 2, "--rate: '2000000': a number from 0.001 to 1000000 is needed" },
        { "until-id without a tape", "--until-id 5", 2, "--until-id has no effect without --tape" },
        { "burst-every without burst", "--burst-every 5", 2, "--burst-every has no effect without --burst" },
        { "burst with a tape", "--burst 5 --tape x.csv", 2, "--burst has no effect with --tape: one of both" },
        { "rate with a tape", "--tape x.csv --rate 5", 2, "--rate has no effect with --tape: one of both" },
        { "shuffle without /trades", "--shuffle --format binance", 2, "--format generic or both" },
        { "a bad certificate without --tls", "--fault wrong_name=0.1", 2, "wrong_name has no effect without --tls" },
        { "crossed books where there are none", "--format generic --fault crossed_book=0.1", 2,
            "crossed_book has no effect without books: --format binance, both, kraken_v1 or kraken_v2" },
        { "a gap where nothing is numbered", "--fault sequence_gap=0.1 --format kraken_v2", 2,
            "sequence_gap has no effect without numbered books: --format binance or both" },
        { "an old snapshot that nobody continues", "--fault old_snapshot=0.1 --format kraken_v2", 2,
            "--format binance or both" },
        { "a checksum where there is none", "--fault wrong_checksum=0.1", 2, "--format kraken_v1 or kraken_v2" },
        { "answers broken that never come", "--no-rest --fault status_500=0.1", 2, "not with --no-rest" },
        { "certificates made and brought", "--tls x --tls-certificate x --tls-key x", 2,
            "--tls has no effect with --tls-certificate: one of both" },
        { "a certificate without its key", "--tls-certificate x", 2,
            "--tls-certificate has no effect without --tls-key" },
        { "retry-after 0", "--retry-after 0", 2, "--retry-after: '0': a whole number from 1" },
        { "no such schedule", "--port 0 --schedule /nowhere/x.yaml", 1, "cannot open schedule '/nowhere/x.yaml'" },
        { "certificates nowhere", "--port 0 --tls /nowhere/x", 1, "cannot make folder '/nowhere/x'" },
        { "bad symbol", "--port 0 --symbols BTC", 1, "BASE/QUOTE" },
        { "no such tape", "--port 0 --tape /nowhere/trades_btcusdt.csv", 1,
            "cannot open tape '/nowhere/trades_btcusdt.csv'" },
        { "truth can not be written", "--port 0 --truth /nowhere/truth", 1, "cannot write --truth '/nowhere/truth'" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        sim_child sim = start_child(rows[i].flags);
        char text[8192];
        size_t n = fread(text, 1, sizeof text - 1, sim.out);
        int status = stop_sim(&sim, 0);

        text[n] = '\0';
        if (status != rows[i].status || strstr(text, rows[i].message) == NULL)
            fail_msg("%s: %d %s", rows[i].name, status, text);
    }
}

static void test_busy_port(void **state)
{
    sim_child sim = start_sim("--port 0 --wait"), second = { 0 };
    char flags[64], text[1024], port[16];
    size_t n = 0;

    snprintf(flags, sizeof flags, "--port %u", sim.port);
    snprintf(port, sizeof port, "%u", sim.port);
    second = start_child(flags);
    n = fread(text, 1, sizeof text - 1, second.out);
    text[n] = '\0';
    assert_int_equal(stop_sim(&second, 0), 1);
    assert_non_null(strstr(text, port));
    stop_sim(&sim, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_bytes),
        KT_TEST_RECORDED(test_tape, "binance/hftbt_spot_btcusdt_20240808.ns_raw.txt.gz"),
        cmocka_unit_test(test_full_millisecond),
        cmocka_unit_test(test_paced),
        cmocka_unit_test(test_subscribing_by_message),
        cmocka_unit_test(test_listing_what_the_address_subscribed),
        cmocka_unit_test(test_candles_of_kraken),
        cmocka_unit_test(test_rest_errors),
        cmocka_unit_test(test_reader_sets_the_pace),
        cmocka_unit_test(test_totals_on_a_signal),
        cmocka_unit_test(test_rest_faults),
        cmocka_unit_test(test_truncated_body),
        cmocka_unit_test(test_pages_that_overlap),
        cmocka_unit_test(test_port_that_closes),
        cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_trickle),
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_action),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_busy_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
