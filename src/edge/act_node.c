#include "edge/act.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "base/version.h"
#include "edge/call.h"
#include "log/cursor.h"
#include "log/reader.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READER_MAX = 64,    /* of one log that are told */
    SEGMENT_MAX = 4096, /* of one log that are looked at */
    SERVICE_MAX = 64,   /* that are told, those that answer something first */
    CLIENT_MAX = 1000   /* that are told */
};

/* ---- processes ---- */

/* From /proc, which is what the system says about processes of other lanes. */
kt_act_process kt_act_process_of(int32_t pid)
{
    unsigned long long user = 0, system = 0, start = 0;
    long ticks = sysconf(_SC_CLK_TCK);
    struct timespec boot, now;
    char path[64], line[1024];
    kt_act_process of = { 0 };
    long pages = 0;
    size_t n;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL)
        return of;
    n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = '\0';
    /* The name of the program, in brackets, may hold anything: what follows the last bracket does not. */
    const char *behind = strrchr(line, ')');
    if (behind == NULL || ticks <= 0 ||
        sscanf(behind + 1,
            " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu %*u %ld", &user,
            &system, &start, &pages) != 4)
        return of;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &now);
    of.cpu_ns = (user + system) * (uint64_t)(KT_NS_PER_S / ticks);
    of.rss = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    of.since_ns = (int64_t)(now.tv_sec - boot.tv_sec) * KT_NS_PER_S + (now.tv_nsec - boot.tv_nsec) +
                  (int64_t)start * (KT_NS_PER_S / ticks);
    return of;
}

/* ---- the board ---- */

static const kt_board *board_of(const kt_act_house *house)
{
    return house->lane != NULL ? kt_lane_board(house->lane) : NULL;
}

bool kt_act_is_lane(const kt_board_page *page)
{
    return atomic_load(&page->generation) > 0;
}

static kt_text page_name(const kt_board_page *page)
{
    return (kt_text){ page->name, strnlen(page->name, KT_BOARD_NAME_SIZE) };
}

/* Does somebody answer it now? */
static bool is_available(const kt_act_house *house, const kt_action *action)
{
    const kt_board *board = board_of(house);
    int index;

    if (kt_acts[action - kt_actions].own != NULL)
        return true;
    index = board != NULL ? kt_board_find_action(board, kt_text_of(action->name)) : -1;
    return index >= 0 && atomic_load(&kt_board_page_of(board, (uint32_t)index)->state) == KT_BOARD_LIVE;
}

/* ---- node.list ---- */

kt_code kt_act_node_list(const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    const kt_board *board = board_of(house);
    char name[65] = "";
    char data[4097] = "";
    kt_row_node row;
    kt_response_node_list response = { .nodes = KT_ROWS_OF(&row, 1) };

    kt_table_init(&kt_row_table_node, &row);
    gethostname(name, sizeof name - 1);
    row.node = name[0] != '\0' ? kt_text_of(name) : KT_TEXT("node");
    row.version = KT_TEXT(KT_VERSION_TEXT);
    if (house->lane != NULL && realpath(kt_lane_data_dir(house->lane), data) != NULL)
        row.data = kt_text_of(data);
    if (board != NULL) {
        row.pid = (uint32_t)getppid();
        row.since = kt_act_process_of(getppid()).since_ns;
    }
    for (uint32_t i = 0; board != NULL && i < board->lane_count; i++) {
        const kt_board_page *page = kt_board_page_of(board, i);

        if (!kt_act_is_lane(page))
            continue;
        row.lanes++;
        row.live += atomic_load(&page->state) == KT_BOARD_LIVE;
        row.restarts += atomic_load(&page->restarts);
    }
    kt_table_write_json(&kt_actions[KT_ACTION_node_list].response, &response, writer);
    return KT_OK;
}

/* ---- node.services, node.actions ---- */

static kt_text service_of(const kt_action *action)
{
    const char *dot = strchr(action->name, '.');

    return (kt_text){ action->name, dot != NULL ? (size_t)(dot - action->name) : strlen(action->name) };
}

static bool same_service(const kt_action *a, const kt_action *b)
{
    return kt_text_equal(service_of(a), service_of(b)) && strcmp(a->lane, b->lane) == 0;
}

/* Those that answer something, each name of a lane once. Returns their number. */
static uint32_t put_answering(const kt_act_house *house, kt_row_service *rows, kt_text names[KT_ACTION_COUNT])
{
    uint32_t row_count = 0, name_count = 0;

    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        uint32_t first = name_count;
        bool told = false;

        for (uint32_t j = 0; j < i; j++)
            told = told || same_service(&kt_actions[j], &kt_actions[i]);
        if (told)
            continue;
        for (uint32_t j = i; j < KT_ACTION_COUNT; j++)
            if (same_service(&kt_actions[j], &kt_actions[i]))
                names[name_count++] = kt_text_of(kt_actions[j].name);
        rows[row_count++] = (kt_row_service){
            .service = service_of(&kt_actions[i]),
            .lane = kt_text_of(kt_actions[i].lane),
            .available = is_available(house, &kt_actions[i]),
            .actions = KT_TEXTS_OF(&names[first], name_count - first),
        };
    }
    return row_count;
}

static bool is_told(const kt_row_service *rows, uint32_t count, kt_text service, kt_text lane)
{
    for (uint32_t i = 0; i < count; i++)
        if (kt_text_equal(rows[i].service, service) && kt_text_equal(rows[i].lane, lane))
            return true;
    return false;
}

/* Those that lanes host and that answer nothing under their own name. Returns the number of all. */
static uint32_t put_hosted(const kt_act_house *house, kt_row_service *rows, uint32_t count)
{
    const kt_board *board = board_of(house);
    kt_text service;

    for (uint32_t i = 0; board != NULL && i < board->lane_count; i++) {
        const kt_board_page *page = kt_board_page_of(board, i);

        for (uint32_t j = 0; count < SERVICE_MAX && kt_board_service_at(board, i, j, &service); j++)
            if (!is_told(rows, count, service, page_name(page)))
                rows[count++] = (kt_row_service){
                    .service = service, .lane = page_name(page), .available = atomic_load(&page->state) == KT_BOARD_LIVE
                };
    }
    return count;
}

kt_code kt_act_node_services(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    kt_text names[KT_ACTION_COUNT];
    kt_row_service rows[SERVICE_MAX];
    uint32_t count = put_hosted(house, rows, put_answering(house, rows, names));
    kt_response_node_services response = { .services = KT_ROWS_OF(rows, count) };

    kt_table_write_json(&kt_actions[KT_ACTION_node_services].response, &response, writer);
    return KT_OK;
}

kt_code kt_act_node_actions(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    char paths[KT_ACTION_COUNT][KT_ACTION_PATH_MAX];
    kt_row_action rows[KT_ACTION_COUNT];
    kt_response_node_actions response = { .actions = KT_ROWS_OF(rows, KT_ACTION_COUNT) };

    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        const kt_action *action = &kt_actions[i];
        kt_call_counts counts = kt_calls_count(house->calls, i);

        kt_action_path(action, paths[i]);
        rows[i] = (kt_row_action){
            .action = kt_text_of(action->name),
            .text = kt_text_of(action->text),
            .method = kt_text_of(action->method),
            .path = kt_text_of(paths[i]),
            .lane = kt_text_of(action->lane),
            .scope = (uint8_t)action->scope,
            .cost = action->cost,
            .repeats = action->repeats,
            .available = is_available(house, action),
            .breaker = (uint8_t)counts.breaker,
            .calls = counts.calls,
            .errors = counts.errors,
            .retries = counts.retries,
            .open = counts.open,
            .p50 = counts.p50_ns,
            .p99 = counts.p99_ns,
            .refused = counts.refused,
        };
    }
    kt_table_write_json(&kt_actions[KT_ACTION_node_actions].response, &response, writer);
    return KT_OK;
}

/* ---- node.lanes ---- */

static kt_text reason_of(const kt_act_house *house, kt_text lane)
{
    for (uint32_t i = 0; i < house->deaths->count; i++)
        if (kt_text_equal(lane, kt_text_of(house->deaths->lanes[i].lane)))
            return kt_text_of(house->deaths->lanes[i].reason);
    return KT_TEXT("");
}

static int64_t live_since(const kt_act_house *house, const kt_board_page *page)
{
    int64_t since_ns = atomic_load(&page->live_since_ns);
    struct timespec now;

    if (since_ns == 0 || atomic_load(&page->state) != KT_BOARD_LIVE)
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return kt_act_clock(house) - ((int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec - since_ns);
}

kt_code kt_act_node_lanes(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    const kt_board *board = board_of(house);
    kt_row_lane rows[KT_BOARD_LANE_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; board != NULL && i < board->lane_count; i++) {
        const kt_board_page *page = kt_board_page_of(board, i);
        int32_t pid = atomic_load(&page->pid);
        kt_act_process of = kt_act_process_of(pid);

        if (!kt_act_is_lane(page))
            continue;
        rows[count++] = (kt_row_lane){
            .lane = page_name(page),
            .state = kt_text_of(kt_board_state_text(atomic_load(&page->state))),
            .pid = pid > 0 ? (uint32_t)pid : 0,
            .generation = atomic_load(&page->generation),
            .restarts = atomic_load(&page->restarts),
            .reason = reason_of(house, page_name(page)),
            .since = live_since(house, page),
            .cpu = of.cpu_ns,
            .rss = of.rss,
            .inputs = atomic_load(&page->position[i]),
        };
    }
    kt_response_node_lanes response = { .lanes = KT_ROWS_OF(rows, count) };
    kt_table_write_json(&kt_actions[KT_ACTION_node_lanes].response, &response, writer);
    return KT_OK;
}

/* ---- node.logs ---- */

typedef struct segment {
    uint64_t first; /* seq */
    uint64_t size;
} segment;

static int by_first(const void *a, const void *b)
{
    const segment *left = a, *right = b;

    return (left->first > right->first) - (left->first < right->first);
}

/* The segments of a log as they lie in its folder, in order. */
static uint32_t find_segments(const char *dir, segment *segments)
{
    uint32_t count = 0;
    struct dirent *entry;
    struct stat info;
    DIR *folder = opendir(dir);

    while (folder != NULL && count < SEGMENT_MAX && (entry = readdir(folder)) != NULL) {
        size_t n = strlen(entry->d_name);

        if (n < 5 || strcmp(entry->d_name + n - 4, ".seg") != 0 || fstatat(dirfd(folder), entry->d_name, &info, 0) != 0)
            continue;
        segments[count++] = (segment){ strtoull(entry->d_name, NULL, 10), (uint64_t)info.st_size };
    }
    if (folder != NULL)
        closedir(folder);
    qsort(segments, count, sizeof *segments, by_first);
    return count;
}

typedef struct log_readers {
    const kt_board *board; /* NULL: none */
    kt_row_log_reader rows[READER_MAX];
    char names[READER_MAX][65];
    uint32_t count;
    uint64_t written;
    const segment *segments;
    uint32_t segment_count;
} log_readers;

static kt_row_log_reader *add_reader(log_readers *readers, kt_text name, uint64_t position)
{
    kt_row_log_reader *row = &readers->rows[readers->count];

    snprintf(readers->names[readers->count], sizeof readers->names[0], "%.*s", KT_TEXT_ARG(name));
    *row = (kt_row_log_reader){ .reader = kt_text_of(readers->names[readers->count++]),
        .position = position,
        .lag = readers->written > position ? readers->written - position : 0 };
    return row;
}

/* The lane that hosts a service of this name; -1: none. */
static int hosting_lane(const kt_board *board, kt_text name)
{
    kt_text service;

    for (uint32_t i = 0; board != NULL && i < board->lane_count; i++)
        for (uint32_t j = 0; kt_board_service_at(board, i, j, &service); j++)
            if (kt_text_equal(service, name))
                return (int)i;
    return -1;
}

/* A lane is asleep while its episode is odd. */
static bool is_awake(const kt_board *board, int lane_index)
{
    const kt_board_page *page = lane_index >= 0 ? kt_board_page_of(board, (uint32_t)lane_index) : NULL;

    return page != NULL && atomic_load(&page->state) == KT_BOARD_LIVE && atomic_load(&page->episode) % 2 == 0;
}

/* A cursor has the name of the service that keeps it. */
static void add_cursor(void *ctx, const char *name, kt_cursor_position position)
{
    log_readers *readers = ctx;

    if (readers->count == READER_MAX)
        return;
    kt_row_log_reader *row = add_reader(readers, kt_text_of(name), position.seq);
    row->cursor = true;
    row->awake = is_awake(readers->board, hosting_lane(readers->board, kt_text_of(name)));
    /* a segment is kept as long as it may hold a record that is not safe */
    for (uint32_t i = 0; i < readers->segment_count; i++)
        if (i + 1 == readers->segment_count || readers->segments[i + 1].first > position.safe + 1)
            row->held += readers->segments[i].size;
}

/* Lanes that have got somewhere in it. */
static void add_lanes(const kt_act_house *house, kt_text log, log_readers *readers)
{
    const kt_board *board = board_of(house);
    int log_index = board != NULL ? kt_board_find(board, log) : -1;

    for (uint32_t i = 0; log_index >= 0 && i < board->lane_count && readers->count < READER_MAX; i++) {
        const kt_board_page *page = kt_board_page_of(board, i);
        uint64_t position = atomic_load(&page->position[log_index]);

        if ((int)i == log_index || !kt_act_is_lane(page) || position == 0)
            continue;
        add_reader(readers, page_name(page), position)->awake = is_awake(board, (int)i);
    }
}

static void put_log(const kt_act_house *house, const kt_hub_log *log, kt_json_writer *writer)
{
    static segment segments[SEGMENT_MAX];
    static log_readers readers;
    char epoch[17];
    kt_row_log row;

    kt_table_init(&kt_row_table_log, &row);
    row.log = kt_text_of(log->name);
    row.epoch = (kt_text){ epoch,
        (size_t)snprintf(epoch, sizeof epoch, "%016llx", (unsigned long long)kt_reader_epoch(log->reader)) };
    row.first = kt_reader_first(log->reader);
    row.written = kt_reader_written(log->reader);
    row.durable = kt_reader_durable(log->reader);
    readers = (log_readers){ .board = board_of(house),
        .written = row.written,
        .segments = segments,
        .segment_count = find_segments(log->dir, segments) };
    for (uint32_t i = 0; i < readers.segment_count; i++)
        row.size += segments[i].size;
    add_lanes(house, row.log, &readers);
    kt_cursor_each(log->dir, add_cursor, &readers, NULL); /* a log without cursors has no folder of them */
    row.readers = KT_ROWS_OF(readers.rows, readers.count);
    kt_table_write_json(&kt_row_table_log, &row, writer);
}

kt_code kt_act_node_logs(const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    kt_hub_log log;

    kt_json_open_object(writer);
    kt_json_name(writer, "logs");
    kt_json_open_array(writer);
    for (uint32_t i = 0; kt_hub_log_at(house->hub, i, &log); i++)
        if (log.reader != NULL)
            put_log(house, &log, writer);
    kt_json_close_array(writer);
    kt_json_close_object(writer);
    return KT_OK;
}

/* ---- node.clients ---- */

typedef struct client_list {
    const kt_act_house *house;
    kt_json_writer *writer;
    bool slow;
    uint32_t count;
} client_list;

static bool put_client(void *ctx, const kt_hub_guest *guest)
{
    client_list *list = ctx;
    kt_row_client row = {
        .address = kt_text_of(guest->address),
        .since = kt_act_clock(list->house) - (kt_loop_now(list->house->loop) - guest->since_ns),
        .channels = guest->channels,
        .slow = guest->slow,
        .slow_begun = guest->slow_begun,
        .skipped = guest->skipped,
        .messages = guest->messages,
        .queued = guest->pending,
        .compressed = guest->deflates,
    };

    if (list->slow && guest->slow == 0)
        return true;
    if (list->count == CLIENT_MAX)
        return false;
    list->count++;
    kt_table_write_json(&kt_row_table_client, &row, list->writer);
    return true;
}

kt_code kt_act_node_clients(
    const kt_act_house *house, const void *params, kt_json_writer *writer, kt_refusal *out_refusal)
{
    client_list list = { .house = house, .writer = writer, .slow = ((const kt_params_node_clients *)params)->slow };
    bool complete;

    kt_json_open_object(writer);
    kt_json_name(writer, "clients");
    kt_json_open_array(writer);
    complete = kt_hub_guests(house->hub, put_client, &list);
    kt_json_close_array(writer);
    kt_json_member_bool(writer, "complete", complete);
    kt_json_close_object(writer);
    return KT_OK;
}
