#include "venue/sim/raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

enum { HEAD_SIZE = 512 };

typedef struct raw_answer {
    struct raw_answer *next, *before;
    kt_sim_raws *raws;
    kt_stream stream;
    kt_timer timer;
    uint32_t rate; /* bytes a second, 0: all at once */
    size_t size, at;
    char bytes[];
} raw_answer;

struct kt_sim_raws {
    kt_loop *loop;
    raw_answer *first;
};

kt_sim_raws *kt_sim_raws_new(kt_loop *loop)
{
    kt_sim_raws *raws = calloc(1, sizeof *raws);

    if (raws != NULL)
        raws->loop = loop;
    return raws;
}

static void answer_end(raw_answer *answer)
{
    kt_timer_cancel(answer->raws->loop, &answer->timer);
    kt_stream_shut(&answer->stream);
    kt_stream_close(&answer->stream);
    if (answer->before != NULL)
        answer->before->next = answer->next;
    else
        answer->raws->first = answer->next;
    if (answer->next != NULL)
        answer->next->before = answer->before;
    free(answer);
}

void kt_sim_raws_free(kt_sim_raws *raws)
{
    while (raws != NULL && raws->first != NULL)
        answer_end(raws->first);
    free(raws);
}

/* What is due in this tick, as far as the socket takes it. */
static void on_tick(kt_timer *timer)
{
    raw_answer *answer = timer->ctx;
    kt_loop *loop = answer->raws->loop;
    size_t left = answer->size - answer->at;
    size_t due = answer->rate * KT_SIM_TICK_MS / 1000 + 1;
    ssize_t put =
        kt_stream_write(&answer->stream, answer->bytes + answer->at, answer->rate == 0 || due > left ? left : due);

    if (put > 0)
        answer->at += (size_t)put;
    if (put < 0 || answer->at == answer->size ||
        kt_timer_set(loop, timer, kt_loop_now(loop) + KT_SIM_TICK_MS * KT_NS_PER_MS) != KT_OK)
        answer_end(answer);
}

bool kt_sim_raw_respond(kt_sim_raws *raws, kt_http_server *http, uint64_t exchange, const kt_http_response *response,
    size_t sent, uint32_t rate)
{
    char head[HEAD_SIZE];
    kt_text type = response->type.n != 0 ? response->type : KT_TEXT("application/json");
    int head_size = snprintf(head, sizeof head,
        "HTTP/1.1 %u %s\r\nContent-Type: %.*s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", response->status,
        kt_http_status_text(response->status), KT_TEXT_ARG(type), response->body.n);
    kt_http_takeover taken;

    if (kt_http_take_over(http, exchange, &taken) != KT_OK)
        return false;
    size_t before = kt_queue_size(&taken.output); /* answers to the requests before this one */
    raw_answer *answer = calloc(1, sizeof *answer + before + (size_t)head_size + sent);
    if (answer == NULL) {
        kt_stream_close(&taken.stream);
        kt_queue_clear(&taken.output, kt_http_server_pool(http));
        return false;
    }
    if (before > 0)
        memcpy(answer->bytes, taken.output.data + taken.output.at, before);
    memcpy(answer->bytes + before, head, (size_t)head_size);
    memcpy(answer->bytes + before + head_size, response->body.s, sent);
    kt_queue_clear(&taken.output, kt_http_server_pool(http));
    answer->raws = raws;
    answer->stream = taken.stream;
    answer->timer = (kt_timer){ .on_due = on_tick, .ctx = answer };
    answer->rate = rate;
    answer->size = before + (size_t)head_size + sent;
    answer->next = raws->first;
    if (answer->next != NULL)
        answer->next->before = answer;
    raws->first = answer;
    on_tick(&answer->timer);
    return true;
}
