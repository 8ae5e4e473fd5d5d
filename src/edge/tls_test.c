/* The edge over TLS: the same answers and channels, and a certificate that changes under it. */
#include "edge/test_house.h"

#include "base/test_util.h"
#include "base/time.h"
#include "lane/lane.h"
#include "log/reader.h"
#include "net/fetch.h"
#include "net/test_tls.h"
#include "net/ws_client.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct guest {
    kt_ws_client *client;
    int messages, closed;
    char text[4096];
} guest;

static void on_open(void *ctx, kt_ws_conn *conn)
{
    static const char ask[] =
        "{\"id\":1,\"op\":\"subscribe\",\"channel\":\"trades.binance.BTC/USDT\",\"from\":\"snapshot\"}";

    assert_int_equal(kt_ws_send(conn, KT_WS_TEXT, ask, sizeof ask - 1), KT_OK);
}

static void on_message(void *ctx, kt_ws_conn *conn, kt_ws_opcode opcode, const uint8_t *payload, size_t size)
{
    guest *own = ctx;

    own->messages++;
    snprintf(own->text, sizeof own->text, "%.*s", (int)size, (const char *)payload);
}

static void on_close(void *ctx, uint16_t code, kt_text reason)
{
    guest *own = ctx;

    own->closed++;
    snprintf(own->text, sizeof own->text, "%.*s", KT_TEXT_ARG(reason));
}

static void guest_open(guest *own, kt_test_house *house, kt_tls *trust)
{
    char url[64];
    kt_err err;
    const kt_ws_client_options options = { .url = url,
        .tls = trust,
        .deflate = true,
        .on_open = on_open,
        .on_message = on_message,
        .on_close = on_close,
        .ctx = own };

    *own = (guest){ 0 };
    snprintf(url, sizeof url, "wss://localhost:%u/ws", kt_edge_port(house->edge));
    if (kt_ws_connect(house->loop, &options, &own->client, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

static void on_fetched(void *ctx, const kt_fetch_answer *answer)
{
    *(uint16_t *)ctx = answer->status;
}

static char *path_of(const char *dir, const char *name)
{
    static char paths[4][600];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static kt_tls *trust_of(const char *dir, const char *authority)
{
    kt_tls *trust = NULL;
    kt_err err;

    if (kt_tls_client_new(path_of(dir, authority), &trust, &err) != KT_OK)
        fail_msg("%s", err.msg);
    return trust;
}

static void clients_are_served_over_tls(void **state)
{
    const char *dir = kt_test_dir();
    kt_test_house house;
    kt_fetcher *fetcher = NULL;
    uint16_t status = 0;
    char yaml[1400], url[64];
    guest first, second;

    kt_test_certificates_make(dir);
    snprintf(yaml, sizeof yaml,
        "edge: {port: 0, silence_ms: 600000, tls_certificate: '%s/server.crt', tls_key: '%s/server.key'}\n", dir, dir);
    kt_test_house_open(&house, yaml, 0, 0);
    kt_test_trade(&house, "trades.binance.BTC/USDT", 1);
    kt_tls *trust = trust_of(dir, "authority.crt");
    guest_open(&first, &house, trust);
    assert_true(KT_TEST_WAIT((kt_test_house_turn(&house), first.messages == 2), KT_TEST_BOUND_S));
    assert_non_null(strstr(first.text, "\"trade_number\":1"));

    assert_int_equal(
        kt_fetcher_new(house.loop, &(kt_fetcher_options){ .ca_file = path_of(dir, "authority.crt") }, &fetcher, NULL),
        KT_OK);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/health", kt_edge_port(house.edge));
    const kt_fetch_spec spec = { .method = KT_HTTP_GET, .url = url, .on_done = on_fetched, .ctx = &status };
    assert_int_equal(kt_fetch_start(fetcher, &spec, NULL, NULL), KT_OK);
    assert_true(KT_TEST_WAIT((kt_test_house_turn(&house), status != 0), KT_TEST_BOUND_S));
    assert_true(status == 200 || status == 503); /* it answers; how the house is, other tests ask */

    /* Another authority signs a new certificate: who comes from now on meets it, who is here stays. */
    kt_test_certificate_make(dir, &(kt_test_certificate){ .name = "other", .to_s = 3600 });
    kt_test_certificate_make(
        dir, &(kt_test_certificate){ .name = "server", .by = "other", .of = "DNS:localhost", .to_s = 3600 });
    kt_tls *other = trust_of(dir, "other.crt");
    second = (guest){ 0 };
    do {
        kt_ws_client_free(second.client);
        guest_open(&second, &house, other);
        assert_true(
            KT_TEST_WAIT((kt_test_house_turn(&house), second.messages == 2 || second.closed == 1), KT_TEST_BOUND_S));
    } while (second.closed == 1 && strstr(second.text, "certificate") != NULL);
    assert_int_equal(second.closed, 0);
    kt_test_trade(&house, "trades.binance.BTC/USDT", 2);
    assert_true(
        KT_TEST_WAIT((kt_test_house_turn(&house), first.messages == 3 && second.messages == 3), KT_TEST_BOUND_S));
    kt_fetcher_free(fetcher);
    kt_ws_client_free(first.client);
    kt_ws_client_free(second.client);
    kt_tls_free(trust);
    kt_tls_free(other);
    kt_test_house_close(&house);
}

static int64_t clock_now(void *ctx)
{
    return *(const int64_t *)ctx;
}

/* How many alerts the lane's log has; the last one's subject and text are copied. */
static uint32_t alerts_of(const char *data, char *out_subject, char *out_text, size_t size)
{
    kt_reader *reader = NULL;
    const kt_rec *rec;
    uint32_t count = 0;

    assert_int_equal(kt_reader_open(path_of(data, "edge"), NULL, &reader, NULL), KT_OK);
    assert_int_equal(kt_reader_seek(reader, 0, 1, NULL, NULL), KT_OK);
    while (kt_reader_next(reader, UINT64_MAX, &rec) == KT_OK) {
        kt_ev_alert event;

        if (rec->kind != KT_EV_ALERT)
            continue;
        assert_int_equal(kt_event_decode(rec->kind, kt_rec_payload(rec), kt_rec_payload_size(rec), &event), KT_OK);
        snprintf(out_subject, size, "%.*s", KT_TEXT_ARG(event.subject));
        snprintf(out_text, size, "%.*s", KT_TEXT_ARG(event.text));
        count++;
    }
    kt_reader_close(reader);
    return count;
}

/* Somebody renews the certificate and gets it wrong: who connects still meets the old one, until it expires. */
static void a_new_certificate_that_can_not_be_used_is_an_alert(void **state)
{
    static const kt_service_spec *const services[] = { NULL };
    static const kt_feed_spec *const feeds[] = { &kt_edge_feed, NULL };
    const char *dir = kt_test_dir();
    char yaml[1400], subject[256] = "", text[256] = "";
    kt_config *config = NULL;
    kt_lane *lane = NULL;
    int64_t now = KT_NS_PER_S;
    kt_lane_options options = { .name = "edge",
        .data_dir = dir,
        .services = services,
        .feeds = feeds,
        .segment_size = 1 << 20,
        .inline_sync = true,
        .mono_ns = clock_now,
        .clock_ctx = &now,
        .version = "test" };
    kt_err err;
    FILE *file;
    bool park;

    kt_test_certificates_make(dir);
    snprintf(
        yaml, sizeof yaml, "edge: {port: 0, tls_certificate: '%s/server.crt', tls_key: '%s/server.key'}\n", dir, dir);
    assert_int_equal(kt_config_parse("test", yaml, strlen(yaml), &config, &err), KT_OK);
    options.config = config;
    if (kt_lane_open(&options, &lane, &park, &err) != KT_OK)
        fail_msg("%s", err.msg);
    for (uint32_t look = 0; look < 4; look++) {
        if (look == 2) { /* until then nothing has changed */
            file = fopen(path_of(dir, "server.crt"), "w");
            fputs("-----BEGIN CERTIFICATE-----\nnone\n", file);
            fclose(file);
        }
        now += KT_EDGE_CERTIFICATE_MS * KT_NS_PER_MS;
        for (uint32_t turn = 0; turn < 5; turn++)
            assert_int_equal(kt_lane_turn(lane, 0, &err), KT_OK);
        assert_int_equal(alerts_of(dir, subject, text, sizeof text), look < 2 ? 0 : 1); /* told once */
    }
    assert_string_equal(subject, "edge.tls_certificate");
    assert_non_null(strstr(text, "server.crt"));
    kt_lane_close(lane, true);
    kt_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_served_over_tls),
        cmocka_unit_test(a_new_certificate_that_can_not_be_used_is_an_alert),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
