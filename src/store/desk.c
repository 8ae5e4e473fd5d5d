#include "store/desk.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "store/history.h"

enum { NODE_MAX = 64, PARAMS_ARENA_SIZE = 16384 };

/* What the answers to one question are made from. */
typedef struct sources {
    kt_query *query;
    const kt_config *config;
    uint64_t durable;
} sources;

/* ---- the actions ---- */

static kt_code answer_tables(const sources *from, const void *params, void *out_response, kt_err *err)
{
    kt_response_store_tables *response = out_response;
    kt_code code = kt_query_tables(from->query, response, err);

    if (code == KT_OK)
        response->lag = from->durable > response->seq ? from->durable - response->seq : 0;
    return code;
}

static kt_code answer_query(const sources *from, const void *params, void *out_response, kt_err *err)
{
    return kt_query_sql(from->query, params, out_response, err);
}

static kt_code answer_migrations(const sources *from, const void *params, void *out_response, kt_err *err)
{
    return kt_query_migrations(from->query, out_response, err);
}

static kt_code answer_vwap_history(const sources *from, const void *params, void *out_response, kt_err *err)
{
    return kt_history_vwap(from->query, from->config, params, out_response, err);
}

static kt_code answer_trades_history(const sources *from, const void *params, void *out_response, kt_err *err)
{
    return kt_history_trades(from->query, params, out_response, err);
}

static kt_code answer_quality_history(const sources *from, const void *params, void *out_response, kt_err *err)
{
    return kt_history_quality(from->query, params, out_response, err);
}

static kt_code answer_quality_minutes(const sources *from, const void *params, void *out_response, kt_err *err)
{
    return kt_history_minutes(from->query, params, out_response, err);
}

typedef kt_code (*answer_fn)(const sources *from, const void *params, void *out_response, kt_err *err);

static const answer_fn answers[KT_ACTION_COUNT] = {
    [KT_ACTION_vwap_history] = answer_vwap_history,
    [KT_ACTION_trades_history] = answer_trades_history,
    [KT_ACTION_quality_history] = answer_quality_history,
    [KT_ACTION_quality_minutes] = answer_quality_minutes,
    [KT_ACTION_store_tables] = answer_tables,
    [KT_ACTION_store_query] = answer_query,
    [KT_ACTION_store_migrations] = answer_migrations,
};

bool kt_desk_answers(kt_action_index action)
{
    return answers[action] != NULL;
}

/* Params in, response out, as JSON. */
static kt_code answer(
    const sources *from, kt_action_index index, kt_text params_json, kt_json_writer *writer, kt_err *err)
{
    const kt_action *action = &kt_actions[index];
    uint8_t arena_mem[PARAMS_ARENA_SIZE];
    _Alignas(16) uint8_t response[KT_VALUE_SIZE_MAX];
    kt_json_node nodes[NODE_MAX];
    kt_params_any params;
    kt_json_doc doc;
    kt_arena arena;
    kt_code code = kt_json_parse(params_json, nodes, NODE_MAX, &doc, err);

    kt_arena_init(&arena, arena_mem, sizeof arena_mem);
    if (code == KT_OK)
        code = kt_table_read_json(&action->params, &doc, 0, &arena, &params, err);
    if (code == KT_OK)
        code = kt_table_check(&action->params, &params, err);
    if (code == KT_OK)
        code = answers[index](from, &params, response, err);
    if (code != KT_OK)
        return code;
    kt_table_write_json(&action->response, response, writer);
    return KT_OK;
}

/* ---- the desk ---- */

typedef struct desk_slip { /* a question, then its answer */
    kt_action_index action;
    char *params;
    size_t params_size;
    uint64_t token;
    int64_t deadline_ns; /* monotonic */
    uint64_t durable;
    kt_code code;
    char *body;
    size_t body_size;
} desk_slip;

/* Slips lie in a ring: those from `taken` to `done` are answered, those from there to `asked` wait. */
struct kt_desk {
    kt_desk_options options;
    desk_slip slips[KT_DESK_WAIT_MAX];
    uint64_t taken, asked; /* moved by the caller */
    _Atomic uint64_t done; /* moved by the desk's thread */
    atomic_bool stop;
    pthread_mutex_t lock; /* of `asked` and `stop`, for those who wait */
    pthread_cond_t moved;
    pthread_t thread;
    bool is_running;
    kt_query *query; /* the thread's; NULL: not opened yet */
    char *mem;       /* KT_DESK_ANSWER_MAX bytes, the thread's */
};

static desk_slip *slip_at(kt_desk *desk, uint64_t number)
{
    return &desk->slips[number % KT_DESK_WAIT_MAX];
}

static kt_code make_answer(kt_desk *desk, const desk_slip *slip, kt_text *out_body, kt_err *err)
{
    sources from = { .config = desk->options.config, .durable = slip->durable };
    int64_t left_ns = slip->deadline_ns - kt_query_clock_now(&desk->options.clock);
    kt_json_writer writer;
    kt_code code = KT_OK;

    if (left_ns <= 0)
        return kt_fail(err, KT_TIMEOUT, "the store had too many questions before this one; nothing was done");
    if (desk->query == NULL)
        code = kt_query_open(desk->options.config->store_file, desk->options.clock, &desk->query, err);
    if (code != KT_OK)
        return code == KT_NOENT ? kt_fail(err, KT_BUSY, "the store is not made yet; try again in a second") : code;
    from.query = desk->query;
    kt_json_writer_init(&writer, desk->mem, KT_DESK_ANSWER_MAX);
    kt_query_begin(desk->query, left_ns, &desk->stop);
    code = answer(&from, slip->action, (kt_text){ slip->params, slip->params_size }, &writer, err);
    if (code == KT_OK && kt_json_writer_done(&writer, out_body) != KT_OK)
        code = kt_fail(err, KT_LIMIT, "the answer is larger than %d bytes; ask for less", KT_DESK_ANSWER_MAX);
    return code;
}

static void fill(kt_desk *desk, desk_slip *slip)
{
    kt_err err = { 0 };
    kt_text body = { NULL, 0 };

    slip->code = make_answer(desk, slip, &body, &err);
    if (slip->code != KT_OK)
        body = kt_text_of(err.msg);
    slip->body = malloc(body.n + 1);
    slip->body_size = slip->body != NULL ? body.n : 0;
    if (slip->body != NULL)
        memcpy(slip->body, body.s, body.n);
    else
        slip->code = KT_BUSY;
}

static void *work(void *ctx)
{
    kt_desk *desk = ctx;
    uint64_t next = 0;

    for (;;) {
        pthread_mutex_lock(&desk->lock);
        while (desk->asked == next && !atomic_load(&desk->stop))
            pthread_cond_wait(&desk->moved, &desk->lock);
        pthread_mutex_unlock(&desk->lock);
        if (atomic_load(&desk->stop))
            return NULL;
        fill(desk, slip_at(desk, next));
        atomic_store(&desk->done, ++next);
        desk->options.on_done(desk->options.ctx);
    }
}

kt_code kt_desk_ask(kt_desk *desk, const kt_desk_question *question, kt_err *err)
{
    desk_slip *slip = slip_at(desk, desk->asked);
    char *params;

    kt_assert(kt_desk_answers(question->action));
    if (desk->asked - desk->taken == KT_DESK_WAIT_MAX)
        return kt_fail(err, KT_BUSY, "%d questions to the store wait already; try again in a second", KT_DESK_WAIT_MAX);
    params = malloc(question->params.n + 1);
    if (params == NULL)
        return kt_fail(err, KT_BUSY, "no memory for one more question to the store");
    memcpy(params, question->params.s, question->params.n);
    *slip = (desk_slip){ .action = question->action,
        .params = params,
        .params_size = question->params.n,
        .token = question->token,
        .deadline_ns = kt_query_clock_now(&desk->options.clock) + question->timeout_ns,
        .durable = question->durable };
    pthread_mutex_lock(&desk->lock);
    desk->asked++;
    pthread_cond_signal(&desk->moved);
    pthread_mutex_unlock(&desk->lock);
    return KT_OK;
}

bool kt_desk_answered(const kt_desk *desk, kt_desk_answer *out_answer)
{
    const desk_slip *slip = &desk->slips[desk->taken % KT_DESK_WAIT_MAX];

    if (atomic_load(&desk->done) == desk->taken)
        return false;
    *out_answer = (kt_desk_answer){ .token = slip->token, .code = slip->code, .body = { slip->body, slip->body_size } };
    return true;
}

void kt_desk_drop(kt_desk *desk)
{
    desk_slip *slip = slip_at(desk, desk->taken);

    kt_assert(atomic_load(&desk->done) > desk->taken);
    free(slip->params);
    free(slip->body);
    *slip = (desk_slip){ 0 };
    desk->taken++;
}

/* ---- life ---- */

kt_code kt_desk_open(const kt_desk_options *options, kt_desk **out_desk, kt_err *err)
{
    kt_desk *desk = calloc(1, sizeof *desk);

    if (desk == NULL)
        return kt_fail(err, KT_SYS, "no memory to answer questions about the store");
    desk->options = *options;
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->moved, NULL);
    desk->mem = malloc(KT_DESK_ANSWER_MAX);
    desk->is_running = desk->mem != NULL && pthread_create(&desk->thread, NULL, work, desk) == 0;
    if (!desk->is_running) {
        kt_desk_close(desk);
        return kt_fail(err, KT_SYS, "no thread or memory to answer questions about the store");
    }
    *out_desk = desk;
    return KT_OK;
}

void kt_desk_close(kt_desk *desk)
{
    if (desk == NULL)
        return;
    pthread_mutex_lock(&desk->lock);
    atomic_store(&desk->stop, true);
    pthread_cond_signal(&desk->moved);
    pthread_mutex_unlock(&desk->lock);
    if (desk->is_running)
        pthread_join(desk->thread, NULL);
    for (uint32_t i = 0; i < KT_DESK_WAIT_MAX; i++) {
        free(desk->slips[i].params);
        free(desk->slips[i].body);
    }
    kt_query_close(desk->query);
    pthread_cond_destroy(&desk->moved);
    pthread_mutex_destroy(&desk->lock);
    free(desk->mem);
    free(desk);
}
