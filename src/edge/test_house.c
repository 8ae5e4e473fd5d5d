#include "edge/test_house.h"

#include "base/json.h"
#include "base/test_util.h"
#include "base/time.h"
#include "net/deflate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void open_log(kt_test_house *house, uint64_t segment_size, uint64_t retention_bytes)
{
    kt_log_options options;
    kt_err err = { 0 };

    kt_log_options_init(&options, house->dir);
    options.segment_size = segment_size != 0 ? segment_size : KT_SEGMENT_SIZE_MIN;
    options.subject_max = 256;
    options.ahead = 1;
    options.retention_bytes = retention_bytes;
    options.sync = KT_SYNC_INLINE;
    memcpy(options.boot_id, house->boot_id, sizeof options.boot_id);
    if (kt_log_open(&options, &house->log, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

int64_t *kt_test_house_clock;

static int64_t clock_ns(void *ctx)
{
    return *kt_test_house_clock;
}

void kt_test_house_open(kt_test_house *house, const char *yaml, uint64_t segment_size, uint64_t retention_bytes)
{
    char text[2048];
    kt_err err = { 0 };
    int size = snprintf(text, sizeof text, "%s", yaml != NULL ? yaml : "edge: {port: 0, silence_ms: 600000}\n");

    *house = (kt_test_house){ .boot_id = { 1 }, .time_ns = INT64_C(1723161255342) * KT_NS_PER_MS };
    snprintf(house->dir, sizeof house->dir, "%s/market", kt_test_dir());
    if (kt_config_parse("test", text, (size_t)size, &house->config, &err) != KT_OK)
        fail_msg("%s", err.msg);
    if (kt_loop_new(kt_test_house_clock != NULL ? &(kt_loop_options){ .clock_ns = clock_ns } : NULL, &house->loop,
            &err) != KT_OK)
        fail_msg("%s", err.msg);
    open_log(house, segment_size, retention_bytes);
    kt_test_house_open_edge(house, NULL, NULL);
}

void kt_test_house_open_edge(kt_test_house *house, kt_edge_ask ask, void *ask_ctx)
{
    kt_edge_source source = { .name = "market", .dir = house->dir };
    kt_err err = { 0 };

    kt_edge_close(house->edge);
    house->edge = NULL;
    if (kt_edge_open(&(kt_edge_options){ .loop = house->loop,
                         .config = house->config,
                         .sources = &source,
                         .source_count = 1,
                         .lane = house->lane,
                         .ask = ask,
                         .ask_ctx = ask_ctx,
                         .boot_id = house->boot_id },
            &house->edge, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

void kt_test_house_reopen_log(kt_test_house *house, uint64_t segment_size, uint64_t retention_bytes)
{
    kt_log_close(house->log, NULL);
    house->log = NULL;
    open_log(house, segment_size, retention_bytes);
}

static void tear(const char *dir, size_t torn)
{
    char command[1200];
    char path[1024];
    size_t size;
    FILE *list;

    snprintf(command, sizeof command, "ls '%s'/*.seg | tail -1", dir);
    list = popen(command, "r");
    assert_non_null(list);
    assert_non_null(fgets(path, sizeof path, list));
    path[strcspn(path, "\n")] = '\0';
    pclose(list);
    char *bytes = kt_test_read_file(path, &size);
    assert_non_null(bytes);
    while (size > 0 && bytes[size - 1] == 0)
        size--;
    assert_true(size > torn);
    memset(bytes, 0, torn);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)(size - torn), SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, torn, file), torn);
    fclose(file);
    free(bytes);
}

void kt_test_house_power_cut(kt_test_house *house, size_t torn)
{
    char copy[512];
    char command[1200];

    snprintf(copy, sizeof copy, "%s/market", kt_test_dir());
    snprintf(command, sizeof command, "cp -r '%s' '%s'", house->dir, copy);
    assert_int_equal(system(command), 0);
    kt_edge_close(house->edge);
    house->edge = NULL;
    kt_log_close(house->log, NULL);
    snprintf(house->dir, sizeof house->dir, "%s", copy);
    tear(house->dir, torn);
    house->boot_id[0]++;
    open_log(house, 0, 0);
    kt_test_house_open_edge(house, NULL, NULL);
}

void kt_test_house_close(kt_test_house *house)
{
    kt_edge_close(house->edge);
    kt_log_close(house->log, NULL);
    kt_loop_free(house->loop);
    kt_config_free(house->config);
}

void kt_test_house_turn(kt_test_house *house)
{
    kt_err err = { 0 };

    if (kt_loop_turn(house->loop, kt_edge_pending(house->edge) ? 0 : KT_NS_PER_MS, &err) != KT_OK)
        fail_msg("%s", err.msg);
}

uint64_t kt_test_event(kt_test_house *house, uint16_t kind, const char *subject, const void *event)
{
    uint8_t payload[4096];
    uint32_t size;
    uint32_t id;
    uint64_t seq;
    kt_err err = { 0 };

    if (kt_log_subject(house->log, kt_text_of(subject), house->subject_flags, &id, &err) != KT_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(kt_event_encode(kind, event, payload, sizeof payload, &size), KT_OK);
    kt_rec_head head = { .kind = kind, .flags = KT_REC_INPUT, .subject = id, .time_ns = house->time_ns };
    assert_int_equal(kt_log_append(house->log, &head, payload, size, &seq), KT_OK);
    house->time_ns += KT_NS_PER_MS;
    return seq;
}

uint64_t kt_test_trade(kt_test_house *house, const char *subject, uint64_t number)
{
    kt_ev_trade trade;
    char id[24];

    snprintf(id, sizeof id, "%llu", (unsigned long long)number);
    kt_event_init(KT_EV_TRADE, &trade);
    trade.venue_time = house->time_ns;
    trade.receive_time = house->time_ns;
    trade.price = (kt_decimal){ .m = 6500025, .scale = 2 };
    trade.quantity = (kt_decimal){ .m = 12, .scale = 4 };
    trade.trade_id = kt_text_of(id);
    trade.trade_number = number;
    return kt_test_event(house, KT_EV_TRADE, subject, &trade);
}

uint64_t kt_test_vwap(kt_test_house *house, const char *subject, int64_t mark_ns, const char *price, uint32_t revision)
{
    kt_ev_vwap vwap;

    kt_event_init(KT_EV_VWAP, &vwap);
    vwap.mark = mark_ns;
    vwap.window = 300 * KT_NS_PER_S;
    assert_int_equal(kt_decimal_parse(kt_text_of(price), &vwap.price), KT_OK);
    vwap.trades = 1;
    vwap.revision = revision;
    return kt_test_event(house, KT_EV_VWAP, subject, &vwap);
}

/* ---- clients ---- */

static int connect_to(kt_test_house *house, int receive_buffer)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(kt_edge_port(house->edge)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void send_all(kt_test_house *house, int fd, const void *bytes, size_t size)
{
    size_t at = 0;
    int64_t end_ns = kt_test_now_ns() + KT_TEST_BOUND_S * KT_NS_PER_S;

    while (at < size && kt_test_now_ns() < end_ns) {
        ssize_t n = send(fd, (const char *)bytes + at, size - at, MSG_NOSIGNAL);

        if (n > 0)
            at += (size_t)n;
        else if (errno != EAGAIN)
            return; /* gone; the test sees it when it reads */
        else
            kt_test_house_turn(house);
    }
}

static void read_head(kt_test_client *client)
{
    int64_t end_ns = kt_test_now_ns() + KT_TEST_BOUND_S * KT_NS_PER_S;

    while (kt_test_now_ns() < end_ns) {
        ssize_t n = recv(client->fd, client->head + client->head_size, 1, 0);

        if (n == 0)
            fail_msg("the edge closed the handshake: %s", client->head);
        if (n < 0)
            kt_test_house_turn(client->house);
        else
            client->head_size += (size_t)n;
        client->head[client->head_size] = '\0';
        if (client->head_size >= 4 && strcmp(client->head + client->head_size - 4, "\r\n\r\n") == 0)
            return;
    }
    fail_msg("no answer to the handshake");
}

bool kt_test_clients_deflate;
const char *kt_test_clients_header = "";

void kt_test_client_open(kt_test_client *client, kt_test_house *house)
{
    static const char start[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Protocol: kontor.v1.json\r\n";
    static const char offer[] = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

    *client = (kt_test_client){ .house = house, .fd = connect_to(house, 32768) };
    kt_ws_decoder_init(&client->decoder, KT_WS_CLIENT, 64 << 20);
    client->decoder.deflate = kt_test_clients_deflate;
    send_all(house, client->fd, start, sizeof start - 1);
    send_all(house, client->fd, kt_test_clients_header, strlen(kt_test_clients_header));
    if (kt_test_clients_deflate)
        send_all(house, client->fd, offer, sizeof offer - 1);
    send_all(house, client->fd, "\r\n", 2);
    read_head(client);
    assert_int_equal(strstr(client->head, "permessage-deflate") != NULL, kt_test_clients_deflate);
    assert_non_null(strstr(client->head, "101"));
    assert_non_null(strstr(client->head, "kontor.v1.json"));
}

void kt_test_client_close(kt_test_client *client)
{
    close(client->fd);
    free(client->buffer);
    free(client->message);
}

void kt_test_client_send(kt_test_client *client, kt_ws_opcode opcode, const void *payload, size_t size)
{
    static const uint8_t mask[4] = { 1, 2, 3, 4 };
    uint8_t *frame = malloc(size + KT_WS_HEADER_MAX);
    size_t head = kt_ws_header(frame, opcode, true, size, mask);

    if (size != 0)
        memcpy(frame + head, payload, size);
    kt_ws_mask(frame + head, size, mask, 0);
    send_all(client->house, client->fd, frame, head + size);
    free(frame);
}

void kt_test_client_say(kt_test_client *client, const char *text)
{
    kt_test_client_send(client, KT_WS_TEXT, text, strlen(text));
}

static uint64_t serial; /* of the last message of all clients */

static void keep_message(kt_test_client *client, bool compressed)
{
    static kt_deflater *deflater;
    kt_pool pool;
    kt_queue whole = { 0 };
    const uint8_t *bytes = client->buffer;
    size_t size = client->size;

    kt_pool_init(&pool, 256 << 20, 0);
    if (compressed) {
        assert_true(deflater != NULL || kt_deflater_new(&deflater, NULL) == KT_OK);
        assert_int_equal(kt_inflate(deflater, bytes, size, &whole, &pool, 64 << 20), KT_OK);
        bytes = whole.data + whole.at;
        size = kt_queue_size(&whole);
    }
    free(client->message);
    client->message = malloc(size + 1);
    memcpy(client->message, bytes, size);
    client->message[size] = '\0';
    client->message_size = size;
    kt_queue_clear(&whole, &pool);
    kt_pool_done(&pool);
}

static void take_piece(kt_test_client *client, const kt_ws_event *event)
{
    if (client->room < client->size + event->size + 1) {
        client->room = 2 * (client->size + event->size + 1);
        client->buffer = realloc(client->buffer, client->room);
        assert_non_null(client->buffer);
    }
    memcpy(client->buffer + client->size, event->payload, event->size);
    client->size += event->size;
    if (!event->last)
        return;
    keep_message(client, event->compressed);
    client->message_count++;
    client->serial = ++serial;
    client->size = 0;
}

/* One message at most, so that the test sees each. Bytes behind it are left in the socket: they were only peeked at. */
static bool read_some(kt_test_client *client)
{
    uint8_t bytes[1024]; /* about two messages: what is peeked at is copied again */
    ssize_t n = recv(client->fd, bytes, sizeof bytes, MSG_PEEK);
    size_t at = 0;
    bool whole = false;

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        client->ended = true;
        return false;
    }
    if (n < 0)
        return false;
    while (at < (size_t)n && !whole) {
        kt_ws_event event;

        at += kt_ws_decode(&client->decoder, bytes + at, (size_t)n - at, &event);
        if (event.kind == KT_WS_PIECE) {
            take_piece(client, &event);
            whole = event.last;
        } else if (event.kind == KT_WS_CONTROL && event.opcode == KT_WS_CLOSE) {
            client->close_code = event.close_code;
            client->ended = true;
        } else if (event.kind == KT_WS_CONTROL && event.opcode == KT_WS_PONG) {
            free(client->message);
            client->message = strdup("pong frame");
            client->message_size = strlen(client->message);
            whole = true;
        } else if (event.kind == KT_WS_CONTROL) {
            fail_msg("the server must never ping");
        } else if (event.kind == KT_WS_FAILED) {
            fail_msg("frame: %s", event.why);
        }
    }
    recv(client->fd, bytes, at, 0);
    return whole;
}

const char *kt_test_client_next(kt_test_client *client)
{
    int64_t end_ns = kt_test_now_ns() + KT_TEST_BOUND_S * KT_NS_PER_S;

    while (kt_test_now_ns() < end_ns) {
        if (client->ended)
            return NULL;
        if (!read_some(client)) {
            kt_test_house_turn(client->house);
            continue;
        }
        if (client->message[0] == '{') {
            uint64_t seq = kt_test_client_u64(client, "seq");

            assert_int_equal(seq, client->seq + 1);
            client->seq = seq;
        }
        return client->message;
    }
    fail_msg("no message within %d s", KT_TEST_BOUND_S);
    return NULL;
}

void kt_test_client_want(kt_test_client *client, const char *type)
{
    if (kt_test_client_next(client) == NULL)
        fail_msg("closed (%u) instead of a message of type %s", client->close_code, type);
    if (strcmp(kt_test_client_text(client, "type"), type) != 0)
        fail_msg("not of type %s: %.1000s", type, client->message);
}

/* The document of the client's last message, parsed once. */
static void parse(kt_test_client *client, kt_json_doc *doc)
{
    static kt_json_node nodes[65536];
    static kt_json_doc last;
    static uint64_t last_serial;
    kt_err err = { 0 };

    if (last_serial != client->serial) {
        if (kt_json_parse((kt_text){ client->message, client->message_size }, nodes, KT_COUNT(nodes), &last, &err) !=
            KT_OK)
            fail_msg("%s: %.1000s", err.msg, client->message);
        last_serial = client->serial;
    }
    *doc = last;
}

static uint32_t find(kt_test_client *client, const char *path, kt_json_doc *doc)
{
    uint32_t node = 0;

    parse(client, doc);
    while (*path != '\0') {
        size_t n = strcspn(path, ".");

        node = path[0] >= '0' && path[0] <= '9' ? kt_json_at(doc, node, (uint32_t)atoi(path))
                                                : kt_json_get(doc, node, (kt_text){ path, n });
        if (node == 0)
            fail_msg("no %s in %.1000s", path, client->message);
        path += n + (path[n] == '.');
    }
    return node;
}

uint64_t kt_test_client_u64(kt_test_client *client, const char *path)
{
    kt_json_doc doc;
    uint64_t number = 0;
    uint32_t node = find(client, path, &doc);

    if (kt_json_u64(&doc, node, &number) != KT_OK)
        fail_msg("%s is no number in %.1000s", path, client->message);
    return number;
}

bool kt_test_client_bool(kt_test_client *client, const char *path)
{
    kt_json_doc doc;
    bool value = false;
    uint32_t node = find(client, path, &doc);

    if (kt_json_bool(&doc, node, &value) != KT_OK)
        fail_msg("%s is no boolean in %.1000s", path, client->message);
    return value;
}

bool kt_test_client_null(kt_test_client *client, const char *path)
{
    kt_json_doc doc;
    uint32_t node = find(client, path, &doc);

    return kt_json_kind_of(&doc, node) == KT_JSON_NULL;
}

const char *kt_test_client_text(kt_test_client *client, const char *path)
{
    static char texts[8][1024];
    static unsigned next;
    kt_json_doc doc;
    uint32_t node = find(client, path, &doc);
    kt_text raw = kt_json_raw(&doc, node);
    char *text = texts[next++ % 8];

    snprintf(text, sizeof texts[0], "%.*s", (int)raw.n, raw.s);
    return text;
}

int kt_test_http(kt_test_house *house, const char *request, const char **out_answer)
{
    static char answer[1 << 20];
    size_t size = 0;
    int64_t end_ns = kt_test_now_ns() + KT_TEST_BOUND_S * KT_NS_PER_S;
    int fd = connect_to(house, 1 << 20);
    int status = 0;

    send_all(house, fd, request, strlen(request));
    while (kt_test_now_ns() < end_ns) {
        ssize_t n = recv(fd, answer + size, sizeof answer - 1 - size, 0);

        if (n > 0)
            size += (size_t)n;
        else if (n == 0)
            break;
        else
            kt_test_house_turn(house);
    }
    close(fd);
    answer[size] = '\0';
    if (sscanf(answer, "HTTP/1.1 %d", &status) != 1)
        fail_msg("no HTTP answer: %s", answer);
    *out_answer = answer;
    return status;
}
