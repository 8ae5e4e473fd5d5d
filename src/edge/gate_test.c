#include "edge/gate.h"

#include "base/test_util.h"
#include "base/text.h"
#include "base/time.h"
#include "schema/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW (INT64_C(1000) * KT_NS_PER_S)

/* ---- scope ---- */

static void who_may_operate(void **state)
{
    static const struct {
        const char *name, *origin, *host; /* origin NULL: none is sent */
        bool operates;
    } rows[] = {
        { "a program sends no Origin", NULL, "127.0.0.1:3000", true },
        { "the house's own page", "http://127.0.0.1:3000", "127.0.0.1:3000", true },
        { "by name", "http://localhost:3000", "localhost:3000", true },
        { "by IPv6", "http://[::1]:3000", "[::1]:3000", true },
        { "over TLS", "https://localhost:3000", "localhost:3000", true },
        { "at the scheme's own port", "http://localhost", "localhost", true },
        { "in other letters", "http://localhost:3000", "LocalHost:3000", true },
        { "another site", "https://example.com", "127.0.0.1:3000", false },
        { "another port of this machine", "http://127.0.0.1:8000", "127.0.0.1:3000", false },
        { "another name of this machine", "http://localhost:3000", "127.0.0.1:3000", false },
        { "a foreign name that leads here", "http://evil.example:3000", "evil.example:3000", false },
        { "a foreign name that begins as ours", "http://localhost.evil.example", "localhost.evil.example", false },
        { "a port that is none", "http://localhost:80.evil.example", "localhost:80.evil.example", false },
        { "a sandboxed page or a file", "null", "127.0.0.1:3000", false },
        { "an empty Origin", "", "127.0.0.1:3000", false },
        { "a scheme alone", "http://", "127.0.0.1:3000", false },
        { "another scheme", "ftp://127.0.0.1:3000", "127.0.0.1:3000", false },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_http_request request = { .host = kt_text_of(rows[i].host), .field_count = rows[i].origin != NULL };

        if (rows[i].origin != NULL)
            request.fields[0] = (kt_http_field){ KT_TEXT("origin"), kt_text_of(rows[i].origin) };
        print_message("# %s\n", rows[i].name);
        assert_int_equal(kt_gate_operates(&request), rows[i].operates);
    }
}

static void scope(void **state)
{
    static const struct {
        kt_action_index action;
        bool operates;
        kt_code code;
    } rows[] = {
        { KT_ACTION_event_emit, true, KT_OK },
        { KT_ACTION_event_emit, false, KT_DENIED },
        { KT_ACTION_config_put, false, KT_DENIED },
        { KT_ACTION_config_get, false, KT_OK },
        { KT_ACTION_store_query, false, KT_OK },
    };
    kt_gate *gate = kt_gate_new();

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_gate_client client;
        kt_refusal refusal;

        kt_gate_client_init(&client, "127.0.0.1:5", rows[i].operates);
        assert_int_equal(
            kt_gate_pass(gate, &client, &kt_actions[rows[i].action], NOW, 1000, 2000, &refusal), rows[i].code);
        if (rows[i].code == KT_DENIED)
            assert_string_equal(refusal.word, "forbidden");
    }
    kt_gate_free(gate);
}

/* ---- cost ---- */

static kt_code pass(
    kt_gate *gate, const char *peer, kt_action_index action, int64_t now_ns, uint32_t rate, kt_refusal *out_refusal)
{
    kt_gate_client client;

    kt_gate_client_init(&client, peer, true);
    return kt_gate_pass(gate, &client, &kt_actions[action], now_ns, rate, KT_CONFIG_BURST_MIN, out_refusal);
}

static void a_bucket_empties_and_fills(void **state)
{
    uint32_t cost = kt_actions[KT_ACTION_store_query].cost;
    kt_gate *gate = kt_gate_new();
    kt_refusal refusal;

    for (uint32_t taken = 0; taken + cost <= KT_CONFIG_BURST_MIN; taken += cost)
        assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, NOW, 10, &refusal), KT_OK);
    /* empty: at 10 a second it lacks `cost` tokens; what is refused takes nothing */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, NOW, 10, &refusal), KT_RATE);
        assert_string_equal(refusal.word, "too_many_requests");
        assert_int_equal(refusal.retry_s, cost / 10);
    }
    assert_int_equal(pass(gate, "127.0.0.1:2", KT_ACTION_vwap_latest, NOW, 10, &refusal), KT_RATE); /* same address */
    assert_int_equal(refusal.retry_s, 1);
    assert_int_equal(pass(gate, "127.0.0.2:1", KT_ACTION_vwap_latest, NOW, 10, &refusal), KT_OK);
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_health, NOW, 10, &refusal), KT_OK);     /* costs nothing */
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, NOW, 0, &refusal), KT_OK); /* no limit */
    int64_t later_ns = NOW + cost * KT_NS_PER_S / 10;
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, later_ns - 1, 10, &refusal), KT_RATE);
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, later_ns, 10, &refusal), KT_OK);
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_vwap_latest, later_ns, 10, &refusal), KT_RATE);
    /* however long it rests, it holds no more than its burst */
    for (uint32_t taken = 0; taken + cost <= KT_CONFIG_BURST_MIN; taken += cost)
        assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, 1000 * NOW, 10, &refusal), KT_OK);
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, 1000 * NOW, 10, &refusal), KT_RATE);
    kt_gate_free(gate);
}

/* What is missing is counted in tokens: another rate gives it back at its own pace. */
static void another_rate_holds_at_once(void **state)
{
    kt_gate *gate = kt_gate_new();
    kt_refusal refusal;

    for (uint32_t i = 0; i < KT_CONFIG_BURST_MIN; i++)
        assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_vwap_latest, NOW, 1, &refusal), KT_OK);
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, NOW, 1, &refusal), KT_RATE);
    assert_int_equal(refusal.retry_s, kt_actions[KT_ACTION_store_query].cost);
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, NOW, 1000, &refusal), KT_RATE);
    assert_int_equal(refusal.retry_s, 1);
    int64_t later_ns = NOW + kt_actions[KT_ACTION_store_query].cost * KT_NS_PER_MS;
    assert_int_equal(pass(gate, "127.0.0.1:1", KT_ACTION_store_query, later_ns, 1000, &refusal), KT_OK);
    kt_gate_free(gate);
}

/* More addresses than buckets: who has called much stays known. */
static void whoever_calls_much_keeps_a_bucket(void **state)
{
    uint32_t cost = kt_actions[KT_ACTION_store_query].cost;
    kt_gate *gate = kt_gate_new();
    kt_refusal refusal;
    char peer[KT_GATE_ADDRESS_SIZE + 8];

    for (uint32_t taken = 0; taken + cost <= KT_CONFIG_BURST_MIN; taken += cost)
        assert_int_equal(pass(gate, "[2001:db8::1]:443", KT_ACTION_store_query, NOW, 1, &refusal), KT_OK);
    for (uint32_t i = 0; i < 4 * KT_GATE_CLIENT_MAX; i++) {
        snprintf(peer, sizeof peer, "10.%u.%u.%u:80", i >> 16, i >> 8 & 255, i & 255);
        assert_int_equal(pass(gate, peer, KT_ACTION_vwap_latest, NOW, 1, &refusal), KT_OK);
    }
    assert_int_equal(pass(gate, "[2001:db8::1]:444", KT_ACTION_vwap_latest, NOW, 1, &refusal), KT_RATE);
    kt_gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_operate),
        cmocka_unit_test(scope),
        cmocka_unit_test(a_bucket_empties_and_fills),
        cmocka_unit_test(another_rate_holds_at_once),
        cmocka_unit_test(whoever_calls_much_keeps_a_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
