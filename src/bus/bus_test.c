/* The contract that every driver of the bus keeps (reference: bus.md). Rows of `drivers` are run through the same cases. */
#include "bus/bus.h"

#include "base/text.h"
#include "bus/ring.h"
#include "log/log_test.h"
#include "schema/events.h"

/* Two members, "one" and "two", each with a bus of its own; made by the driver under test. */
typedef struct world {
    char dir[300];
    kt_board board;
    kt_log *logs[2];
    kt_bus *buses[2];
    kt_waker wakers[2];
    int64_t now_ns;
    uint32_t links;
} world;

typedef struct driver {
    const char *name;
    void (*open)(world *self);
    void (*close)(world *self);
    void (*settle)(world *self); /* everything that was published becomes durable */
    void (*cut)(world *self);    /* member two restarts */
} driver;

static const char *const names[] = { "one", "two" };

static int64_t clock_of(void *ctx)
{
    return ((world *)ctx)->now_ns;
}

static void local_link(world *self)
{
    int fd;

    assert_int_equal(kt_peer_link_create(KT_PEER_RING_CAPACITY, &fd, NULL), KT_OK);
    self->links++;
    assert_int_equal(kt_bus_link(self->buses[0], 1, self->links, dup(fd), NULL), KT_OK);
    assert_int_equal(kt_bus_link(self->buses[1], 0, self->links, fd, NULL), KT_OK);
}

static void local_open_bus(world *self, uint32_t i)
{
    kt_bus_options options = { .driver = "local", .durability = KT_DURABILITY_DISK };

    kt_waker_init(&self->wakers[i], &self->board);
    options.local.data_dir = self->dir;
    options.local.log = self->logs[i];
    options.local.log_name = names[i];
    options.local.board = &self->board;
    options.local.lane_index = i;
    options.local.waker = &self->wakers[i];
    options.local.clock_ns = clock_of;
    options.local.clock_ctx = self;
    assert_int_equal(kt_bus_open(&options, &self->buses[i], NULL), KT_OK);
}

static void local_open_log(world *self, uint32_t i)
{
    char path[400];
    kt_log_options log;

    snprintf(path, sizeof path, "%s/%s", self->dir, names[i]);
    kt_log_options_init(&log, path);
    log.segment_size = 1 << 16;
    log.sync = KT_SYNC_INLINE;
    assert_int_equal(kt_log_open(&log, &self->logs[i], NULL), KT_OK);
}

static void local_open(world *self)
{
    *self = (world){ .now_ns = 1000 };
    snprintf(self->dir, sizeof self->dir, "%s", kt_test_dir());
    assert_int_equal(kt_board_open(&self->board, names, 2, NULL), KT_OK);
    for (uint32_t i = 0; i < 2; i++) {
        local_open_log(self, i);
        local_open_bus(self, i);
    }
    local_link(self);
}

static void local_close(world *self)
{
    for (int i = 0; i < 2; i++) {
        kt_bus_close(self->buses[i]);
        kt_log_close(self->logs[i], NULL);
    }
    kt_board_close(&self->board);
}

static void local_settle(world *self)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(kt_log_sync(self->logs[i], NULL), KT_OK);
}

static void local_cut(world *self)
{
    kt_bus_close(self->buses[1]);
    kt_log_close(self->logs[1], NULL);
    local_open_log(self, 1);
    local_open_bus(self, 1);
    local_link(self);
}

static const driver drivers[] = {
    { "local", local_open, local_close, local_settle, local_cut },
};

/* ---- what happened ---- */

typedef struct heard {
    uint32_t count;
    uint64_t seqs[256];
    uint64_t causes[256];
    uint32_t acks;
    uint32_t losses;
    kt_lost lost;
    kt_code code; /* of the last ack, answer or loss */
    char body[256];
    uint64_t id;
    uint64_t token;
    kt_bus *bus;
} heard;

static void on_message(void *ctx, kt_bus_reader *reader, const kt_bus_message *message)
{
    heard *all = ctx;

    assert_true(all->count < 256);
    all->seqs[all->count] = message->rec->seq;
    all->causes[all->count++] = message->rec->cause;
}

static void on_ack(void *ctx, kt_code code, uint64_t seq, kt_durability durability)
{
    heard *all = ctx;

    all->acks++;
    all->code = code;
    assert_true(durability >= KT_DURABILITY_DISK);
}

static void on_lost(void *ctx, kt_bus_reader *reader, kt_code code, uint64_t from, uint64_t to)
{
    heard *all = ctx;

    all->losses++;
    all->code = code;
    all->lost = (kt_lost){ from, to };
}

static void on_answer(void *ctx, uint64_t id, kt_code code, kt_text body)
{
    heard *all = ctx;

    all->count++;
    all->code = code;
    all->id = id;
    snprintf(all->body, sizeof all->body, "%.*s", KT_TEXT_ARG(body));
}

static void answer_at_once(void *ctx, const kt_bus_call *call)
{
    heard *all = ctx;
    char body[128];

    snprintf(body, sizeof body, "%.*s of %.*s%.*s", KT_TEXT_ARG(call->params), KT_TEXT_ARG(call->caller),
        KT_TEXT_ARG(call->trace));
    all->count++;
    all->id = call->id;
    assert_int_equal(kt_bus_answer(all->bus, call->token, KT_OK, kt_text_of(body)), KT_OK);
}

static void answer_later(void *ctx, const kt_bus_call *call)
{
    heard *all = ctx;

    all->count++;
    all->token = call->token;
}

static void poll_both(world *self)
{
    for (int i = 0; i < 4; i++) {
        kt_bus_poll(self->buses[0]);
        kt_bus_poll(self->buses[1]);
    }
}

static uint64_t say(world *self, int who, const char *subject, uint64_t producer_seq, heard *ack)
{
    kt_bus_publish_spec spec = { .kind = KT_EV_ALERT,
        .subject = kt_text_of(subject),
        .payload = "12345678",
        .size = 8,
        .producer_seq = producer_seq,
        .on_ack = ack != NULL ? on_ack : NULL,
        .ctx = ack };
    uint64_t seq = 0;

    assert_int_equal(kt_bus_publish(self->buses[who], &spec, &seq, NULL), KT_OK);
    return seq;
}

static kt_bus_reader *listen(world *self, int who, const char *pattern, kt_bus_from from, uint64_t seq, bool durable,
    const char *cursor, heard *all)
{
    kt_bus_read_spec spec = { .patterns = &pattern,
        .pattern_count = 1,
        .from = from,
        .seq = seq,
        .durable_only = durable,
        .cursor = cursor,
        .on_message = on_message,
        .on_lost = on_lost,
        .ctx = all };
    kt_bus_reader *reader = NULL;

    assert_int_equal(kt_bus_read(self->buses[who], &spec, &reader, NULL), KT_OK);
    return reader;
}

/* ---- cases ---- */

static void order_is_total_and_patterns_choose(world *self, const driver *by)
{
    heard all = { 0 }, some = { 0 }, late = { 0 };

    listen(self, 1, "one:a.>", KT_BUS_FROM_SEQ, 1, false, NULL, &all);
    listen(self, 1, "one:a.*.x", KT_BUS_FROM_SEQ, 1, false, NULL, &some);
    for (int i = 0; i < 30; i++)
        say(self, 0, i % 3 == 0 ? "a.b.x" : i % 3 == 1 ? "a.b.y" : "c.d", 0, NULL);
    poll_both(self);
    assert_int_equal(all.count, 20);
    assert_int_equal(some.count, 10);
    for (uint32_t i = 1; i < all.count; i++)
        assert_true(all.seqs[i] > all.seqs[i - 1]);
    listen(self, 1, "one:a.>", KT_BUS_FROM_LIVE, 0, false, NULL, &late);
    poll_both(self);
    assert_int_equal(late.count, 0);
    say(self, 0, "a.b.x", 0, NULL);
    poll_both(self);
    assert_int_equal(late.count, 1);
}

static void an_ack_means_the_durability_asked_for(world *self, const driver *by)
{
    heard ack = { 0 };

    say(self, 0, "a.b", 0, &ack);
    poll_both(self);
    assert_int_equal(ack.acks, 0);
    by->settle(self);
    poll_both(self);
    assert_int_equal(ack.acks, 1);
    assert_int_equal(ack.code, KT_OK);
}

static void a_durable_reader_sees_only_what_is_durable(world *self, const driver *by)
{
    heard all = { 0 };

    listen(self, 1, "one:a.>", KT_BUS_FROM_SEQ, 1, true, NULL, &all);
    by->settle(self);
    say(self, 0, "a.b", 0, NULL);
    poll_both(self);
    assert_int_equal(all.count, 0);
    by->settle(self);
    poll_both(self);
    assert_int_equal(all.count, 1);
}

static void a_repeated_publish_stands_once(world *self, const driver *by)
{
    heard all = { 0 }, ack = { 0 };

    say(self, 1, "a.b", 1, NULL);
    say(self, 1, "a.b", 2, NULL);
    say(self, 1, "a.b", 2, NULL);
    by->settle(self);
    by->cut(self); /* also after a restart of the publisher */
    say(self, 1, "a.b", 2, &ack);
    say(self, 1, "a.b", 3, NULL);
    by->settle(self);
    listen(self, 0, "two:a.>", KT_BUS_FROM_SEQ, 1, false, NULL, &all);
    poll_both(self);
    assert_int_equal(all.count, 3);
    assert_int_equal(ack.acks, 1);
}

static void a_cursor_goes_on_behind_what_was_acknowledged(world *self, const driver *by)
{
    heard first = { 0 }, second = { 0 };

    for (int i = 0; i < 10; i++)
        say(self, 1, "a.b", 0, NULL);
    by->settle(self);
    kt_bus_reader *reader = listen(self, 0, "two:a.>", KT_BUS_FROM_CURSOR, 0, true, "test", &first);
    poll_both(self);
    assert_int_equal(first.count, 10);
    assert_int_equal(kt_bus_ack(reader, first.seqs[6] + 1000, NULL), KT_ARG);
    assert_int_equal(kt_bus_ack(reader, first.seqs[6], NULL), KT_OK);
    kt_bus_read_close(reader);
    listen(self, 0, "two:a.>", KT_BUS_FROM_CURSOR, 0, true, "test", &second);
    poll_both(self);
    assert_int_equal(second.count, 3);
    assert_int_equal(second.seqs[0], first.seqs[7]);
}

static void a_reader_of_a_log_that_is_not_there_yet_starts_with_it(world *self, const driver *by)
{
    heard all = { 0 };

    listen(self, 0, "three:a.>", KT_BUS_FROM_SEQ, 1, false, NULL, &all);
    poll_both(self);
    assert_int_equal(all.count, 0);
}

static void a_start_beyond_the_end_is_told_and_goes_on_at_the_end(world *self, const driver *by)
{
    heard all = { 0 };

    say(self, 0, "a.b", 0, NULL);
    listen(self, 1, "one:a.>", KT_BUS_FROM_SEQ, 1000, false, NULL, &all);
    assert_int_equal(all.losses, 0); /* not from within kt_bus_read */
    assert_true(kt_bus_pending(self->buses[1]));
    poll_both(self);
    assert_int_equal(all.losses, 1);
    assert_int_equal(all.code, KT_SEQ);
    assert_int_equal(all.count, 0);
    uint64_t seq = say(self, 0, "a.b", 0, NULL);
    poll_both(self);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.seqs[0], seq);
    assert_int_equal(all.losses, 1);
}

static void close_when_told(void *ctx, kt_bus_reader *reader, kt_code code, uint64_t from, uint64_t to)
{
    on_lost(ctx, reader, code, from, to);
    kt_bus_read_close(reader);
}

static void a_reader_may_be_closed_when_it_is_told(world *self, const driver *by)
{
    heard all = { 0 };
    const char *pattern = "one:a.>";
    kt_bus_read_spec spec = { .patterns = &pattern,
        .pattern_count = 1,
        .from = KT_BUS_FROM_SEQ,
        .seq = 1000,
        .on_message = on_message,
        .on_lost = close_when_told,
        .ctx = &all };

    assert_int_equal(kt_bus_read(self->buses[1], &spec, NULL, NULL), KT_OK);
    poll_both(self);
    say(self, 0, "a.b", 0, NULL);
    poll_both(self);
    assert_int_equal(all.losses, 1);
    assert_int_equal(all.count, 0);
}

static void calls_are_answered_at_once_or_later(world *self, const driver *by)
{
    heard server = { .bus = self->buses[1] }, slow = { 0 }, caller = { 0 };
    kt_bus_call_spec call = {
        .action = KT_TEXT("echo.now"), .params = KT_TEXT("{}"), .on_answer = on_answer, .ctx = &caller
    };

    assert_int_equal(kt_bus_serve(self->buses[1], KT_TEXT("echo.now"), answer_at_once, &server, NULL), KT_OK);
    assert_int_equal(kt_bus_serve(self->buses[1], KT_TEXT("echo.later"), answer_later, &slow, NULL), KT_OK);
    assert_int_equal(kt_bus_serve(self->buses[1], KT_TEXT("echo.now"), answer_at_once, &server, NULL), KT_BUSY);
    call.id = 77;
    call.trace = KT_TEXT(", traced");
    assert_int_equal(kt_bus_call_start(self->buses[0], &call, NULL, NULL), KT_OK);
    assert_int_equal(caller.count, 0);
    poll_both(self);
    assert_int_equal(caller.code, KT_OK);
    assert_int_equal(server.id, 77);
    assert_string_equal(caller.body, "{} of one, traced");
    call.action = KT_TEXT("echo.later");
    assert_int_equal(kt_bus_call_start(self->buses[0], &call, NULL, NULL), KT_OK);
    poll_both(self);
    assert_int_equal(caller.count, 1);
    assert_int_equal(kt_bus_answer(self->buses[1], slow.token, KT_NOENT, KT_TEXT("nothing")), KT_OK);
    poll_both(self);
    assert_int_equal(caller.count, 2);
    assert_int_equal(caller.code, KT_NOENT);
    assert_int_equal(kt_bus_answer(self->buses[1], slow.token, KT_OK, KT_TEXT("twice")), KT_NOENT);
    call.action = KT_TEXT("echo.never");
    assert_int_equal(kt_bus_call_start(self->buses[0], &call, NULL, NULL), KT_NOENT);
    call.action = KT_TEXT("echo.now"); /* of ourselves too */
    assert_int_equal(kt_bus_call_start(self->buses[1], &call, NULL, NULL), KT_OK);
    poll_both(self);
    assert_string_equal(caller.body, "{} of two, traced");
}

static void a_call_has_a_deadline(world *self, const driver *by)
{
    heard slow = { 0 }, caller = { 0 };
    kt_bus_call_spec call = {
        .action = KT_TEXT("echo.later"), .timeout_ns = 500, .on_answer = on_answer, .ctx = &caller
    };

    assert_int_equal(kt_bus_serve(self->buses[1], KT_TEXT("echo.later"), answer_later, &slow, NULL), KT_OK);
    assert_int_equal(kt_bus_call_start(self->buses[0], &call, NULL, NULL), KT_OK);
    assert_int_equal(kt_bus_next_deadline(self->buses[0]), 1500);
    poll_both(self);
    assert_int_equal(caller.count, 0);
    self->now_ns = 1500;
    poll_both(self);
    assert_int_equal(caller.count, 1);
    assert_int_equal(caller.code, KT_TIMEOUT);
    assert_int_equal(kt_bus_answer(self->buses[1], slow.token, KT_OK, KT_TEXT("late")), KT_NOENT);
}

static void open_calls_end_unknown_when_a_side_restarts(world *self, const driver *by)
{
    heard slow = { 0 }, caller = { 0 };
    kt_bus_call_spec call = { .action = KT_TEXT("echo.later"), .to = "two", .on_answer = on_answer, .ctx = &caller };

    assert_int_equal(kt_bus_serve(self->buses[1], KT_TEXT("echo.later"), answer_later, &slow, NULL), KT_OK);
    assert_int_equal(kt_bus_call_start(self->buses[0], &call, NULL, NULL), KT_OK);
    poll_both(self);
    by->cut(self);
    poll_both(self);
    assert_int_equal(caller.count, 1);
    assert_int_equal(caller.code, KT_UNKNOWN);
}

static void a_full_ring_answers_busy(world *self, const driver *by)
{
    static char params[200000];
    static heard slow, caller; /* told of the end of the last call when the bus is closed */
    kt_bus_call_spec call = {
        .action = KT_TEXT("echo.later"), .params = { params, sizeof params }, .on_answer = on_answer, .ctx = &caller
    };
    kt_code code = KT_OK;
    uint32_t sent = 0;

    assert_int_equal(kt_bus_serve(self->buses[1], KT_TEXT("echo.later"), answer_later, &slow, NULL), KT_OK);
    while ((code = kt_bus_call_start(self->buses[0], &call, NULL, NULL)) == KT_OK)
        sent++;
    assert_int_equal(code, KT_BUSY);
    assert_true(sent > 0 && sent < 20);
    poll_both(self);
    assert_int_equal(slow.count, sent);
    assert_int_equal(kt_bus_call_start(self->buses[0], &call, NULL, NULL), KT_OK);
}

typedef struct changes {
    uint32_t count;
    char last[64];
    uint64_t revision;
} changes;

static void on_change(void *ctx, kt_text key, kt_text value, uint64_t revision)
{
    changes *all = ctx;

    all->count++;
    all->revision = revision;
    snprintf(all->last, sizeof all->last, "%.*s=%.*s", KT_TEXT_ARG(key), KT_TEXT_ARG(value));
}

static void keys_are_put_compared_and_watched(world *self, const driver *by)
{
    changes seen = { 0 };
    kt_text value;
    uint64_t revision;

    assert_int_equal(kt_bus_put(self->buses[1], KT_TEXT("venue.a"), KT_TEXT("1"), 0, &revision, NULL), KT_OK);
    assert_int_equal(revision, 1);
    assert_int_equal(kt_bus_put(self->buses[1], KT_TEXT("venue.a"), KT_TEXT("2"), 0, NULL, NULL), KT_SEQ);
    assert_int_equal(kt_bus_put(self->buses[1], KT_TEXT("venue.a"), KT_TEXT("2"), 1, NULL, NULL), KT_OK);
    assert_int_equal(kt_bus_put(self->buses[1], KT_TEXT("bad key"), KT_TEXT("2"), 1, NULL, NULL), KT_SYNTAX);
    by->settle(self);
    assert_int_equal(kt_bus_watch(self->buses[0], "two", KT_TEXT("venue.*"), on_change, &seen, NULL), KT_OK);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.last, "venue.a=2");
    assert_int_equal(kt_bus_put(self->buses[1], KT_TEXT("venue.b"), KT_TEXT("3"), UINT64_MAX, NULL, NULL), KT_OK);
    poll_both(self);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.last, "venue.b=3");
    by->settle(self);
    by->cut(self); /* the table is made again from the log */
    assert_int_equal(kt_bus_get(self->buses[1], KT_TEXT("venue.a"), &value, &revision), KT_OK);
    assert_true(kt_text_equal(value, KT_TEXT("2")) && revision == 2);
    assert_int_equal(kt_bus_put(self->buses[1], KT_TEXT("venue.a"), (kt_text){ NULL, 0 }, 2, NULL, NULL), KT_OK);
    assert_int_equal(kt_bus_get(self->buses[1], KT_TEXT("venue.a"), &value, NULL), KT_NOENT);
}

static void members_are_listed(world *self, const driver *by)
{
    kt_bus_member members[4];

    assert_int_equal(kt_bus_members(self->buses[0], members, 4), 2);
    assert_string_equal(members[1].name, "two");
}

static void what_a_driver_can_not_give_is_refused_at_open(world *self, const driver *by)
{
    kt_bus_options options = { .driver = by->name, .durability = KT_DURABILITY_QUORUM };
    kt_bus *bus;
    kt_err err;

    options.local.data_dir = self->dir;
    assert_int_equal(kt_bus_open(&options, &bus, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "quorum"));
    options.driver = "pigeon";
    assert_int_equal(kt_bus_open(&options, &bus, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "local"));
}

/* ---- what is asked for wrongly ---- */

static void a_read_that_can_not_be_is_refused_with_its_reason(world *self, const driver *by)
{
    static const char *const two_logs[] = { "one:a.>", "two:a.>" }, *const no_log[] = { ":a.>" };
    const char *many[KT_BUS_PATTERN_MAX + 1], *one[] = { "one:a.>" }, *wide[] = { NULL };
    char long_pattern[400] = "one:", long_name[KT_LOG_NAME_MAX + 2] = "";

    for (size_t i = 0; i < KT_COUNT(many); i++)
        many[i] = one[0];
    memset(long_pattern + 4, 'a', sizeof long_pattern - 5);
    wide[0] = long_pattern;
    memset(long_name, 'c', sizeof long_name - 1);
    const struct {
        const char *name;
        const char *const *patterns;
        uint32_t count;
        kt_bus_from from;
        const char *cursor;
        kt_code code;
        const char *told;
    } rows[] = {
        { "no pattern", one, 0, KT_BUS_FROM_LIVE, NULL, KT_LIMIT, "1 to 16 patterns" },
        { "too many patterns", many, KT_COUNT(many), KT_BUS_FROM_LIVE, NULL, KT_LIMIT, "1 to 16 patterns" },
        { "patterns of two logs", two_logs, 2, KT_BUS_FROM_LIVE, NULL, KT_ARG, "'two:a.>'" },
        { "a pattern without its log", no_log, 1, KT_BUS_FROM_LIVE, NULL, KT_ARG, "names no log" },
        { "a pattern that is too long", wide, 1, KT_BUS_FROM_LIVE, NULL, KT_ARG, "too long: pattern 'one:aaa" },
        { "from a cursor without a name", one, 1, KT_BUS_FROM_CURSOR, NULL, KT_ARG, "name" },
        { "a cursor's name that is too long", one, 1, KT_BUS_FROM_CURSOR, long_name, KT_ARG, "longer than" },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_bus_read_spec spec = { .patterns = rows[i].patterns,
            .pattern_count = rows[i].count,
            .from = rows[i].from,
            .cursor = rows[i].cursor,
            .on_message = on_message };
        kt_err err = { 0 };
        KT_ROW(rows[i].name, kt_bus_read(self->buses[0], &spec, NULL, &err) == rows[i].code);
        KT_ROW(rows[i].name, strstr(err.msg, rows[i].told) != NULL);
    }
}

static void readers_are_bounded_and_their_places_used_again(world *self, const driver *by)
{
    static const char *const pattern = "one:a.>";
    kt_bus_read_spec spec = {
        .patterns = &pattern, .pattern_count = 1, .from = KT_BUS_FROM_LIVE, .on_message = on_message
    };
    kt_bus_reader *readers[KT_BUS_READER_MAX], *more;
    kt_err err;

    for (size_t i = 0; i < KT_COUNT(readers); i++)
        assert_int_equal(kt_bus_read(self->buses[0], &spec, &readers[i], NULL), KT_OK);
    assert_int_equal(kt_bus_read(self->buses[0], &spec, &more, &err), KT_LIMIT);
    assert_non_null(strstr(err.msg, "64 readers"));
    kt_bus_read_close(readers[7]);
    assert_int_equal(kt_bus_read(self->buses[0], &spec, &more, NULL), KT_OK);
}

static void a_reader_without_a_cursor_acknowledges_nothing(world *self, const driver *by)
{
    heard all = { 0 };
    kt_err err;
    kt_bus_reader *reader = listen(self, 1, "one:a.>", KT_BUS_FROM_LIVE, 0, false, NULL, &all);

    assert_int_equal(kt_bus_ack(reader, 1, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "'one'"));
}

typedef struct timed {
    uint32_t count;
    int64_t times[8];
    uint64_t seqs[8];
} timed;

static void on_timed(void *ctx, kt_bus_reader *reader, const kt_bus_message *message)
{
    timed *all = ctx;

    assert_true(all->count < KT_COUNT(all->times));
    all->times[all->count] = message->rec->time_ns;
    all->seqs[all->count++] = message->rec->seq;
}

static void a_start_by_time_is_the_first_record_then_or_later(world *self, const driver *by)
{
    static const char *const pattern = "one:a.>";
    timed all = { 0 };
    kt_bus_read_spec spec = {
        .patterns = &pattern, .pattern_count = 1, .from = KT_BUS_FROM_SEQ, .seq = 1, .on_message = on_timed, .ctx = &all
    };

    for (int i = 0; i < 5; i++)
        say(self, 0, "a.b", 0, NULL);
    by->settle(self);
    assert_int_equal(kt_bus_read(self->buses[1], &spec, NULL, NULL), KT_OK);
    poll_both(self);
    assert_int_equal(all.count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        timed later = { 0 };
        uint32_t first = i; /* several may have been written within one tick of the clock */
        while (first > 0 && all.times[first - 1] == all.times[i])
            first--;
        spec.from = KT_BUS_FROM_TIME;
        spec.time_ns = all.times[i];
        spec.ctx = &later;
        assert_int_equal(kt_bus_read(self->buses[1], &spec, NULL, NULL), KT_OK);
        poll_both(self);
        assert_int_equal(later.count, 5 - first);
        assert_int_equal(later.seqs[0], all.seqs[first]);
    }
}

static void acknowledgements_are_bounded_and_told_when_the_bus_closes(world *self, const driver *by)
{
    kt_bus_publish_spec spec = {
        .kind = KT_EV_ALERT, .subject = KT_TEXT("a.b"), .payload = "12345678", .size = 8, .on_ack = on_ack
    };
    heard ack = { 0 };
    kt_err err;

    spec.ctx = &ack;
    for (int i = 0; i < KT_BUS_ACK_MAX; i++)
        say(self, 1, "a.b", 0, &ack);
    assert_int_equal(kt_bus_publish(self->buses[1], &spec, NULL, &err), KT_FULL);
    assert_non_null(strstr(err.msg, "4096"));
    assert_int_equal(ack.acks, 0);
    by->cut(self); /* it was never synced: whoever asked is told that nobody knows */
    assert_int_equal(ack.acks, KT_BUS_ACK_MAX);
    assert_int_equal(ack.code, KT_UNKNOWN);
}

static void keys_and_values_have_their_limits(world *self, const driver *by)
{
    static char text[KT_TEXT_FIELD_MAX + 2];
    kt_text value;
    kt_err err;
    changes seen = { 0 };

    memset(text, 'k', sizeof text);
    assert_int_equal(
        kt_bus_put(self->buses[1], (kt_text){ text, KT_BUS_KEY_SIZE + 1 }, KT_TEXT("1"), 0, NULL, &err), KT_LIMIT);
    assert_non_null(strstr(err.msg, "200 bytes"));
    assert_int_equal(
        kt_bus_put(self->buses[1], KT_TEXT("a"), (kt_text){ text, KT_TEXT_FIELD_MAX + 1 }, 0, NULL, &err), KT_LIMIT);
    assert_non_null(strstr(err.msg, "65535"));
    assert_int_equal(kt_bus_get(self->buses[1], KT_TEXT("a"), &value, NULL), KT_NOENT);
    assert_int_equal(kt_bus_watch(self->buses[0], "two", (kt_text){ text, 400 }, on_change, &seen, &err), KT_LIMIT);
    assert_int_equal(seen.count, 0);
    assert_int_equal(kt_bus_put(self->buses[1], KT_TEXT("a"), (kt_text){ text, 5000 }, 0, NULL, NULL), KT_OK);
    assert_int_equal(kt_bus_get(self->buses[1], KT_TEXT("a"), &value, NULL), KT_OK);
    assert_true(kt_text_equal(value, (kt_text){ text, 5000 }));
}

static void calls_and_actions_have_their_limits(world *self, const driver *by)
{
    char name[KT_BOARD_ACTION_SIZE + 1];
    heard served = { .bus = self->buses[0] }, answered = { 0 };
    kt_bus_call_spec spec = {
        .action = KT_TEXT("echo"), .timeout_ns = INT64_MAX, .on_answer = on_answer, .ctx = &answered
    };
    uint64_t id = 0;
    kt_err err;

    memset(name, 'n', sizeof name);
    assert_int_equal(
        kt_bus_serve(self->buses[0], (kt_text){ name, KT_BOARD_ACTION_SIZE }, answer_at_once, NULL, &err), KT_LIMIT);
    assert_int_equal(kt_bus_serve(self->buses[0], (kt_text){ name, 0 }, answer_at_once, NULL, &err), KT_LIMIT);
    assert_int_equal(kt_bus_serve(self->buses[0], KT_TEXT("echo"), answer_at_once, &served, NULL), KT_OK);
    assert_int_equal(kt_bus_serve(self->buses[0], KT_TEXT("echo"), answer_at_once, &served, &err), KT_BUSY);
    spec.action.n = 0;
    assert_int_equal(kt_bus_call_start(self->buses[1], &spec, NULL, &err), KT_ARG);
    spec.action = KT_TEXT("echo");
    assert_int_equal(kt_bus_call_start(self->buses[1], &spec, &id, NULL), KT_OK);
    poll_both(self);
    assert_int_equal(answered.count, 1);
    assert_int_equal(answered.code, KT_OK);
    assert_int_equal(answered.id, id);
}

static void a_bus_without_a_log_only_reads(world *self, const driver *by)
{
    kt_bus_options options = { .driver = by->name };
    kt_bus_publish_spec spec = { .kind = KT_EV_ALERT, .subject = KT_TEXT("a.b"), .payload = "12345678", .size = 8 };
    kt_bus *bus;
    kt_err err;

    options.local.data_dir = self->dir;
    assert_int_equal(kt_bus_open(&options, &bus, NULL), KT_OK);
    assert_int_equal(kt_bus_publish(bus, &spec, NULL, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "only reads"));
    assert_int_equal(kt_bus_put(bus, KT_TEXT("a"), KT_TEXT("1"), 0, NULL, &err), KT_ARG);
    assert_non_null(strstr(err.msg, "only reads"));
    kt_bus_close(bus);
}

/* ---- sleeping beside the local driver ---- */

/* A position that is left out here is a wake-up that never comes. */
static void before_it_sleeps_a_lane_is_told_every_position_that_its_bus_waits_for(void **state)
{
    world self;
    heard all = { 0 }, ack = { 0 };

    local_open(&self);
    kt_board_page *page = kt_board_page_of(&self.board, 1);
    kt_sleeper sleeper = { .page = page };
    kt_bus_wants(self.buses[1], &sleeper);
    assert_true(page->want_written[0] == UINT64_MAX && page->want_durable[0] == UINT64_MAX);
    uint64_t seq = say(&self, 0, "a.b", 0, NULL);
    kt_bus_reader *behind = listen(&self, 1, "one:a.>", KT_BUS_FROM_LIVE, 0, false, NULL, &all);
    kt_bus_wants(self.buses[1], &sleeper);
    assert_int_equal(page->want_written[0], seq);
    assert_true(page->want_durable[0] == UINT64_MAX);
    kt_bus_read_close(behind);
    listen(&self, 1, "one:a.>", KT_BUS_FROM_SEQ, 1, true, NULL, &all); /* the one that is farthest back counts */
    listen(&self, 1, "one:a.>", KT_BUS_FROM_LIVE, 0, true, NULL, &all);
    seq = say(&self, 1, "a.b", 0, &ack);
    kt_bus_wants(self.buses[1], &sleeper);
    assert_int_equal(page->want_durable[0], 0);
    assert_int_equal(page->want_durable[1], seq - 1); /* its own, until what it publishes is acknowledged */
    assert_true(page->want_written[1] == UINT64_MAX);
    local_close(&self);
}

/* ---- files of the local driver that can not be read ---- */

/* Enough for several segments of log "one"; the folder of it, and its segments, newest last. */
static kt_seg_names fill_one(world *self, char *out_dir)
{
    snprintf(out_dir, KT_PATH_SIZE, "%s/one", self->dir);
    while (segment_count(out_dir) < 4)
        say(self, 0, "a.b", 0, NULL);
    return segments_of(out_dir);
}

static void a_start_at_a_fence_is_told_and_goes_on_behind_it(void **state)
{
    world self;
    char dir[KT_PATH_SIZE];
    heard all = { 0 };

    local_open(&self);
    kt_seg_names segments = fill_one(&self, dir);
    uint64_t bad = segments.list[1].first_seq + 10, behind = segments.list[2].first_seq;
    free(segments.list);
    damage(dir, bad);
    kt_bus_reader *reader = listen(&self, 1, "one:none", KT_BUS_FROM_SEQ, bad + 5, false, NULL, &all);
    poll_both(&self);
    assert_int_equal(all.losses, 1);
    assert_int_equal(all.code, KT_CORRUPT);
    assert_int_equal(all.lost.from, bad);
    assert_int_equal(all.lost.to, behind - 1);
    assert_int_equal(kt_bus_reader_position(reader), kt_log_written(self.logs[0]));
    local_close(&self);
}

static void a_start_that_can_not_be_read_is_told_once_and_the_reader_stops(void **state)
{
    enum { LAST_SEGMENT, REFUSED, NEWER };
    static const struct {
        const char *name;
        int what;
        kt_bus_from from;
        kt_code code;
    } rows[] = {
        { "a bad record and nothing behind it", LAST_SEGMENT, KT_BUS_FROM_SEQ, KT_CORRUPT },
        { "the same, when the end is looked for", LAST_SEGMENT, KT_BUS_FROM_LIVE, KT_CORRUPT },
        { "a segment that the system refuses", REFUSED, KT_BUS_FROM_SEQ, KT_SYS },
        { "a log of a newer program", NEWER, KT_BUS_FROM_LIVE, KT_VERSION },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        world self;
        char dir[KT_PATH_SIZE], path[KT_PATH_SIZE];
        uint32_t newer = KT_LOG_FORMAT + 1;
        heard all = { 0 };
        local_open(&self);
        kt_seg_names segments = fill_one(&self, dir);
        kt_seg_name last = segments.list[segments.count - 1];
        free(segments.list);
        say(&self, 0, "a.b", 0, NULL);
        uint64_t seq = say(&self, 0, "a.b", 0, NULL);
        if (rows[i].what == LAST_SEGMENT)
            damage(dir, seq - 1);
        if (rows[i].what == NEWER)
            overwrite(kt_file_path(path, dir, "control"), 8, &newer, sizeof newer);
        if (rows[i].what == REFUSED) {
            kt_seg_path(path, dir, last, ".seg");
            assert_int_equal(unlink(path), 0);
            assert_int_equal(symlink(path, path), 0); /* ELOOP, for root too */
        }
        listen(&self, 1, "one:a.>", rows[i].from, seq, false, NULL, &all);
        for (int polls = 0; polls < 3; polls++)
            poll_both(&self);
        KT_ROW(rows[i].name, all.losses == 1);
        KT_ROW(rows[i].name, all.code == rows[i].code);
        KT_ROW(rows[i].name, all.count == 0);
        KT_ROW(rows[i].name, !kt_bus_pending(self.buses[1]));
        local_close(&self);
    }
}

/* After a power cut, before the log's writer is back, the state file may name less than a cursor has seen at durable. */
static void what_a_cursor_acknowledged_is_known_to_be_durable(void **state)
{
    world self;
    char path[KT_PATH_SIZE];
    heard all = { 0 };
    kt_state old;
    static const uint8_t next_boot[KT_BOOT_ID_SIZE] = { 1 };
    kt_bus_options options = { .driver = "local", .local.boot_id = next_boot };
    kt_bus_read_spec spec = { .patterns = (const char *const[]){ "one:a.>" },
        .pattern_count = 1,
        .from = KT_BUS_FROM_CURSOR,
        .cursor = "test",
        .durable_only = true,
        .on_message = on_message,
        .on_lost = on_lost,
        .ctx = &all };
    kt_bus *bus;

    local_open(&self);
    say(&self, 0, "a.b", 0, NULL);
    local_settle(&self);
    snprintf(path, sizeof path, "%s/one", self.dir);
    assert_int_equal(kt_state_read(path, &old, NULL), KT_OK);
    uint64_t seq = say(&self, 0, "a.b", 0, NULL);
    local_settle(&self);
    kt_bus_reader *reader = listen(&self, 1, "one:a.>", KT_BUS_FROM_CURSOR, 0, true, "test", &all);
    poll_both(&self);
    assert_int_equal(kt_bus_ack(reader, seq, NULL), KT_OK);
    snprintf(path, sizeof path, "%s/one/state", self.dir); /* the newer slot did not reach the disk */
    overwrite(path, (old.counter + 1) % 2 * KT_PAGE + 20, "gone", 4);
    options.local.data_dir = self.dir;
    assert_int_equal(kt_bus_open(&options, &bus, NULL), KT_OK);
    all = (heard){ 0 };
    assert_int_equal(kt_bus_read(bus, &spec, NULL, NULL), KT_OK);
    kt_bus_poll(bus);
    assert_int_equal(all.losses, 0);
    kt_bus_close(bus);
    local_close(&self);
}

/* One cmocka test a case; each runs every driver. */
#define CASES(X)                                                 \
    X(order_is_total_and_patterns_choose)                        \
    X(an_ack_means_the_durability_asked_for)                     \
    X(a_durable_reader_sees_only_what_is_durable)                \
    X(a_repeated_publish_stands_once)                            \
    X(a_cursor_goes_on_behind_what_was_acknowledged)             \
    X(a_reader_of_a_log_that_is_not_there_yet_starts_with_it)    \
    X(a_start_beyond_the_end_is_told_and_goes_on_at_the_end)     \
    X(a_reader_may_be_closed_when_it_is_told)                    \
    X(calls_are_answered_at_once_or_later)                       \
    X(a_call_has_a_deadline)                                     \
    X(open_calls_end_unknown_when_a_side_restarts)               \
    X(a_full_ring_answers_busy)                                  \
    X(keys_are_put_compared_and_watched)                         \
    X(members_are_listed)                                        \
    X(what_a_driver_can_not_give_is_refused_at_open)             \
    X(a_read_that_can_not_be_is_refused_with_its_reason)         \
    X(readers_are_bounded_and_their_places_used_again)           \
    X(a_reader_without_a_cursor_acknowledges_nothing)            \
    X(a_start_by_time_is_the_first_record_then_or_later)         \
    X(acknowledgements_are_bounded_and_told_when_the_bus_closes) \
    X(keys_and_values_have_their_limits)                         \
    X(calls_and_actions_have_their_limits)                       \
    X(a_bus_without_a_log_only_reads)

#define RUN(name)                                          \
    static void run_##name(void **state)                   \
    {                                                      \
        for (uint32_t i = 0; i < KT_COUNT(drivers); i++) { \
            world self;                                    \
            drivers[i].open(&self);                        \
            name(&self, &drivers[i]);                      \
            drivers[i].close(&self);                       \
        }                                                  \
    }
CASES(RUN)

#define ROW(name) cmocka_unit_test(run_##name),
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASES(ROW) cmocka_unit_test(a_start_at_a_fence_is_told_and_goes_on_behind_it),
        cmocka_unit_test(a_start_that_can_not_be_read_is_told_once_and_the_reader_stops),
        cmocka_unit_test(before_it_sleeps_a_lane_is_told_every_position_that_its_bus_waits_for),
        cmocka_unit_test(what_a_cursor_acknowledged_is_known_to_be_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
