/* The configuration changes while a lane runs: in the order of its log, the same again after a kill, from a snapshot, and in
 * any other run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/test_util.h"
#include "base/time.h"
#include "lane/script.h"
#include "log/log.h"
#include "log/reader.h"
#include "log/record.h"
#include "schema/config.h"
#include "service/market.h"
#include "service/settings.h"

#define S KT_NS_PER_S

static const kt_service_spec *const services[] = { &kt_settings_service, &kt_market_service, NULL };

static const char config_text[] =
    "vwap: {windows: [5s], interval_ms: 60000, suspect_percent: 10}\n"
    "repair: {enabled: false}\n"
    "venues: [{name: gen, format: generic, ws_url: \"ws://127.0.0.1:1/stream\", rest_url: "
    "\"http://127.0.0.1:1/trades\", price_scale: 2, quantity_scale: 3}]\n";

static kt_config *config_new(const char *text)
{
    kt_config *config = NULL;
    kt_err err = { 0 };

    if (kt_config_parse("test", text, strlen(text), &config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return config;
}

static void change(kt_script *script, const char *section, uint64_t revision, const char *json)
{
    char subject[64];
    kt_ev_kv kv;

    snprintf(subject, sizeof subject, "kv.config.settings.%s", section);
    kt_event_init(KT_EV_KV, &kv);
    kv.key = kt_text_of(subject + 3);
    kv.value = kt_text_of(json);
    kv.revision = revision;
    kv.removed = json[0] == '\0';
    kt_script_input(script, script->now_ns, KT_EV_KV, kt_text_of(subject), &kv);
}

static void tick(kt_script *script, uint32_t number, int64_t price)
{
    char id[16];
    kt_ev_tick ev;

    snprintf(id, sizeof id, "%u", number);
    kt_event_init(KT_EV_TICK, &ev);
    ev.venue_time = 1700000000 * S + number * S / 4;
    ev.receive_time = script->now_ns;
    ev.price = (kt_decimal){ .m = price, .scale = 2 };
    ev.quantity = (kt_decimal){ .m = 1000, .scale = 3 };
    ev.trade_id = kt_text_of(id);
    kt_script_input(script, script->now_ns, KT_EV_TICK, KT_TEXT("feed.gen.BTC"), &ev);
}

static void see_trade(void *ctx, const kt_event *event)
{
    kt_ev_trade ev;

    assert_int_equal(kt_event_decode(KT_EV_TRADE, event->payload, event->size, &ev), KT_OK);
    *(uint32_t *)ctx += ev.suspect;
}

static uint32_t suspects(kt_script *script)
{
    uint32_t count = 0;

    kt_script_each(script, "trades.gen.BTC", see_trade, &count);
    return count;
}

typedef struct told {
    uint32_t count;
    kt_ev_settings last;
    char settings[256];
    char refused[256];
} told;

static void see_settings(void *ctx, const kt_event *event)
{
    told *t = ctx;

    assert_int_equal(kt_event_decode(KT_EV_SETTINGS, event->payload, event->size, &t->last), KT_OK);
    snprintf(t->settings, sizeof t->settings, "%.*s", KT_TEXT_ARG(t->last.settings));
    snprintf(t->refused, sizeof t->refused, "%.*s", KT_TEXT_ARG(t->last.refused));
    t->count++;
}

static told told_of(kt_script *script, const char *subject)
{
    told t = { 0 };

    kt_script_each(script, subject, see_settings, &t);
    return t;
}

/* A trade that is a half off the others: suspect at 10 percent, not at 100. */
static void play_all(kt_script *script, void *ctx)
{
    uint32_t number = 0;

    kt_script_time(script, 1800000000 * S);
    for (; number < 40; number++)
        tick(script, number, 10000);
    tick(script, number++, 15000);
    assert_int_equal(suspects(script), 1);
    change(script, "vwap", 1, "{\"suspect_percent\":100}");
    tick(script, number++, 15000);
    assert_int_equal(suspects(script), 1);
    kt_script_restart(script, false); /* applies the change again at its place */
    tick(script, number++, 15000);
    kt_script_restart(script, true); /* has it from the snapshot */
    tick(script, number++, 15000);
    assert_int_equal(suspects(script), 1);
    change(script, "vwap", 2, "");
    tick(script, number++, 15000);
    assert_int_equal(suspects(script), 2);
    change(script, "vwap", 3, "{\"suspect_percent\":0}");
    change(script, "repair", 1, "{\"enabled\":true,\"interval_ms\":300}");
    tick(script, number++, 10000);
    assert_int_equal(kt_script_each(script, "request.gen", NULL, NULL), 1);
    change(script, "repair", 2, "{\"interval_ms\":300}");
    kt_script_restart(script, false);
    tick(script, number++, 10000);
    kt_script_time(script, script->now_ns + 3600 * S);
}

static void a_change_holds_from_its_record_on_in_every_run(void **state)
{
    kt_config *config = config_new(config_text);

    assert_true(kt_script_deterministic(
        &(kt_script_options){ .lane = "market", .services = services, .config = config }, play_all, NULL));
    kt_config_free(config);
}

static void what_is_not_allowed_changes_nothing_and_says_why(void **state)
{
    kt_config *config = config_new(config_text);
    kt_script script;
    told t;

    kt_script_open(&script, &(kt_script_options){ .lane = "market", .services = services, .config = config });
    change(&script, "vwap", 1, "{\"step_s\":30}");
    t = told_of(&script, "settings.vwap");
    assert_int_equal(t.count, 1);
    assert_string_equal(t.settings, "{\"step_s\":30}");
    assert_string_equal(t.refused, "");
    change(&script, "vwap", 2, "{\"step_s\":20,\"windows\":[\"1m\"]}");
    t = told_of(&script, "settings.vwap");
    assert_int_equal(t.count, 2);
    assert_string_equal(t.settings, "{\"step_s\":30}");
    assert_non_null(strstr(t.refused, "vwap.windows: can not change while the house runs"));
    assert_int_equal(config->vwap_step_s, 30);
    change(&script, "edge", 1, "{\"silence_ms\":9000}"); /* another lane's */
    assert_int_equal(told_of(&script, "settings.edge").count, 0);
    assert_int_equal(config->edge_silence_ms, 5000);
    kt_script_close(&script);
    kt_config_free(config);
}

/* The house is started again with a flag: it holds its key, whatever was said before; without it the setting is back. */
static void a_flag_holds_its_key_over_a_restart(void **state)
{
    static const struct {
        const char *fixed;
        uint32_t step_s;
    } rows[] = { { "", 30 }, { "fixed: [vwap.step_s]\n", 60 }, { "", 30 } };
    char dir[512];
    kt_script script;

    snprintf(dir, sizeof dir, "%s", kt_test_dir());
    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        char text[1024];
        kt_config *config;

        snprintf(text, sizeof text, "%s%s", rows[i].fixed, config_text);
        config = config_new(text);
        kt_script_open(
            &script, &(kt_script_options){ .lane = "market", .services = services, .config = config, .dir = dir });
        if (i == 0)
            change(&script, "vwap", 1, "{\"step_s\":30}");
        assert_int_equal(config->vwap_step_s, rows[i].step_s);
        kt_script_close(&script);
        kt_config_free(config);
    }
}

/* ---- the feed: a whole lane, asked over its bus ---- */

static const uint8_t boot_id[16] = "settings test";

/* Speaks on the subject of settings too, before each change is applied: nothing that the feed answers or tells. */
static void speak(void *state, kt_env *env, const kt_event *event)
{
    kt_ev_feed_stats stats;

    kt_event_init(KT_EV_FEED_STATS, &stats);
    kt_env_emit(env, KT_EV_FEED_STATS, KT_TEXT("settings.vwap"), &stats);
}

static const char *const spoken_of[] = { "kv.>", NULL };
static const kt_service_spec speaker = { .name = "speaker", .subjects = spoken_of, .on_event = speak };
static const kt_service_spec *const spoken_services[] = { &speaker, &kt_settings_service, &kt_market_service, NULL };

/* To operators. */
static struct {
    uint32_t count;
    kt_level level;
    char line[512];
} said;

static void on_diag(void *ctx, kt_level level, const char *line)
{
    said.count++;
    said.level = level;
    snprintf(said.line, sizeof said.line, "%s", line);
}

static kt_lane *lane_open(const char *dir, const kt_config *config)
{
    static const kt_feed_spec *const feeds[] = { &kt_settings_feed, NULL };
    kt_lane_options options = { .name = "market",
        .data_dir = dir,
        .services = spoken_services,
        .feeds = feeds,
        .config = config,
        .version = "test",
        .diag = on_diag,
        .segment_size = KT_SEGMENT_SIZE_MIN,
        .retention_bytes = 2 * KT_SEGMENT_SIZE_MIN,
        .inline_sync = true };
    kt_lane *lane = NULL;
    kt_err err = { 0 };
    bool park;

    memcpy(options.boot_id, boot_id, sizeof boot_id);
    if (kt_lane_open(&options, &lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return lane;
}

typedef struct answered {
    bool done;
    kt_code code;
    char body[4096];
} answered;

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    answered *a = ctx;

    a->done = true;
    a->code = code;
    snprintf(a->body, sizeof a->body, "%.*s", KT_TEXT_ARG(body));
}

static answered ask(kt_lane *lane, const char *action, const char *params)
{
    answered a = { 0 };

    assert_int_equal(
        kt_bus_call_start(kt_lane_bus(lane),
            &(kt_bus_call_spec){
                .action = kt_text_of(action), .params = kt_text_of(params), .on_answer = on_answer, .ctx = &a },
            NULL, NULL),
        KT_OK);
    while (!a.done)
        assert_int_equal(kt_lane_turn(lane, 0, NULL), KT_OK);
    return a;
}

static void config_put_is_answered_with_what_changed_or_why_not(void **state)
{
    static const struct {
        const char *name;
        const char *action;
        const char *params;
        kt_code code;
        const char *contains;
    } rows[] = {
        { "a change", "config.put", "{\"section\":\"vwap\",\"settings\":{\"step_s\":30}}", KT_OK,
            "{\"revision\":1,\"changed\":[\"vwap.step_s\"]}" },
        { "the same again", "config.put", "{\"section\":\"vwap\",\"settings\":{\"step_s\":30}}", KT_OK,
            "{\"revision\":2,\"changed\":[]}" },
        { "another one stands by then", "config.put",
            "{\"section\":\"vwap\",\"settings\":{\"step_s\":31},\"expected\":1}", KT_SEQ,
            "revision 2, 1 was expected" },
        { "not allowed", "config.put", "{\"section\":\"vwap\",\"settings\":{\"windows\":[\"1m\"]}}", KT_ARG,
            "vwap.windows: can not change" },
        { "no settings", "config.put", "{\"section\":\"vwap\"}", KT_RANGE, "settings" },
        { "no JSON", "config.put", "{", KT_SYNTAX, "" },
        { "a lane that does not run", "config.put", "{\"section\":\"edge\",\"settings\":{\"silence_ms\":900}}", KT_BUSY,
            "lane edge, which applies section edge, is not running" },
        { "what holds", "config.get", "{\"section\":\"vwap\"}", KT_OK,
            "{\"key\":\"vwap.step_s\",\"value\":\"30\",\"origin\":\"key-value store config.settings.vwap\",\"live\":true" },
        { "what can not change", "config.get", "{\"section\":\"log\"}", KT_OK, "\"live\":false" },
        { "no such section", "config.get", "{\"section\":\"frob\"}", KT_NOENT, "there is no 'frob'; there are edge" },
    };
    kt_config *config = config_new(config_text);
    kt_lane *lane = lane_open(kt_test_dir(), config);

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        answered a = ask(lane, rows[i].action, rows[i].params);

        if (a.code != rows[i].code || strstr(a.body, rows[i].contains) == NULL)
            fail_msg("%s: %s, '%s'", rows[i].name, kt_code_name(a.code), a.body);
    }
    kt_lane_close(lane, true);
    kt_config_free(config);
}

/* Written past config.put, as another program may have left it: the service refuses what config.put would. */
static void operators_are_told_what_holds_now_or_is_refused(void **state)
{
    static const struct {
        const char *value;
        kt_level level;
        const char *begins;
        uint32_t step_s;
    } rows[] = {
        { "{\"step_s\":30}", KT_LEVEL_INFO, "settings of section vwap are now {\"step_s\":30} (revision 1)", 30 },
        { "{\"step_s\":20,\"windows\":[\"1m\"]}", KT_LEVEL_WARNING,
            "settings of section vwap are refused: vwap.windows: can not change while the house runs: ", 30 },
        { "", KT_LEVEL_INFO, "settings of section vwap are now {} (revision 3)", 60 },
    };
    kt_config *config = config_new(config_text);
    kt_lane *lane = lane_open(kt_test_dir(), config);

    for (uint32_t i = 0; i < KT_COUNT(rows); i++) {
        said.count = 0;
        assert_int_equal(kt_bus_put(kt_lane_bus(lane), KT_TEXT("config.settings.vwap"), kt_text_of(rows[i].value),
                             UINT64_MAX, NULL, NULL),
            KT_OK);
        for (uint32_t turn = 0; turn < 3; turn++) /* written and synced, then told */
            assert_int_equal(kt_lane_turn(lane, 0, NULL), KT_OK);
        if (said.count != 1 || said.level != rows[i].level ||
            strncmp(said.line, rows[i].begins, strlen(rows[i].begins)) != 0)
            fail_msg("'%s': %u lines, '%s'", rows[i].value, said.count, said.line);
        assert_int_equal(config->vwap_step_s, rows[i].step_s);
    }
    kt_lane_close(lane, true);
    kt_config_free(config);
}

static uint64_t first_of(const char *folder)
{
    char dir[600];
    kt_reader *reader = NULL;
    uint64_t first;

    snprintf(dir, sizeof dir, "%s/market", folder);
    assert_int_equal(kt_reader_open(dir, boot_id, &reader, NULL), KT_OK);
    first = kt_reader_first(reader);
    kt_reader_close(reader);
    return first;
}

/* Retention has removed the record of the change: the snapshot knows it, and the key-value store again. */
static void a_change_outlives_its_record(void **state)
{
    kt_config *config = config_new(config_text);
    kt_lane *lane = lane_open(kt_test_dir(), config);
    uint64_t seq = 0;
    kt_ev_invalid ev;
    kt_text value;
    char folder[512];

    snprintf(folder, sizeof folder, "%s", kt_lane_data_dir(lane));
    assert_int_equal(ask(lane, "config.put", "{\"section\":\"vwap\",\"settings\":{\"step_s\":30}}").code, KT_OK);
    kt_event_init(KT_EV_INVALID, &ev);
    while (first_of(folder) <= 2) {
        for (uint32_t i = 0; i < 1000; i++)
            assert_int_equal(kt_lane_input(lane, KT_EV_INVALID, KT_TEXT("feed.gen.invalid"), 0, &ev, &seq), KT_OK);
        assert_int_equal(kt_lane_turn(lane, 0, NULL), KT_OK);
    }
    kt_lane_close(lane, false);
    lane = lane_open(folder, config);
    assert_int_equal(config->vwap_step_s, 30);
    assert_int_equal(kt_bus_get(kt_lane_bus(lane), KT_TEXT("config.settings.vwap"), &value, NULL), KT_OK);
    assert_true(kt_text_equal(value, KT_TEXT("{\"step_s\":30}")));
    kt_lane_close(lane, true);
    kt_config_free(config);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_holds_from_its_record_on_in_every_run),
        cmocka_unit_test(what_is_not_allowed_changes_nothing_and_says_why),
        cmocka_unit_test(a_flag_holds_its_key_over_a_restart),
        cmocka_unit_test(config_put_is_answered_with_what_changed_or_why_not),
        cmocka_unit_test(operators_are_told_what_holds_now_or_is_refused),
        cmocka_unit_test(a_change_outlives_its_record),
    };

    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
