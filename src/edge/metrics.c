#include "edge/metrics.h"

#include "base/histogram.h"
#include "base/text.h"
#include "base/time.h"
#include "base/version.h"
#include "edge/act.h"
#include "edge/call.h"
#include "log/cursor.h"
#include "log/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_SIZE = 128,      /* of a label's value */
    POWER_FIRST = 10,     /* 1 us */
    POWER_LAST = 36,      /* 69 s */
    CATCH_UP_MAX = 65536, /* records looked at for one answer */
};

typedef struct feed {
    char venue[NAME_SIZE];
    char symbol[NAME_SIZE]; /* empty: of the venue as a whole */
    bool has_stats;
    bool has_link;
    bool has_quality;
    bool has_minute;
    kt_link link;
    kt_ev_feed_stats stats;
    kt_ev_quality quality; /* of the newest minute that was told */
    kt_ev_minute minute;   /* the last one that was told */
} feed;

struct kt_metrics {
    kt_metrics_options options;
    kt_reader *reader; /* of log market; NULL: it can not be read (yet) */
    kt_histogram venue_to_receive;
    kt_histogram receive_to_publish;
    uint64_t passed_over;
    feed *feeds;
    uint32_t feed_count;
};

kt_metrics *kt_metrics_new(const kt_metrics_options *options)
{
    kt_metrics *metrics = calloc(1, sizeof *metrics);

    if (metrics == NULL)
        return NULL;
    metrics->options = *options;
    metrics->feeds = calloc(KT_METRICS_FEED_MAX, sizeof *metrics->feeds); /* pages never touched cost nothing */
    if (metrics->feeds == NULL) {
        free(metrics);
        return NULL;
    }
    return metrics;
}

void kt_metrics_free(kt_metrics *metrics)
{
    if (metrics == NULL)
        return;
    kt_reader_close(metrics->reader);
    free(metrics->feeds);
    free(metrics);
}

/* ---- what log market says ---- */

static void decode_name(char name[NAME_SIZE], kt_text token)
{
    kt_builder builder;

    kt_builder_init(&builder, name, NAME_SIZE - 1);
    if (kt_subject_token_decode(token, &builder) != KT_OK)
        builder.n = 0;
    name[builder.n] = '\0';
}

/* Of "stats.{venue}.{symbol}" or "feed.{venue}.link", whose last part is then no symbol. NULL: beyond the bound. */
static feed *feed_of(kt_metrics *metrics, kt_text subject, bool of_symbol)
{
    feed sought = { .symbol = "" };

    decode_name(sought.venue, kt_subject_part(subject, 1));
    if (of_symbol)
        decode_name(sought.symbol, kt_subject_part(subject, 2));
    for (uint32_t i = 0; i < metrics->feed_count; i++)
        if (strcmp(metrics->feeds[i].venue, sought.venue) == 0 && strcmp(metrics->feeds[i].symbol, sought.symbol) == 0)
            return &metrics->feeds[i];
    if (metrics->feed_count == KT_METRICS_FEED_MAX)
        return NULL;
    metrics->feeds[metrics->feed_count] = sought;
    return &metrics->feeds[metrics->feed_count++];
}

/* The first time a trade is told, as the stream gave it: its record's time is when it was published. */
static void take_trade(kt_metrics *metrics, const kt_rec *rec)
{
    kt_ev_trade ev;

    if (kt_event_decode(KT_EV_TRADE, kt_rec_payload(rec), kt_rec_payload_size(rec), &ev) != KT_OK ||
        ev.source != KT_SOURCE_STREAM || ev.revision != 1 || ev.validated)
        return;
    kt_histogram_add(&metrics->venue_to_receive, ev.receive_time - ev.venue_time, 1);
    kt_histogram_add(&metrics->receive_to_publish, rec->time_ns - ev.receive_time, 1);
}

static void take_stats(kt_metrics *metrics, const kt_rec *rec, kt_text subject)
{
    kt_ev_feed_stats ev;
    feed *of;

    if (kt_event_decode(KT_EV_FEED_STATS, kt_rec_payload(rec), kt_rec_payload_size(rec), &ev) != KT_OK)
        return;
    of = feed_of(metrics, subject, kt_subject_part(subject, 2).n > 0);
    if (of == NULL)
        return;
    of->stats = ev;
    of->has_stats = true;
}

static void take_quality(kt_metrics *metrics, const kt_rec *rec, kt_text subject)
{
    kt_ev_quality ev;
    feed *of;

    if (kt_event_decode(KT_EV_QUALITY, kt_rec_payload(rec), kt_rec_payload_size(rec), &ev) != KT_OK)
        return;
    of = feed_of(metrics, subject, kt_subject_part(subject, 2).n > 0);
    if (of == NULL || (of->has_quality && ev.minute < of->quality.minute))
        return;
    of->quality = ev;
    of->has_quality = true;
}

static void take_minute(kt_metrics *metrics, const kt_rec *rec, kt_text subject)
{
    kt_ev_minute ev;
    feed *of;

    if (kt_event_decode(KT_EV_MINUTE, kt_rec_payload(rec), kt_rec_payload_size(rec), &ev) != KT_OK)
        return;
    of = feed_of(metrics, subject, true);
    if (of == NULL)
        return;
    of->minute = ev;
    of->has_minute = true;
}

static void take_link(kt_metrics *metrics, const kt_rec *rec, kt_text subject)
{
    kt_ev_link ev;
    feed *of;

    if (kt_event_decode(KT_EV_LINK, kt_rec_payload(rec), kt_rec_payload_size(rec), &ev) != KT_OK)
        return;
    of = feed_of(metrics, subject, false);
    if (of == NULL)
        return;
    of->link = ev.state;
    of->has_link = true;
}

/* Links change seldom: what was said of them last lies behind a reader that begins at the end. */
static void read_links(kt_metrics *metrics, const char *dir)
{
    kt_reader *live = metrics->reader, *past;
    kt_reader_subject_info subject;
    kt_resume newest;
    const kt_rec *rec;

    if (kt_reader_open(dir, metrics->options.boot_id, &past, NULL) != KT_OK)
        return;
    for (uint32_t id = 0; id < kt_reader_subject_count(live); id++) {
        kt_text name = kt_reader_subject(live, id);

        if (!kt_subject_match(KT_TEXT("feed.*.link"), name) || kt_reader_subject_find(live, name, &subject) != KT_OK ||
            subject.last_offset == 0 ||
            kt_reader_resume(live, name, 0, subject.last_offset - 1, &newest, NULL) != KT_OK ||
            kt_reader_seek(past, kt_reader_epoch(live), newest.from_seq, NULL, NULL) != KT_OK)
            continue;
        while (kt_reader_next(past, UINT64_MAX, &rec) == KT_OK)
            if (rec->subject == id && rec->offset >= newest.next_offset) {
                take_link(metrics, rec, name);
                break;
            }
    }
    kt_reader_close(past);
}

static bool open_reader(kt_metrics *metrics)
{
    kt_hub_log log;

    for (uint32_t i = 0; metrics->reader == NULL && kt_hub_log_at(metrics->options.hub, i, &log); i++) {
        if (strcmp(log.name, "market") != 0 || log.reader == NULL)
            continue;
        if (kt_reader_open(log.dir, metrics->options.boot_id, &metrics->reader, NULL) == KT_OK &&
            kt_reader_seek_end(metrics->reader, NULL) != KT_OK) {
            kt_reader_close(metrics->reader);
            metrics->reader = NULL;
        }
        if (metrics->reader != NULL)
            read_links(metrics, log.dir);
    }
    return metrics->reader != NULL;
}

/* Look at up to `max` records. */
static void look(kt_metrics *metrics, uint32_t max)
{
    const kt_rec *rec;
    uint64_t at, written;

    if (!open_reader(metrics))
        return;
    at = kt_reader_position(metrics->reader);
    written = kt_reader_written(metrics->reader);
    if (written > at + KT_METRICS_LAG_MAX && kt_reader_seek_end(metrics->reader, NULL) == KT_OK)
        metrics->passed_over += kt_reader_position(metrics->reader) - at;
    for (uint32_t i = 0; i < max; i++) {
        kt_code code = kt_reader_next(metrics->reader, UINT64_MAX, &rec);

        if (code == KT_EMPTY)
            return;
        if (code == KT_CORRUPT || code == KT_SYS) { /* the hub tells of it; a new reader stands at the end */
            kt_reader_close(metrics->reader);
            metrics->reader = NULL;
            return;
        }
        if (code != KT_OK)
            continue;
        if (rec->kind == KT_EV_TRADE)
            take_trade(metrics, rec);
        else if (rec->kind == KT_EV_FEED_STATS)
            take_stats(metrics, rec, kt_reader_subject(metrics->reader, rec->subject));
        else if (rec->kind == KT_EV_QUALITY)
            take_quality(metrics, rec, kt_reader_subject(metrics->reader, rec->subject));
        else if (rec->kind == KT_EV_MINUTE)
            take_minute(metrics, rec, kt_reader_subject(metrics->reader, rec->subject));
        else if (rec->kind == KT_EV_LINK)
            take_link(metrics, rec, kt_reader_subject(metrics->reader, rec->subject));
    }
}

void kt_metrics_turn(kt_metrics *metrics)
{
    look(metrics, KT_METRICS_TURN_MAX);
}

/* ---- the text format ---- */

static void put_head(kt_builder *out, const char *name, const char *type, const char *help)
{
    kt_builder_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* {a="b"} from pairs of name and value, ended by NULL. */
static void put_labels(kt_builder *out, const char *const *labels)
{
    if (labels[0] == NULL)
        return;
    kt_builder_char(out, '{');
    for (uint32_t i = 0; labels[i] != NULL; i += 2) {
        kt_builder_format(out, "%s%s=\"", i > 0 ? "," : "", labels[i]);
        for (const char *c = labels[i + 1]; *c != '\0'; c++) {
            if (*c == '\\' || *c == '"')
                kt_builder_char(out, '\\');
            if (*c == '\n')
                kt_builder_str(out, "\\n");
            else
                kt_builder_char(out, *c);
        }
        kt_builder_char(out, '"');
    }
    kt_builder_char(out, '}');
}

#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_LABELS ((const char *const[]){ NULL })

static void put_u64(kt_builder *out, const char *name, const char *const *labels, uint64_t value)
{
    kt_builder_str(out, name);
    put_labels(out, labels);
    kt_builder_char(out, ' ');
    kt_builder_u64(out, value);
    kt_builder_char(out, '\n');
}

/* Seconds with all digits of their nanoseconds. */
static void put_seconds(kt_builder *out, const char *name, const char *const *labels, uint64_t ns)
{
    kt_builder_str(out, name);
    put_labels(out, labels);
    kt_builder_format(
        out, " %llu.%09llu\n", (unsigned long long)(ns / KT_NS_PER_S), (unsigned long long)(ns % KT_NS_PER_S));
}

static void put_signed_seconds(kt_builder *out, const char *name, const char *const *labels, int64_t ns)
{
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

    kt_builder_str(out, name);
    put_labels(out, labels);
    kt_builder_format(out, " %s%llu.%09llu\n", ns < 0 ? "-" : "", (unsigned long long)(size / KT_NS_PER_S),
        (unsigned long long)(size % KT_NS_PER_S));
}

static void put_one(kt_builder *out, const char *name, const char *type, const char *help, uint64_t value)
{
    put_head(out, name, type, help);
    put_u64(out, name, NO_LABELS, value);
}

/* One histogram of a family, with one label or none (NULL). `le` says the greatest value that is counted: one below a power of
 * two. */
static void put_histogram(
    kt_builder *out, const char *name, const char *label, const char *of, const kt_histogram *histogram)
{
    const char *const *labels = label != NULL ? LABELS(label, of) : NO_LABELS;
    char series[NAME_SIZE];

    snprintf(series, sizeof series, "%s_bucket", name);
    for (uint32_t power = POWER_FIRST; power <= POWER_LAST; power++) {
        uint64_t ns = (UINT64_C(1) << power) - 1;
        char bound[32];

        snprintf(bound, sizeof bound, "%llu.%09llu", (unsigned long long)(ns / KT_NS_PER_S),
            (unsigned long long)(ns % KT_NS_PER_S));
        put_u64(out, series, LABELS("le", bound, label, of), kt_histogram_below(histogram, power));
    }
    put_u64(out, series, LABELS("le", "+Inf", label, of), histogram->count);
    snprintf(series, sizeof series, "%s_sum", name);
    put_seconds(out, series, labels, histogram->sum_ns);
    snprintf(series, sizeof series, "%s_count", name);
    put_u64(out, series, labels, histogram->count);
}

/* ---- what is told ---- */

static void put_delays(const kt_metrics *metrics, kt_builder *out)
{
    const struct {
        const char *name;
        const char *help;
        const kt_histogram *histogram;
    } delays[] = {
        { "kontor_venue_to_receive_seconds", "From the venue's time of a trade until it reached us.",
            &metrics->venue_to_receive },
        { "kontor_receive_to_publish_seconds", "From the receipt of a trade until it was published.",
            &metrics->receive_to_publish },
        { "kontor_publish_to_client_seconds",
            "From the publication of an event until it was queued for a client, each client counted.",
            kt_hub_delays(metrics->options.hub) },
    };

    for (uint32_t i = 0; i < KT_COUNT(delays); i++) {
        put_head(out, delays[i].name, "histogram", delays[i].help);
        put_histogram(out, delays[i].name, NULL, NULL, delays[i].histogram);
    }
    put_one(out, "kontor_delay_records_passed_over_total", "counter",
        "Records of log market that the delays leave out, so as not to cost the house its speed.",
        metrics->passed_over);
}

static uint64_t number_of(const kt_field *field, const void *value)
{
    const uint8_t *at = (const uint8_t *)value + field->at;

    if (field->type == KT_FIELD_U32)
        return *(const uint32_t *)at;
    if (field->type == KT_FIELD_U64)
        return *(const uint64_t *)at;
    return *(const int64_t *)at > 0 ? (uint64_t) * (const int64_t *)at : 0;
}

/* One field of feed_stats over all feeds: U64 counts, U32 is a state, TIME a time. Others are no figures of their own. */
static void put_field(const kt_metrics *metrics, kt_builder *out, const kt_field *field)
{
    bool counts = field->type == KT_FIELD_U64;
    bool is_time = field->type == KT_FIELD_TIME;
    char name[NAME_SIZE];

    if (!counts && !is_time && field->type != KT_FIELD_U32)
        return;
    snprintf(name, sizeof name, "kontor_feed_%s%s", field->name, counts ? "_total" : is_time ? "_seconds" : "");
    put_head(out, name, counts ? "counter" : "gauge", field->text);
    for (uint32_t i = 0; i < metrics->feed_count; i++) {
        const feed *of = &metrics->feeds[i];

        if (!of->has_stats)
            continue;
        if (is_time)
            put_seconds(out, name, LABELS("venue", of->venue, "symbol", of->symbol), number_of(field, &of->stats));
        else
            put_u64(out, name, LABELS("venue", of->venue, "symbol", of->symbol), number_of(field, &of->stats));
    }
}

static void put_feeds(const kt_metrics *metrics, kt_builder *out)
{
    const kt_table *table = &kt_event_by_kind(KT_EV_FEED_STATS)->table;

    for (uint32_t i = 0; i < table->field_count; i++)
        put_field(metrics, out, &table->fields[i]);
    put_head(out, "kontor_feed_connected", "gauge", "1: the venue's stream is connected.");
    for (uint32_t i = 0; i < metrics->feed_count; i++)
        if (metrics->feeds[i].has_link)
            put_u64(out, "kontor_feed_connected", LABELS("venue", metrics->feeds[i].venue),
                metrics->feeds[i].link == KT_LINK_CONNECTED);
}

/* Of the newest minute of each feed: counts, then times; a field of kt_ev_quality each. */
static void put_quality(const kt_metrics *metrics, kt_builder *out)
{
    static const struct {
        const char *field;
        const char *name;
        const char *quantile; /* NULL: it is none */
    } times[] = {
        { "minute", "kontor_quality_minute_seconds", NULL },
        { "silence", "kontor_quality_silence_seconds", NULL },
        { "latency_p50", "kontor_quality_latency_seconds", "0.5" },
        { "latency_p99", "kontor_quality_latency_seconds", "0.99" },
        { "latency_max", "kontor_quality_latency_seconds", "1" },
    };
    const kt_table *table = &kt_event_by_kind(KT_EV_QUALITY)->table;
    char name[NAME_SIZE];

    for (uint32_t f = 0; f < table->field_count; f++) {
        if (table->fields[f].type != KT_FIELD_U64)
            continue;
        snprintf(name, sizeof name, "kontor_quality_%s", table->fields[f].name);
        kt_builder_format(
            out, "# HELP %s In the newest minute: %s\n# TYPE %s gauge\n", name, table->fields[f].text, name);
        for (uint32_t i = 0; i < metrics->feed_count; i++)
            if (metrics->feeds[i].has_quality)
                put_u64(out, name, LABELS("venue", metrics->feeds[i].venue, "symbol", metrics->feeds[i].symbol),
                    number_of(&table->fields[f], &metrics->feeds[i].quality));
    }
    for (uint32_t t = 0; t < KT_COUNT(times); t++) {
        const kt_field *field = kt_table_field(table, kt_text_of(times[t].field));

        if (t == 0 || strcmp(times[t].name, times[t - 1].name) != 0)
            kt_builder_format(out, "# HELP %s Of the newest minute: %s\n# TYPE %s gauge\n", times[t].name, field->text,
                times[t].name);
        for (uint32_t i = 0; i < metrics->feed_count; i++) {
            const feed *of = &metrics->feeds[i];

            if (of->has_quality && (times[t].quantile == NULL || of->quality.timed > 0))
                put_signed_seconds(out, times[t].name,
                    LABELS("venue", of->venue, "symbol", of->symbol, times[t].quantile != NULL ? "quantile" : NULL,
                        times[t].quantile),
                    *(const int64_t *)((const uint8_t *)&of->quality + field->at));
        }
    }
}

/* How many of our own minutes stand beside the venue's, so far. */
static void put_minutes(const kt_metrics *metrics, kt_builder *out)
{
    static const char *const names[] = { "compared", "different" };
    const kt_table *table = &kt_event_by_kind(KT_EV_MINUTE)->table;
    char name[NAME_SIZE];

    for (uint32_t n = 0; n < KT_COUNT(names); n++) {
        const kt_field *field = kt_table_field(table, kt_text_of(names[n]));

        snprintf(name, sizeof name, "kontor_minutes_%s", names[n]);
        put_head(out, name, "gauge", field->text);
        for (uint32_t i = 0; i < metrics->feed_count; i++)
            if (metrics->feeds[i].has_minute)
                put_u64(out, name, LABELS("venue", metrics->feeds[i].venue, "symbol", metrics->feeds[i].symbol),
                    number_of(field, &metrics->feeds[i].minute));
    }
}

static void put_clients(const kt_metrics *metrics, kt_builder *out)
{
    kt_edge_counts counts;

    kt_hub_count(metrics->options.hub, &counts);
    put_one(out, "kontor_clients", "gauge", "WebSocket connections now.", counts.clients);
    put_one(out, "kontor_subscriptions", "gauge", "Subscriptions of all clients.", counts.subscriptions);
    put_one(out, "kontor_events_read_total", "counter", "Records taken from all logs for clients.", counts.events_read);
    put_one(out, "kontor_messages_total", "counter", "Messages queued to clients.", counts.messages_sent);
    put_one(out, "kontor_events_skipped_total", "counter", "Events that newer ones stood for.", counts.events_skipped);
    put_one(out, "kontor_replays_total", "counter",
        "Subscriptions served from the log instead of the live stream, those of slow clients included.",
        counts.replays);
    put_one(out, "kontor_clients_slow", "gauge", "Clients that have not taken yet what is theirs.", counts.slow);
    put_one(out, "kontor_clients_slow_total", "counter", "How often a client became slow.", counts.slow_begun);
    put_head(out, "kontor_clients_dropped_total", "counter", "Clients that were cut off.");
    put_u64(out, "kontor_clients_dropped_total", LABELS("reason", "silent"), counts.silent_closed);
    put_u64(out, "kontor_clients_dropped_total", LABELS("reason", "slow"), counts.slow_closed);
}

typedef struct lane_figures {
    char name[KT_BOARD_NAME_SIZE];
    uint32_t state;
    uint32_t restarts;
    uint64_t inputs;
    kt_act_process process;
} lane_figures;

static uint32_t find_lanes(const kt_metrics *metrics, lane_figures lanes[KT_BOARD_LANE_MAX])
{
    const kt_board *board = metrics->options.lane != NULL ? kt_lane_board(metrics->options.lane) : NULL;
    uint32_t count = 0;

    for (uint32_t i = 0; board != NULL && i < board->lane_count; i++) {
        const kt_board_page *page = kt_board_page_of(board, i);

        if (!kt_act_is_lane(page))
            continue;
        lanes[count] = (lane_figures){ .state = atomic_load(&page->state),
            .restarts = atomic_load(&page->restarts),
            .inputs = atomic_load(&page->position[i]),
            .process = kt_act_process_of(atomic_load(&page->pid)) };
        snprintf(lanes[count].name, sizeof lanes[count].name, "%.*s", KT_BOARD_NAME_SIZE - 1, page->name);
        count++;
    }
    return count;
}

static void put_lanes(const kt_metrics *metrics, kt_builder *out)
{
    lane_figures lanes[KT_BOARD_LANE_MAX];
    uint32_t count = find_lanes(metrics, lanes);

    put_head(out, "kontor_lane_state", "gauge", "1: the lane is in this state.");
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t state = 0; state < KT_BOARD_STATE_COUNT; state++)
            put_u64(out, "kontor_lane_state", LABELS("lane", lanes[i].name, "state", kt_board_state_text(state)),
                lanes[i].state == state);
    put_head(out, "kontor_lane_restarts_total", "counter", "Starts of the lane after its first one.");
    for (uint32_t i = 0; i < count; i++)
        put_u64(out, "kontor_lane_restarts_total", LABELS("lane", lanes[i].name), lanes[i].restarts);
    put_head(out, "kontor_lane_input", "gauge", "Seq of the last input that the lane has applied.");
    for (uint32_t i = 0; i < count; i++)
        put_u64(out, "kontor_lane_input", LABELS("lane", lanes[i].name), lanes[i].inputs);
    put_head(out, "kontor_process_cpu_seconds_total", "counter", "Processor time of the lane's process.");
    for (uint32_t i = 0; i < count; i++)
        put_seconds(out, "kontor_process_cpu_seconds_total", LABELS("lane", lanes[i].name), lanes[i].process.cpu_ns);
    put_head(out, "kontor_process_resident_memory_bytes", "gauge", "Memory of the lane's process.");
    for (uint32_t i = 0; i < count; i++)
        put_u64(out, "kontor_process_resident_memory_bytes", LABELS("lane", lanes[i].name), lanes[i].process.rss);
}

/* Lines of the readers of one log, once with their position and once with how far they are behind. */
typedef struct reader_lines {
    kt_builder *out;
    const char *log;
    uint64_t written;
    bool lag;
} reader_lines;

static void put_reader(const reader_lines *lines, const char *kind, const char *name, uint64_t position)
{
    const char *const *labels = LABELS("log", lines->log, "kind", kind, "reader", name);

    if (lines->lag)
        put_u64(lines->out, "kontor_log_reader_lag_records", labels,
            lines->written > position ? lines->written - position : 0);
    else
        put_u64(lines->out, "kontor_log_reader_position", labels, position);
}

static void put_cursor(void *ctx, const char *name, kt_cursor_position position)
{
    put_reader(ctx, "cursor", name, position.seq);
}

static void put_readers(const kt_metrics *metrics, kt_builder *out, bool lag)
{
    const kt_board *board = metrics->options.lane != NULL ? kt_lane_board(metrics->options.lane) : NULL;
    kt_hub_log log;

    for (uint32_t i = 0; kt_hub_log_at(metrics->options.hub, i, &log); i++) {
        int at = board != NULL ? kt_board_find(board, kt_text_of(log.name)) : -1;
        reader_lines lines = { out, log.name, 0, lag };

        if (log.reader == NULL)
            continue;
        lines.written = kt_reader_written(log.reader);
        for (uint32_t j = 0; at >= 0 && j < board->lane_count; j++) {
            const kt_board_page *page = kt_board_page_of(board, j);
            uint64_t position = atomic_load(&page->position[at]);

            if ((int)j != at && kt_act_is_lane(page) && position > 0)
                put_reader(&lines, "lane", page->name, position);
        }
        kt_cursor_each(log.dir, put_cursor, &lines, NULL); /* a log without cursors has no folder of them */
    }
}

static void put_logs(const kt_metrics *metrics, kt_builder *out)
{
    static const struct {
        const char *name;
        const char *help;
        uint64_t (*of)(const kt_reader *reader);
    } figures[] = {
        { "kontor_log_written", "Seq of the last record that is written.", kt_reader_written },
        { "kontor_log_durable", "Seq of the last record that is on disk.", kt_reader_durable },
        { "kontor_log_first", "Seq of the first record that is kept.", kt_reader_first },
    };
    kt_hub_log log;

    for (uint32_t f = 0; f < KT_COUNT(figures); f++) {
        put_head(out, figures[f].name, "gauge", figures[f].help);
        for (uint32_t i = 0; kt_hub_log_at(metrics->options.hub, i, &log); i++)
            if (log.reader != NULL)
                put_u64(out, figures[f].name, LABELS("log", log.name), figures[f].of(log.reader));
    }
    put_head(out, "kontor_log_reader_position", "gauge", "Seq of the last record that a reader has.");
    put_readers(metrics, out, false);
    put_head(
        out, "kontor_log_reader_lag_records", "gauge", "Records that are written and that a reader does not have.");
    put_readers(metrics, out, true);
}

static void put_calls(const kt_metrics *metrics, kt_builder *out)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
    } figures[] = {
        { "kontor_action_calls_total", "counter", "Calls that were answered, errors included." },
        { "kontor_action_errors_total", "counter", "Calls that were answered with an error." },
        { "kontor_action_retries_total", "counter", "Calls that were sent again." },
        { "kontor_action_refused_total", "counter", "Calls that were turned away for their rate or scope." },
        { "kontor_action_open_calls", "gauge", "Calls that wait for their answer." },
        { "kontor_action_breaker_open", "gauge", "1: the lane that answers has failed too often and is not asked." },
    };

    for (uint32_t f = 0; f < KT_COUNT(figures); f++) {
        put_head(out, figures[f].name, figures[f].type, figures[f].help);
        for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
            kt_call_counts counts = kt_calls_count(metrics->options.calls, i);
            uint64_t values[] = { counts.calls, counts.errors, counts.retries, counts.refused, counts.open,
                counts.breaker == KT_BREAKER_OPEN };

            put_u64(out, figures[f].name, LABELS("action", kt_actions[i].name), values[f]);
        }
    }
    put_head(out, "kontor_action_seconds", "histogram", "From the start of a call to its answer.");
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        const kt_histogram *times = kt_calls_times(metrics->options.calls, i);

        if (times->count > 0)
            put_histogram(out, "kontor_action_seconds", "action", kt_actions[i].name, times);
    }
}

kt_code kt_metrics_write(kt_metrics *metrics, char *buf, size_t size, kt_text *out_text)
{
    kt_builder out;

    look(metrics, CATCH_UP_MAX);
    kt_builder_init(&out, buf, size);
    put_head(&out, "kontor_info", "gauge", "The program.");
    put_u64(&out, "kontor_info", LABELS("version", KT_VERSION_TEXT), 1);
    put_delays(metrics, &out);
    put_feeds(metrics, &out);
    put_quality(metrics, &out);
    put_minutes(metrics, &out);
    put_clients(metrics, &out);
    put_lanes(metrics, &out);
    put_logs(metrics, &out);
    put_calls(metrics, &out);
    if (out.code == KT_OK)
        *out_text = kt_builder_done(&out);
    return out.code;
}
