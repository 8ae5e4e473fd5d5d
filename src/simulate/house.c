#include "simulate/house.h"

#include "base/assert.h"
#include "base/time.h"
#include "base/version.h"
#include "edge/edge.h"
#include "service/book.h"
#include "service/feed.h"
#include "service/market.h"
#include "service/record_feed.h"
#include "service/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    SYNC_FIRST_US = 1000, /* until a sync has been done: mostly up to SYNC_MOST_US, at times up to the log's bound */
    SYNC_MOST_US = 10000,
    TEXT_SIZE = 64 << 10,
    WAKE_SYNCS = 8, /* one of so many steps of falling asleep or waking is met by a sync */
};

typedef enum lane_state { ABSENT, TO_OPEN, OPEN, ENDED } lane_state;

typedef struct hosted {
    kt_house *house;
    uint32_t index;
    lane_state state;
    kt_lane *lane;
    kt_lane_links links;
    kt_lane_world world;
    kt_config *config;
    int end_fd; /* the supervisor's, who closes it */
    siginfo_t info;
    bool parked; /* the loop is */
    int64_t until_ns;
    int64_t sync_ns; /* INT64_MAX: none is due */
} hosted;

struct kt_house {
    kt_house_options options;
    hosted lanes[KT_HOUSE_LANES];
    kt_supervisor_host host;
    kt_lane_world house_world;
    kt_supervisor *supervisor;
    int64_t supervise_ns;
    bool ended; /* a lane has, and the supervisor does not know yet */
    bool syncing;
    uint8_t boot_id[KT_BOOT_ID_SIZE];
    char text[TEXT_SIZE]; /* canonical configuration */
    size_t text_size;
    pid_t last_pid;
    kt_house_counts counts;
    char reason[KT_BOARD_NAME_SIZE + KT_BOARD_REASON_SIZE];
};

static const kt_service_spec *const market_services[] = { &kt_settings_service, &kt_market_service, &kt_book_service,
    NULL };
static const kt_feed_spec *const market_feeds[] = { &kt_settings_feed, &kt_venue_feed, NULL };
static const kt_service_spec *const no_services[] = { NULL };
static const kt_feed_spec *const keep_feeds[] = { &kt_record_feed, NULL };
static const kt_service_spec *const edge_services[] = { &kt_settings_service, NULL };
static const kt_feed_spec *const edge_feeds[] = { &kt_settings_feed, &kt_edge_feed, NULL };

static const struct {
    const char *name;
    const kt_service_spec *const *services;
    const kt_feed_spec *const *feeds;
} plans[KT_HOUSE_LANES] = {
    [KT_HOUSE_MARKET] = { "market", market_services, market_feeds },
    [KT_HOUSE_KEEP] = { "keep", no_services, keep_feeds },
    [KT_HOUSE_EDGE] = { "edge", edge_services, edge_feeds },
};

const char *kt_house_lane_name(uint32_t lane)
{
    return plans[lane].name;
}

static int64_t clock_now(void *ctx)
{
    return *((kt_house *)ctx)->options.now_ns;
}

static uint64_t random_number(void *ctx)
{
    return kt_rng_u64(((kt_house *)ctx)->options.rng) | 1;
}

/* ---- syncs: what the thread of a lane's log does ---- */

static void sync_now(hosted *lane)
{
    kt_house *house = lane->house;

    if (lane->state != OPEN || house->syncing || kt_vdisk_dead(house->options.disk, lane->index))
        return;
    house->syncing = true;
    lane->sync_ns = INT64_MAX;
    (void)kt_log_sync(kt_lane_log(lane->lane), NULL); /* a failure ends the lane, by itself */
    house->syncing = false;
}

static void want_sync(hosted *lane)
{
    kt_house *house = lane->house;
    const kt_log *log = lane->state == OPEN ? kt_lane_log(lane->lane) : NULL;
    bool slow = kt_rng_chance(house->options.rng, 0.1);

    if (log == NULL || lane->sync_ns != INT64_MAX || kt_log_failed(log) || kt_log_written(log) == kt_log_durable(log))
        return;
    lane->sync_ns =
        *house->options.now_ns +
        kt_rng_between(house->options.rng, SYNC_FIRST_US, slow ? KT_COMMIT_DELAY_MS * 1000 : SYNC_MOST_US) * 1000;
}

/* Between marking asleep and looking again, and between publishing and looking who sleeps, a log's thread may do its work. */
static void at_wake_step(void *ctx, kt_wake_step step)
{
    kt_house *house = ctx;

    if (kt_rng_below(house->options.rng, WAKE_SYNCS) == 0)
        sync_now(&house->lanes[kt_rng_below(house->options.rng, KT_HOUSE_LANES)]);
}

/* ---- lives of lanes ---- */

static void end_lane(hosted *lane, int code, int status)
{
    const uint64_t one = 1;

    lane->state = ENDED;
    lane->lane = NULL;
    lane->info = (siginfo_t){ .si_code = code };
    lane->info.si_status = status;
    lane->info.si_pid = (pid_t)(lane->index + 1);
    lane->house->ended = true;
    lane->house->counts.deaths += code == CLD_KILLED;
    close(lane->links.control_fd);
    kt_config_free(lane->config);
    lane->config = NULL;
    kt_assert(write(lane->end_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

/* As SIGKILL: whatever its code still does at its end reaches nobody. */
static void bury(hosted *lane)
{
    kt_house *house = lane->house;

    kt_vdisk_kill(house->options.disk, lane->index);
    kt_vnet_sever(house->options.net, lane->index);
    kt_lane_close(lane->lane, false);
    kt_vnet_sever(house->options.net, lane->index);
    end_lane(lane, CLD_KILLED, SIGKILL);
}

/* As the end of kt_lane_main(). */
static void close_lane(hosted *lane, kt_code code, bool park, const kt_err *err)
{
    kt_house *house = lane->house;
    int status = code == KT_OK     ? KT_LANE_EXIT_OK
                 : park            ? KT_LANE_EXIT_PARK
                 : code == KT_FULL ? KT_LANE_EXIT_FULL
                                   : KT_LANE_EXIT_FAILED;

    if (code != KT_OK) {
        kt_board_page *page = kt_board_page_of(lane->links.board, lane->index);
        snprintf(page->reason, sizeof page->reason, "%s", err->msg);
    }
    kt_vnet_sever(house->options.net, lane->index); /* nobody of its clients could answer while it waits for them */
    kt_lane_close(lane->lane, code == KT_OK);
    if (kt_vdisk_dead(house->options.disk, lane->index))
        end_lane(lane, CLD_KILLED, SIGKILL);
    else
        end_lane(lane, CLD_EXITED, status);
}

static void open_lane(hosted *lane)
{
    kt_house *house = lane->house;
    uint64_t part = lane->index == KT_HOUSE_MARKET ? 1 : 4;
    kt_lane_options options = {
        .name = plans[lane->index].name,
        .data_dir = house->options.data,
        .services = plans[lane->index].services,
        .feeds = plans[lane->index].feeds,
        .config_text = { house->text, house->text_size },
        .logic = 1,
        .version = KT_VERSION_TEXT,
        .links = &lane->links,
        .segment_size = house->options.segment_size / part,
        .retention_bytes = house->options.retention_bytes / part,
        .diag = house->options.diag,
        .diag_ctx = house->options.ctx,
        .clock_ns = clock_now,
        .mono_ns = clock_now,
        .clock_ctx = house,
        .world = &lane->world,
    };
    kt_err err = { 0 };
    bool park = false;

    memcpy(options.boot_id, house->boot_id, sizeof options.boot_id);
    kt_code code = kt_config_parse("the simulator's configuration", house->text, house->text_size, &lane->config, &err);
    options.config = lane->config;
    if (code == KT_OK)
        code = kt_lane_open(&options, &lane->lane, &park, &err);
    if (code != KT_OK) {
        lane->lane = NULL;
        close_lane(lane, code, park, &err);
        return;
    }
    lane->state = OPEN;
    lane->parked = false;
    lane->sync_ns = INT64_MAX;
    want_sync(lane);
}

static void turn_lane(hosted *lane)
{
    kt_err err = { 0 };
    kt_code code = kt_lane_turn(lane->lane, 0, &err);

    lane->parked = false;
    if (kt_vdisk_dead(lane->house->options.disk, lane->index))
        return;
    if (code != KT_OK || kt_lane_stopping(lane->lane)) {
        bool park = false;
        kt_lane_run(lane->lane, &park, &err); /* stops at once, and says whether it is to be parked */
        close_lane(lane, code, park, &err);
        return;
    }
    lane->parked = kt_loop_park(kt_lane_loop(lane->lane), &lane->until_ns);
    want_sync(lane);
}

/* ---- for the supervisor ---- */

static int host_start(void *ctx, uint32_t index, const kt_lane_links *links, pid_t *out_pid)
{
    kt_house *house = ctx;
    hosted *lane = &house->lanes[index];

    lane->end_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (lane->end_fd < 0)
        return -1;
    lane->links = *links;
    lane->state = TO_OPEN;
    kt_vdisk_revive(house->options.disk, index);
    *out_pid = ++house->last_pid;
    house->counts.starts++;
    return lane->end_fd;
}

static void host_ended(void *ctx, uint32_t index, siginfo_t *out_info)
{
    hosted *lane = &((kt_house *)ctx)->lanes[index];

    if (lane->state != ENDED)
        return;
    *out_info = lane->info;
    lane->state = ABSENT;
}

static void host_kill(void *ctx, uint32_t index)
{
    hosted *lane = &((kt_house *)ctx)->lanes[index];

    if (lane->state == OPEN || lane->state == TO_OPEN)
        bury(lane);
}

/* ---- tasks ---- */

void kt_house_fds(const kt_house *house, struct pollfd out_fds[KT_HOUSE_LANES])
{
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++) {
        const hosted *lane = &house->lanes[i];
        bool asleep = lane->state == OPEN && lane->parked;
        out_fds[i] = (struct pollfd){ .fd = asleep ? kt_loop_fd(kt_lane_loop(lane->lane)) : -1, .events = POLLIN };
    }
}

uint32_t kt_house_tasks(
    const kt_house *house, const struct pollfd fds[KT_HOUSE_LANES], kt_house_task *out_tasks, int64_t *out_next_ns)
{
    int64_t now_ns = *house->options.now_ns, next_ns = INT64_MAX;
    uint32_t count = 0;

    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++) {
        const hosted *lane = &house->lanes[i];
        if (lane->state == TO_OPEN)
            out_tasks[count++] = (kt_house_task){ KT_HOUSE_OPEN, i };
        if (lane->state != OPEN)
            continue;
        if (!lane->parked || lane->until_ns <= now_ns || fds[i].revents != 0)
            out_tasks[count++] = (kt_house_task){ KT_HOUSE_TURN, i };
        else if (lane->until_ns < next_ns)
            next_ns = lane->until_ns;
        if (lane->sync_ns <= now_ns)
            out_tasks[count++] = (kt_house_task){ KT_HOUSE_SYNC, i };
        else if (lane->sync_ns < next_ns)
            next_ns = lane->sync_ns;
    }
    if (house->supervisor != NULL && (house->ended || house->supervise_ns <= now_ns))
        out_tasks[count++] = (kt_house_task){ KT_HOUSE_SUPERVISE, 0 };
    else if (house->supervisor != NULL && house->supervise_ns < next_ns)
        next_ns = house->supervise_ns;
    *out_next_ns = next_ns;
    return count;
}

static kt_code supervise(kt_house *house, kt_err *err)
{
    house->ended = false;
    kt_code code = kt_supervisor_turn(house->supervisor, 0, err);
    int64_t quiet_ns = kt_supervisor_quiet_ns(house->supervisor, -1);

    house->supervise_ns = quiet_ns == INT64_MAX ? INT64_MAX : *house->options.now_ns + quiet_ns;
    return code;
}

kt_code kt_house_run(kt_house *house, kt_house_task task, kt_err *err)
{
    hosted *lane = &house->lanes[task.lane];
    kt_code code = KT_OK;

    switch (task.what) {
    case KT_HOUSE_OPEN:
        open_lane(lane);
        house->supervise_ns = *house->options.now_ns; /* it sees who is live */
        break;
    case KT_HOUSE_TURN:
        turn_lane(lane);
        break;
    case KT_HOUSE_SYNC:
        sync_now(lane);
        break;
    case KT_HOUSE_SUPERVISE:
        code = supervise(house, err);
        break;
    }
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++) {
        if (house->lanes[i].state == OPEN && kt_vdisk_dead(house->options.disk, i))
            bury(&house->lanes[i]);
        want_sync(&house->lanes[i]);
    }
    return code;
}

const char *kt_house_overslept(const kt_house *house)
{
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++) {
        const hosted *lane = &house->lanes[i];
        if (lane->state == OPEN && lane->parked && kt_lane_pending(lane->lane))
            return plans[i].name;
    }
    return NULL;
}

bool kt_house_lives(const kt_house *house, uint32_t lane)
{
    return house->lanes[lane].state == OPEN;
}

static uint32_t board_state(const kt_house *house, uint32_t lane)
{
    return atomic_load(&kt_board_page_of(kt_supervisor_board(house->supervisor), lane)->state);
}

bool kt_house_all_live(const kt_house *house)
{
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++)
        if (house->lanes[i].state != OPEN || board_state(house, i) != KT_BOARD_LIVE)
            return false;
    return true;
}

const char *kt_house_parked(kt_house *house)
{
    for (uint32_t i = 0; i < KT_HOUSE_LANES && house->supervisor != NULL; i++)
        if (board_state(house, i) == KT_BOARD_PARKED) {
            const kt_board_page *page = kt_board_page_of(kt_supervisor_board(house->supervisor), i);
            snprintf(house->reason, sizeof house->reason, "%s: %.255s", plans[i].name, page->reason);
            return house->reason;
        }
    return NULL;
}

void kt_house_stop(kt_house *house)
{
    kt_supervisor_stop(house->supervisor);
    house->supervise_ns = *house->options.now_ns;
}

bool kt_house_stopped(const kt_house *house)
{
    return kt_supervisor_stopped(house->supervisor);
}

kt_house_counts kt_house_count(const kt_house *house)
{
    return house->counts;
}

const uint8_t *kt_house_boot_id(const kt_house *house)
{
    return house->boot_id;
}

/* ---- power ---- */

kt_code kt_house_boot(kt_house *house, kt_err *err)
{
    kt_supervisor_lane lanes[KT_HOUSE_LANES];

    house->boot_id[0]++;
    house->boot_id[KT_BOOT_ID_SIZE - 1] = 1;
    kt_vdisk_revive(house->options.disk, KT_HOUSE_SUPERVISOR);
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++)
        lanes[i] = (kt_supervisor_lane){ .name = plans[i].name };
    house->supervise_ns = *house->options.now_ns;
    return kt_supervisor_open(&(kt_supervisor_options){ .data_dir = house->options.data,
                                  .lanes = lanes,
                                  .lane_count = KT_HOUSE_LANES,
                                  .house_segment_size = house->options.segment_size / 4,
                                  .house_retention_bytes = house->options.retention_bytes / 4,
                                  .diag = house->options.diag,
                                  .diag_ctx = house->options.ctx,
                                  .host = &house->host },
        &house->supervisor, err);
}

void kt_house_fall(kt_house *house)
{
    kt_supervisor_close(house->supervisor);
    house->supervisor = NULL;
    house->ended = false;
}

kt_code kt_house_new(const kt_house_options *options, kt_house **out_house, kt_err *err)
{
    kt_house *house = calloc(1, sizeof *house);
    kt_config *config = NULL;

    if (house == NULL)
        return kt_fail(err, KT_SYS, "no memory for a house");
    house->options = *options;
    kt_code code = kt_config_parse("the simulator's configuration", options->yaml, strlen(options->yaml), &config, err);
    if (code == KT_OK && kt_config_text(config, house->text, sizeof house->text, &house->text_size) != KT_OK)
        code = kt_fail(err, KT_FULL, "the simulator's configuration is longer than %d bytes", TEXT_SIZE);
    kt_config_free(config);
    if (code != KT_OK) {
        free(house);
        return code;
    }
    house->host = (kt_supervisor_host){ .ctx = house,
        .start = host_start,
        .ended = host_ended,
        .kill = host_kill,
        .clock_ns = clock_now,
        .mono_ns = clock_now,
        .world = &house->house_world,
        .boot_id = house->boot_id };
    house->house_world = (kt_lane_world){
        .io = kt_vdisk_io(options->disk, KT_HOUSE_SUPERVISOR), .random = random_number, .random_ctx = house
    };
    for (uint32_t i = 0; i < KT_HOUSE_LANES; i++)
        house->lanes[i] = (hosted){ .house = house,
            .index = i,
            .sync_ns = INT64_MAX,
            .world = { .net = kt_vnet_of(options->net, i),
                .io = kt_vdisk_io(options->disk, i),
                .wake_hooks = { at_wake_step, house },
                .random = random_number,
                .random_ctx = house } };
    *out_house = house;
    return KT_OK;
}

void kt_house_free(kt_house *house)
{
    if (house == NULL)
        return;
    kt_house_fall(house);
    free(house);
}
