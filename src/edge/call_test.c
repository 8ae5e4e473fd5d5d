#include "edge/test_house.h"

#include "base/test_util.h"
#include "base/time.h"
#include "bus/caller.h"
#include "edge/call.h"
#include "log/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LARGE = 200000 };

#define VENUES                                                                                                     \
    "venues: [{name: binance, format: binance, ws_url: \"ws://127.0.0.1:1/\", rest_url: \"http://127.0.0.1:1/\", " \
    "symbols: [BTC/USDT]}]\n"

static const char yaml[] = "edge: {port: 0, silence_ms: 600000}\n" VENUES;
static const char strict_yaml[] = "edge: {port: 0, silence_ms: 600000, call_rate: 1, call_burst: 100}\n" VENUES;

/* The lanes that answer what the edge does not. */
typedef struct lanes {
    kt_code sent; /* what asking gives */
    bool silent;  /* no answer from within: the test gives it */
    kt_code code;
    const char *body;
    char lane[16], action[64], params[1024], trace[KT_TRACE_TEXT_MAX + 1];
    int64_t timeout_ms;
    uint64_t id;
    uint32_t asked;
} lanes;

static kt_test_house house;
static lanes others;

static kt_code ask(void *ctx, const kt_edge_question *question)
{
    snprintf(others.lane, sizeof others.lane, "%s", question->lane);
    snprintf(others.action, sizeof others.action, "%.*s", KT_TEXT_ARG(question->action));
    snprintf(others.params, sizeof others.params, "%.*s", KT_TEXT_ARG(question->params));
    snprintf(others.trace, sizeof others.trace, "%.*s", KT_TEXT_ARG(question->trace));
    others.timeout_ms = question->timeout_ns / KT_NS_PER_MS;
    others.id = question->id;
    others.asked++;
    if (others.sent == KT_OK && !others.silent)
        kt_edge_answer(house.edge, question->id, others.code, kt_text_of(others.body));
    return others.sent;
}

static int open_house(void **state)
{
    kt_test_house_open(&house, yaml, 0, 0);
    kt_test_vwap(&house, "vwap.5m.binance.BTC/USDT", INT64_C(1684083600000) * KT_NS_PER_MS, "27000.10", 1);
    kt_test_house_open_edge(&house, ask, NULL);
    for (int i = 0; i < 10; i++)
        kt_test_house_turn(&house);
    return 0;
}

static int close_house(void **state)
{
    kt_test_house_close(&house);
    return 0;
}

static int calm(void **state)
{
    others = (lanes){ .body = "{}" };
    return 0;
}

/* ---- over HTTP ---- */

typedef struct row {
    const char *name;
    const char *line;    /* method and target */
    const char *headers; /* each with its CRLF */
    const char *body;
    int status;
    const char *has; /* parts of the answer, separated by | */
} row;

static int exchange(const char *line, const char *headers, const char *body, const char **out_answer)
{
    static char request[LARGE + 4096];

    snprintf(request, sizeof request,
        "%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", line, headers,
        strlen(body), body);
    return kt_test_http(&house, request, out_answer);
}

static void check(const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char parts[512];
        char *save = NULL;
        const char *answer;
        int status;

        print_message("# %s\n", rows[i].name);
        status = exchange(rows[i].line, rows[i].headers, rows[i].body, &answer);
        if (status != rows[i].status)
            fail_msg("%d instead of %d: %s", status, rows[i].status, answer);
        snprintf(parts, sizeof parts, "%s", rows[i].has);
        for (char *part = strtok_r(parts, "|", &save); part != NULL; part = strtok_r(NULL, "|", &save))
            if (strstr(answer, part) == NULL)
                fail_msg("no '%s' in: %s", part, answer);
    }
}

static void paths_come_from_the_table(void **state)
{
    static const row rows[] = {
        { "an action by its name", "GET /v1/vwap/latest?ticker=BTC%2FUSDT", "", "", 200,
            "{\"ticker\":\"BTC/USDT\",\"price\":\"27000.1\",\"ts\":\"1684083600000\"}|application/json" },
        { "and by the path it had before", "GET /latest?ticker=BTC%2FUSDT", "", "", 200, "\"price\":\"27000.1\"" },
        { "without parameters", "GET /v1/health", "", "", 200, "\r\n\r\n{\"status\":\"OK\"}" },
        { "channels", "GET /v1/channels?pattern=vwap.%3E", "", "", 200,
            "{\"channel\":\"vwap.5m.binance.BTC/USDT\",\"log\":\"market\"|\"offset\":1}],\"complete\":true" },
        { "the node", "GET /v1/node/list", "", "", 200, "\"nodes\":[{\"node\":\"|\"version\":\"" },
        { "services", "GET /v1/node/services", "", "", 200,
            "{\"service\":\"vwap\",\"lane\":\"edge\",\"available\":true,\"actions\":[\"vwap.latest\"]}|"
            "{\"service\":\"store\",\"lane\":\"keep\",\"available\":false" },
        { "actions", "GET /v1/node/actions", "", "", 200,
            "{\"action\":\"vwap.latest\"|\"path\":\"/v1/vwap/latest\"|\"breaker\":\"closed\"" },
        { "lanes, of which this edge has none", "GET /v1/node/lanes", "", "", 200, "{\"lanes\":[]}" },
        { "logs", "GET /v1/node/logs", "", "", 200, "{\"log\":\"market\",\"epoch\":\"|\"written\":" },
        { "HEAD", "HEAD /v1/health", "", "", 200, "Content-Length: 15" },
        { "POST where GET is due", "POST /v1/health", "", "{}", 405, "Allow: GET, HEAD, OPTIONS" },
        { "GET where POST is due", "GET /v1/store/query?sql=SELECT", "", "", 405, "Allow: POST, OPTIONS" },
        { "TRACE, which is known and refused", "TRACE /v1/health", "", "", 405, "Allow: GET, HEAD, OPTIONS" },
        { "OPTIONS", "OPTIONS /v1/store/query", "", "", 204, "Access-Control-Allow-Methods: POST, OPTIONS" },
        { "an unknown action", "GET /v1/vwap/best", "", "", 404, "/v1/vwap/latest|\"code\":\"not_found\"" },
        { "nothing can be emitted without a lane", "POST /v1/event/emit", "", "{\"topic\":\"deploy\",\"text\":\"now\"}",
            503, "no log to write to" },
        { "a topic that is no subject", "POST /v1/event/emit", "", "{\"topic\":\"a..b\",\"text\":\"now\"}", 400,
            "\"field\":\"topic\"|empty token" },
    };

    check(rows, KT_COUNT(rows));
}

static void bodies(void **state)
{
    static char large[LARGE + 1];
    const row rows[] = {
        { "nothing", "POST /v1/store/query", "", "", 400, "malformed" },
        { "no JSON", "POST /v1/store/query", "", "{sql", 400, "malformed" },
        { "no object", "POST /v1/store/query", "", "[1]", 400, "wrong_type|JSON object" },
        { "no parameters", "POST /v1/store/query", "", "{}", 400,
            "\"code\":\"missing_field\",\"field\":\"sql\"|text of 1 to 8192 bytes" },
        { "an unknown parameter", "POST /v1/store/query", "", "{\"sql\":\"S\",\"limt\":1}", 400,
            "\"code\":\"unknown_field\",\"field\":\"limt\"|sql, limit" },
        { "a wrongly typed parameter", "POST /v1/store/query", "", "{\"sql\":7}", 400,
            "\"code\":\"wrong_type\",\"field\":\"sql\"|is a number" },
        { "a parameter out of range", "POST /v1/store/query", "", "{\"sql\":\"S\",\"limit\":1001}", 400,
            "\"code\":\"out_of_range\",\"field\":\"limit\"|from 1 to 1000" },
        { "a parameter given twice", "POST /v1/store/query", "", "{\"sql\":\"S\",\"sql\":\"T\"}", 400,
            "\"code\":\"duplicate_field\",\"field\":\"sql\"" },
        { "parameters in the query", "POST /v1/store/query?sql=S", "", "{\"sql\":\"S\"}", 400, "in the body" },
        { "another type", "POST /v1/store/query", "Content-Type: text/plain\r\n", "{\"sql\":\"S\"}", 415,
            "application/json" },
        { "the type with its charset", "POST /v1/store/query", "Content-Type: Application/JSON; charset=utf-8\r\n",
            "{\"sql\":\"S\"}", 200, "" },
        { "the same with a space behind the type", "POST /v1/store/query",
            "Content-Type: application/json ; charset=utf-8\r\n", "{\"sql\":\"S\"}", 200, "" },
        { "too large", "POST /v1/store/query", "", large, 413, "131072" },
        { "a query with an unknown parameter", "GET /v1/health?x=1", "", "", 400, "no parameters" },
        { "a query that lacks a parameter", "GET /v1/book/snapshot?venue=binance", "", "", 400,
            "\"code\":\"missing_field\",\"field\":\"symbol\"" },
        { "a query with a number out of range", "GET /v1/book/snapshot?venue=a&symbol=b&depth=0", "", "", 400,
            "\"field\":\"depth\"|from 1 to 1000" },
        { "a query with a wrongly typed parameter", "GET /v1/book/snapshot?venue=a&symbol=b&depth=many", "", "", 400,
            "\"field\":\"depth\"|'many'" },
    };

    memset(large, 'a', LARGE);
    check(rows, KT_COUNT(rows));
}

/* Parameters are completed with their defaults before they leave; the answer is given on as it is. */
static void other_lanes_are_asked(void **state)
{
    const char *answer;
    int status;

    others.body = "{\"columns\":[],\"rows\":[],\"complete\":true,\"time\":1}";
    status = exchange("POST /v1/store/query", "", "{\"sql\":\"SELECT 1\"}", &answer);
    assert_int_equal(status, 200);
    assert_non_null(strstr(answer, others.body));
    assert_string_equal(others.lane, "keep");
    assert_string_equal(others.action, "store.query");
    assert_string_equal(others.params, "{\"sql\":\"SELECT 1\",\"limit\":1000}");
    assert_int_equal(others.timeout_ms, kt_actions[KT_ACTION_store_query].time_ms);
}

static void refusals_of_other_lanes(void **state)
{
    static const struct {
        const char *name;
        kt_code code;
        const char *body;
        int status;
        const char *has;
    } rows[] = {
        { "with a message", KT_SYNTAX, "near \"FRM\": syntax error", 400, "near \\\"FRM\\\"" },
        { "without one: the row's own words", KT_ARG, "", 400, "pragmas are not allowed" },
        { "an answer too large for the bus", KT_LIMIT, "", 400, "\"code\":\"too_large\"|ask for less" },
        { "a conflict", KT_SEQ, "another revision", 409, "\"error\":\"Conflict\",\"code\":\"conflict\"" },
        { "gone", KT_GONE, "removed", 410, "\"code\":\"gone\"" },
        { "what the house can not help", KT_SYS, "disk", 503, "Retry-After: 1|\"code\":\"unavailable\"" },
        { "a message that is no JSON text", KT_ARG, "\x01\xff\"", 400, "\"message\":\"" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        const row one = { rows[i].name, "POST /v1/store/query", "", "{\"sql\":\"S\"}", rows[i].status, rows[i].has };

        others.code = rows[i].code;
        others.body = rows[i].body;
        check(&one, 1);
    }
}

static void deadlines(void **state)
{
    static const row rows[] = {
        { "in the past", "GET /v1/store/tables", "X-Deadline: 1684083600000\r\n", "", 400,
            "\"field\":\"deadline\"|has passed already" },
        { "in the past as ISO 8601", "GET /v1/store/tables", "X-Deadline: 2023-05-14T17:00:00Z\r\n", "", 400,
            "has passed" },
        { "centuries ago", "GET /v1/store/tables", "X-Deadline: 1734-01-01T00:00:00Z\r\n", "", 400, "already, 9" },
        { "no time", "GET /v1/store/tables", "X-Deadline: soon\r\n", "", 400, "\"field\":\"deadline\"|'soon'" },
        { "nothing", "GET /v1/store/tables", "X-Deadline:\r\n", "", 400, "\"field\":\"deadline\"" },
        { "far away", "GET /v1/store/tables", "X-Deadline: 2200-01-01T00:00:00Z\r\n", "", 200, "" },
    };

    check(rows, 5);
    assert_int_equal(others.asked, 0);
    check(&rows[5], 1);
    assert_int_equal(others.timeout_ms, KT_CALL_TIME_MAX_MS);
}

/* A W3C traceparent: version, trace, span, flags. Ours has a span of its own in the client's trace. */
static void traces(void **state)
{
    static const struct {
        const char *name;
        const char *given;
        bool taken;
    } rows[] = {
        { "none", NULL, false },
        { "well-formed", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true },
        { "with flags 0", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true },
        { "of a later version", "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", true },
        { "too long for version 00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", false },
        { "version ff", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false },
        { "trace of zeros", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false },
        { "span of zeros", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false },
        { "upper case", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false },
        { "too short", "00-4bf92f3577b34da6", false },
        { "something else", "hello", false },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        char headers[256] = "";
        char told[64];
        const char *answer;
        int status;

        print_message("# %s\n", rows[i].name);
        if (rows[i].given != NULL)
            snprintf(headers, sizeof headers, "traceparent: %s\r\nX-Request-Id: row-%zu\r\n", rows[i].given, i);
        status = exchange("GET /v1/store/tables", headers, "", &answer);
        assert_int_equal(status, 200);
        assert_int_equal(sscanf(strstr(answer, "Traceparent: "), "Traceparent: %63s", told), 1);
        assert_int_equal(strlen(told), KT_TRACEPARENT_SIZE);
        assert_memory_equal(told, "00-", 3);
        if (rows[i].taken) {
            assert_memory_equal(told + 3, rows[i].given + 3, 32);
            assert_memory_not_equal(told + 36, rows[i].given + 36, 16);
            assert_memory_equal(told + 53, rows[i].given + 53, 2);
        } else if (rows[i].given != NULL && strlen(rows[i].given) > 35) {
            assert_memory_not_equal(told + 3, rows[i].given + 3, 32);
        }
        snprintf(headers, sizeof headers, "%s row-%zu", told, i);
        if (rows[i].given != NULL)
            assert_string_equal(others.trace, headers); /* the other lane hears the same */
    }
}

static void request_ids(void **state)
{
    static const row rows[] = {
        { "taken", "GET /v1/health", "X-Request-Id: 8f2c.A-b_c:1\r\n", "", 200, "X-Request-Id: 8f2c.A-b_c:1\r\n" },
        { "made", "GET /v1/health", "", "", 200, "X-Request-Id: " },
        { "of refusals, too", "GET /v1/health?x=1", "X-Request-Id: r1\r\n", "", 400, "X-Request-Id: r1\r\n" },
    };
    const char *answer;

    check(rows, KT_COUNT(rows));
    assert_int_equal(exchange("GET /v1/health", "X-Request-Id: <b>\r\n", "", &answer), 200);
    assert_null(strstr(answer, "<b>"));
}

static int64_t clock_now;

/* A house whose time goes on only when the test says so. */
static int open_timed(void **state)
{
    close_house(state);
    clock_now = KT_NS_PER_S;
    kt_test_house_clock = &clock_now;
    open_house(state);
    return calm(state);
}

static int close_timed(void **state)
{
    close_house(state);
    kt_test_house_clock = NULL;
    return open_house(state);
}

/* As often as the lane is asked for one call; time goes on between as long as chance can make it. */
static void tries_are_made(void)
{
    for (uint32_t tries = 1; tries <= KT_CALLER_TRY_MAX; tries++) {
        assert_true(KT_TEST_WAIT((kt_test_house_turn(&house), others.asked == tries), KT_TEST_BOUND_S));
        clock_now += (KT_CALLER_WAIT_NS << (tries - 1)) * 3 / 2;
    }
}

/* Nobody is there: five tries, then the answer says so. Afterwards it works again. */
static void a_lane_that_is_not_there(void **state)
{
    static const row there = { "there", "GET /v1/store/tables", "", "", 200, "{}" };
    kt_test_client client;

    others.sent = KT_NOENT;
    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"op\":\"call\",\"action\":\"store.tables\"}");
    tries_are_made();
    kt_test_client_want(&client, "error");
    assert_string_equal(kt_test_client_text(&client, "code"), "unavailable");
    assert_non_null(strstr(client.message, "lane keep"));
    assert_non_null(strstr(client.message, "is not running"));
    assert_non_null(strstr(client.message, "5 tries"));
    assert_int_equal(others.asked, KT_CALLER_TRY_MAX);
    kt_test_client_close(&client);
    others.sent = KT_OK;
    check(&there, 1);
}

/* Nobody knows what became of the call: only what does no harm is asked again. */
static void a_lane_that_was_started_anew(void **state)
{
    static const row put = { "what changes something", "POST /v1/config/put", "",
        "{\"section\":\"edge\",\"settings\":{}}", 503,
        "\"code\":\"outcome_unknown\"|lane edge was started anew while it had a call of config.put; "
        "look whether it was done before trying again" };
    kt_test_client client;

    others.code = KT_UNKNOWN;
    others.body = "";
    check(&put, 1);
    assert_int_equal(others.asked, 1);
    others.asked = 0;
    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"op\":\"call\",\"action\":\"store.tables\"}");
    tries_are_made();
    kt_test_client_want(&client, "error");
    assert_string_equal(kt_test_client_text(&client, "code"), "outcome_unknown");
    assert_non_null(
        strstr(client.message, "lane keep was started anew while it had a call of store.tables; try again"));
    assert_int_equal(others.asked, KT_CALLER_TRY_MAX);
    kt_test_client_close(&client);
}

static void a_lane_that_keeps_failing_is_left_alone(void **state)
{
    static const row failed = { "its own words", "GET /v1/store/tables", "", "", 503, "the disk is gone" };
    static const row rows[] = {
        { "left alone", "GET /v1/store/tables", "", "", 503,
            "\r\nRetry-After: 1\r\n|\"code\":\"unavailable\"|"
            "store.tables of lane keep has failed too often and is not asked for up to 10 s; try again then" },
        { "told as such", "GET /v1/node/actions", "", "", 200,
            "\"action\":\"store.tables\"|\"breaker\":\"open\",\"calls\":21,\"errors\":21" },
        { "and in the figures", "GET /metrics", "", "", 200,
            "kontor_action_breaker_open{action=\"store.tables\"} 1\n|"
            "kontor_action_breaker_open{action=\"store.query\"} 0\n" },
        { "its other actions are not concerned", "POST /v1/store/query", "", "{\"sql\":\"S\"}", 200, "{}" },
    };
    static const row again = { "asked again", "GET /v1/store/tables", "", "", 200, "{}" };

    others.code = KT_SYS;
    others.body = "the disk is gone";
    for (int i = 0; i < KT_CALLER_BREAKER_MIN; i++)
        check(&failed, 1);
    others.code = KT_OK;
    others.body = "{}";
    check(rows, KT_COUNT(rows));
    assert_int_equal(others.asked, KT_CALLER_BREAKER_MIN + 1);
    clock_now += KT_CALLER_REST_NS - 1;
    check(rows, 1);
    clock_now++;
    check(&again, 1);
    check(&again, 1);
}

static void more_calls_than_one_action_may_have(void **state)
{
    static const row rows[] = {
        { "one too many", "GET /v1/store/tables", "", "", 503, "too many calls of store.tables are open; try again" },
        { "in the figures", "GET /metrics", "", "", 200, "kontor_action_open_calls{action=\"store.tables\"} 96\n" },
    };
    kt_test_client client;

    others.silent = true;
    kt_test_client_open(&client, &house);
    for (int i = 0; i < KT_CALLER_OPEN_MAX + KT_CALLER_QUEUE_MAX; i++)
        kt_test_client_say(&client, "{\"op\":\"call\",\"action\":\"store.tables\"}");
    kt_test_client_say(&client, "{\"op\":\"ping\"}");
    kt_test_client_want(&client, "pong");
    assert_int_equal(others.asked, KT_CALLER_OPEN_MAX);
    check(rows, KT_COUNT(rows));
    kt_edge_answer(house.edge, others.id, KT_OK, KT_TEXT("{}")); /* one has gone, and the first that waits is asked */
    kt_test_client_want(&client, "answer");
    assert_int_equal(others.asked, KT_CALLER_OPEN_MAX + 1);
    kt_test_client_close(&client);
}

static void calls_are_counted(void **state)
{
    static const row before = { "once answered, once refused", "GET /v1/ticker/latest?venue=a&symbol=b", "", "", 200,
        "" };
    static const row refused = { "refused", "GET /v1/ticker/latest?venue=a&symbol=b", "", "", 404, "" };
    static const row told = { "told", "GET /v1/node/actions", "", "", 200,
        "\"action\":\"ticker.latest\"|\"calls\":2,\"errors\":1,\"retries\":0,\"open\":0,\"p50\":" };

    check(&before, 1);
    others.code = KT_NOENT;
    others.body = "no such symbol";
    check(&refused, 1);
    check(&told, 1);
}

/* ---- what is said to everybody ---- */

static kt_lane *writer; /* lane edge, whose log takes what is said */
static char writer_dir[600];

static int open_with_log(void **state)
{
    static const kt_service_spec *const services[] = { NULL };
    const char *dir = kt_test_dir();
    kt_err err = { 0 };
    bool park;

    if (kt_lane_open(&(kt_lane_options){ .name = "edge",
                         .data_dir = dir,
                         .services = services,
                         .version = "test",
                         .boot_id = { 1 },
                         .segment_size = KT_SEGMENT_SIZE_MIN,
                         .retention_bytes = 2 * KT_SEGMENT_SIZE_MIN,
                         .hold_bytes = 2 * KT_SEGMENT_SIZE_MIN,
                         .hold_stops_intake = true,
                         .inline_sync = true },
            &writer, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    snprintf(writer_dir, sizeof writer_dir, "%s/edge", dir);
    house.lane = writer;
    kt_test_house_open_edge(&house, ask, NULL);
    return calm(state);
}

static int close_with_log(void **state)
{
    house.lane = NULL;
    kt_test_house_open_edge(&house, ask, NULL);
    kt_lane_close(writer, true);
    return 0;
}

/* A reader holds all that the log may keep for it: until it goes on, nothing more is taken in. */
static void nothing_is_said_while_the_log_takes_nothing_in(void **state)
{
    static const row taken = { "taken", "POST /v1/event/emit", "", "{\"topic\":\"deploy\",\"text\":\"now\"}", 200,
        "{\"channel\":\"note.deploy\",\"seq\":" };
    static const row refused = { "refused", "POST /v1/event/emit", "", "{\"topic\":\"deploy\",\"text\":\"now\"}", 503,
        "log edge takes nothing in at present" };
    static char filling[4096];
    kt_log *log = kt_lane_log(writer);
    kt_cursor *cursor;
    kt_ev_note note;
    kt_code code = KT_OK;

    check(&taken, 1);
    assert_int_equal(kt_cursor_open(writer_dir, "slow", &cursor, NULL), KT_OK);
    kt_event_init(KT_EV_NOTE, &note);
    memset(filling, 'a', sizeof filling);
    note.text = (kt_text){ filling, sizeof filling };
    for (int i = 0; i < 1000 && code == KT_OK; i++) {
        code = kt_lane_input(writer, KT_EV_NOTE, KT_TEXT("note.fill"), 0, &note, NULL);
        assert_int_equal(kt_lane_turn(writer, 0, NULL), KT_OK);
    }
    assert_int_equal(code, KT_FULL);
    uint64_t written = kt_log_written(log);
    check(&refused, 1);
    assert_int_equal(kt_log_written(log), written);
    assert_int_equal(kt_cursor_store(cursor, (kt_cursor_position){ 1, written, written }, NULL), KT_OK);
    assert_int_equal(kt_lane_turn(writer, 0, NULL), KT_OK);
    check(&taken, 1);
    assert_int_equal(kt_log_written(log), written + 1);
    kt_cursor_close(cursor);
}

/* ---- over WebSocket ---- */

static void calls_over_websocket(void **state)
{
    kt_test_client client;

    kt_test_client_open(&client, &house);
    kt_test_client_say(
        &client, "{\"id\":2,\"op\":\"call\",\"action\":\"vwap.latest\",\"params\":{\"ticker\":\"BTC/USDT\"}}");
    kt_test_client_want(&client, "answer");
    assert_int_equal(kt_test_client_u64(&client, "id"), 2);
    assert_string_equal(kt_test_client_text(&client, "op"), "call");
    assert_string_equal(kt_test_client_text(&client, "action"), "vwap.latest");
    assert_string_equal(kt_test_client_text(&client, "data.price"), "27000.1");
    assert_int_equal(strlen(kt_test_client_text(&client, "traceparent")), KT_TRACEPARENT_SIZE);
    kt_test_client_say(&client, "{\"id\":3,\"op\":\"call\",\"action\":\"health\"}");
    kt_test_client_want(&client, "answer");
    assert_string_equal(kt_test_client_text(&client, "data.status"), "OK");

    others.silent = true; /* the answer of another lane comes later; others are answered meanwhile */
    kt_test_client_say(&client, "{\"id\":4,\"op\":\"call\",\"action\":\"store.query\",\"params\":{\"sql\":\"S\"},"
                                "\"request_id\":\"r4\"}");
    kt_test_client_say(&client, "{\"id\":5,\"op\":\"ping\"}");
    kt_test_client_want(&client, "pong");
    assert_non_null(strstr(others.trace, " r4"));
    kt_edge_answer(house.edge, others.id, KT_OK, KT_TEXT("{\"rows\":[]}"));
    kt_test_client_want(&client, "answer");
    assert_int_equal(kt_test_client_u64(&client, "id"), 4);
    assert_string_equal(kt_test_client_text(&client, "request_id"), "r4");
    kt_test_client_close(&client);
}

static void refusals_over_websocket(void **state)
{
    static const struct {
        const char *name, *message, *code, *field, *says;
    } rows[] = {
        { "no action", "{\"id\":1,\"op\":\"call\"}", "missing_field", "action", "action" },
        { "an unknown action", "{\"id\":1,\"op\":\"call\",\"action\":\"vwap.best\"}", "not_found", "action",
            "node.actions" },
        { "a missing parameter", "{\"id\":1,\"op\":\"call\",\"action\":\"vwap.latest\"}", "missing_field", "ticker",
            "text of 1 to 128 bytes" },
        { "an extra parameter", "{\"id\":1,\"op\":\"call\",\"action\":\"health\",\"params\":{\"a\":1}}",
            "unknown_field", "a", "no parameters" },
        { "a wrongly typed parameter",
            "{\"id\":1,\"op\":\"call\",\"action\":\"vwap.latest\",\"params\":{\"ticker\":[]}}", "wrong_type", "ticker",
            "is an array" },
        { "parameters that are no object", "{\"id\":1,\"op\":\"call\",\"action\":\"health\",\"params\":7}",
            "wrong_type", NULL, "JSON object" },
        { "a deadline in the past",
            "{\"id\":1,\"op\":\"call\",\"action\":\"health\",\"deadline\":\"2023-05-14T17:00:00Z\"}", "out_of_range",
            "deadline", "passed" },
        { "a deadline in the past, in ms",
            "{\"id\":1,\"op\":\"call\",\"action\":\"health\",\"deadline\":1684083600000}", "out_of_range", "deadline",
            "passed" },
        { "an empty deadline", "{\"id\":1,\"op\":\"call\",\"action\":\"health\",\"deadline\":\"\"}", "wrong_type",
            "deadline", "ISO 8601" },
        { "a deadline that is no time", "{\"id\":1,\"op\":\"call\",\"action\":\"health\",\"deadline\":\"soon\"}",
            "malformed", "deadline", "ISO 8601" },
        { "an unknown field of the op", "{\"id\":1,\"op\":\"call\",\"action\":\"health\",\"parms\":{}}",
            "unknown_field", "parms", "params" },
    };
    kt_test_client client;

    kt_test_client_open(&client, &house);
    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        print_message("# %s\n", rows[i].name);
        kt_test_client_say(&client, rows[i].message);
        kt_test_client_want(&client, "error");
        assert_int_equal(kt_test_client_u64(&client, "id"), 1);
        assert_string_equal(kt_test_client_text(&client, "code"), rows[i].code);
        if (rows[i].field != NULL)
            assert_string_equal(kt_test_client_text(&client, "field"), rows[i].field);
        if (strstr(kt_test_client_text(&client, "message"), rows[i].says) == NULL)
            fail_msg("no '%s' in: %s", rows[i].says, client.message);
    }
    kt_test_client_close(&client);
}

/* More than a client's buffer could take is refused, and the connection goes on. */
static void an_answer_too_large_for_its_client(void **state)
{
    static char body[KT_CALL_ANSWER_MAX];
    kt_test_client client;

    snprintf(body, sizeof body, "{\"rows\":\"%0*d\"}", KT_CALL_ANSWER_MAX - 100, 0);
    others.body = body;
    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"id\":1,\"op\":\"call\",\"action\":\"store.tables\"}");
    kt_test_client_want(&client, "error");
    assert_string_equal(kt_test_client_text(&client, "code"), "too_large");
    kt_test_client_say(&client, "{\"id\":2,\"op\":\"call\",\"action\":\"health\"}");
    kt_test_client_want(&client, "answer");
    kt_test_client_close(&client);
}

static void a_client_that_leaves_before_the_answer(void **state)
{
    static const row fine = { "others go on", "GET /v1/health", "", "", 200, "OK" };
    kt_test_client client;

    others.silent = true;
    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"id\":1,\"op\":\"call\",\"action\":\"store.tables\"}");
    kt_test_client_say(&client, "{\"id\":2,\"op\":\"ping\"}");
    kt_test_client_want(&client, "pong");
    kt_test_client_close(&client);
    for (int i = 0; i < 20; i++)
        kt_test_house_turn(&house);
    kt_edge_answer(house.edge, others.id, KT_OK, KT_TEXT("{}"));
    check(&fine, 1);
}

/* An edge that closes with calls open answers nobody and leaves nothing behind. */
static void an_edge_that_closes_with_open_calls(void **state)
{
    kt_test_client client;

    others.silent = true;
    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"id\":1,\"op\":\"call\",\"action\":\"store.tables\"}");
    kt_test_client_say(&client, "{\"id\":2,\"op\":\"ping\"}");
    kt_test_client_want(&client, "pong");
    kt_test_house_open_edge(&house, ask, NULL);
    kt_test_client_close(&client);
}

/* ---- who may, and how often ---- */

static void pages_of_others_change_nothing(void **state)
{
    static const row rows[] = {
        { "a program", "POST /v1/event/emit", "", "{\"topic\":\"a\",\"text\":\"b\"}", 503, "no log to write to" },
        { "another site", "POST /v1/event/emit", "Origin: https://example.com\r\n", "{\"topic\":\"a\",\"text\":\"b\"}",
            403, "\"error\":\"Forbidden\",\"code\":\"forbidden\"|event.emit" },
        { "before its body is read", "POST /v1/event/emit", "Origin: https://example.com\r\n", "{", 403, "forbidden" },
        { "it may read", "GET /v1/node/list", "Origin: https://example.com\r\n", "", 200, "\"nodes\":[" },
    };

    check(rows, KT_COUNT(rows));
}

/* The page that opened the connection is the one that asks, however often. */
static void pages_of_others_change_nothing_over_websocket(void **state)
{
    static const struct {
        const char *header, *code;
    } rows[] = {
        { "", "unavailable" }, /* a program is let through to the log that this edge does not have */
        { "Origin: http://127.0.0.1\r\n", "unavailable" },
        { "Origin: https://example.com\r\n", "forbidden" },
        { "Origin: null\r\n", "forbidden" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_test_client client;

        kt_test_clients_header = rows[i].header;
        kt_test_client_open(&client, &house);
        kt_test_clients_header = "";
        kt_test_client_say(&client, "{\"id\":1,\"op\":\"call\",\"action\":\"event.emit\","
                                    "\"params\":{\"topic\":\"a\",\"text\":\"b\"}}");
        kt_test_client_want(&client, "error");
        assert_string_equal(kt_test_client_text(&client, "code"), rows[i].code);
        kt_test_client_say(&client, "{\"id\":2,\"op\":\"call\",\"action\":\"node.list\"}");
        kt_test_client_want(&client, "answer");
        kt_test_client_close(&client);
    }
}

static int open_strict(void **state)
{
    close_house(state);
    kt_test_house_open(&house, strict_yaml, 0, 0);
    kt_test_house_open_edge(&house, ask, NULL);
    return calm(state);
}

static int open_again(void **state)
{
    close_house(state);
    return open_house(state);
}

/* A hundred tokens are five queries; the two doors have one bucket. */
static void a_client_that_asks_too_much(void **state)
{
    static const row query = { "one of five", "POST /v1/store/query", "", "{\"sql\":\"S\"}", 200, "" };
    static const row rows[] = {
        { "one too many", "POST /v1/store/query", "", "{\"sql\":\"S\"}", 429,
            "\"code\":\"too_many_requests\"|\r\nRetry-After: |takes 20 tokens|at most 100|edge.call_rate" },
        { "before its body is read", "POST /v1/store/query", "", "{", 429, "too_many_requests" },
        { "what costs nothing", "GET /v1/health", "", "", 200, "OK" },
        { "the figures", "GET /metrics", "", "", 200,
            "kontor_action_refused_total{action=\"store.query\"} 2\n|"
            "kontor_action_calls_total{action=\"store.query\"} 5\n" },
    };
    kt_test_client client;

    for (int i = 0; i < 5; i++)
        check(&query, 1);
    check(rows, KT_COUNT(rows));
    assert_int_equal(others.asked, 5);
    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"id\":1,\"op\":\"call\",\"action\":\"store.query\",\"params\":{\"sql\":\"S\"}}");
    kt_test_client_want(&client, "error");
    assert_string_equal(kt_test_client_text(&client, "code"), "too_many_requests");
    assert_in_range(kt_test_client_u64(&client, "retry_s"), 1, 20);
    kt_test_client_close(&client);
    assert_int_equal(others.asked, 5);
}

static void who_is_connected(void **state)
{
    static const row none = { "slow ones only", "GET /v1/node/clients?slow=true", "", "", 200,
        "{\"clients\":[],\"complete\":true}" };
    static const row one = { "with what it hears", "GET /v1/node/clients", "", "", 200,
        "\"clients\":[{\"address\":\"127.0.0.1:|\"channels\":2,\"slow\":0,\"slow_begun\":0,\"skipped\":0,"
        "\"messages\":2,\"queued\":0,\"compressed\":false}],\"complete\":true" };
    static const row gone = { "gone", "GET /v1/node/clients", "", "", 200, "{\"clients\":[],\"complete\":true}" };
    kt_test_client client;

    kt_test_client_open(&client, &house);
    kt_test_client_say(&client, "{\"op\":\"subscribe\",\"channel\":\"a.b\"}");
    kt_test_client_want(&client, "answer");
    kt_test_client_say(&client, "{\"op\":\"subscribe\",\"channel\":\"a.c\"}");
    kt_test_client_want(&client, "answer");
    check(&one, 1);
    check(&none, 1);
    kt_test_client_close(&client);
    for (int i = 0; i < 20; i++)
        kt_test_house_turn(&house);
    check(&gone, 1);
}

#define CASE(name) cmocka_unit_test_setup(name, calm)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(paths_come_from_the_table),
        CASE(bodies),
        CASE(other_lanes_are_asked),
        CASE(refusals_of_other_lanes),
        CASE(deadlines),
        CASE(traces),
        CASE(request_ids),
        CASE(calls_are_counted),
        CASE(calls_over_websocket),
        CASE(refusals_over_websocket),
        CASE(an_answer_too_large_for_its_client),
        CASE(a_client_that_leaves_before_the_answer),
        CASE(an_edge_that_closes_with_open_calls),
        CASE(pages_of_others_change_nothing),
        CASE(pages_of_others_change_nothing_over_websocket),
        CASE(who_is_connected),
        cmocka_unit_test_setup_teardown(a_lane_that_is_not_there, open_timed, close_timed),
        cmocka_unit_test_setup_teardown(a_lane_that_was_started_anew, open_timed, close_timed),
        cmocka_unit_test_setup_teardown(a_lane_that_keeps_failing_is_left_alone, open_timed, close_timed),
        cmocka_unit_test_setup_teardown(more_calls_than_one_action_may_have, open_timed, close_timed),
        cmocka_unit_test_setup_teardown(nothing_is_said_while_the_log_takes_nothing_in, open_with_log, close_with_log),
        cmocka_unit_test_setup_teardown(a_client_that_asks_too_much, open_strict, open_again),
    };

    return cmocka_run_group_tests(tests, open_house, close_house);
}
