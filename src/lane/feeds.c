#include "lane/state.h"

#include "base/text.h"

#include <stdlib.h>

/* ---- outputs that feeds want ---- */

uint32_t kt_lane_feeds_mask(const kt_lane *lane, kt_text subject)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < lane->feed_count; i++) {
        const char *const *patterns = lane->feeds[i].spec->outputs;
        for (uint32_t p = 0; patterns != NULL && patterns[p] != NULL; p++)
            if (kt_subject_match(kt_text_of(patterns[p]), subject))
                mask |= KT_MASK_FEED << i;
    }
    return mask;
}

static bool outputs_grow(kt_lane *lane)
{
    uint32_t room = lane->output_room != 0 ? lane->output_room * 2 : 64;
    kt_lane_output **more = lane->output_room < KT_LANE_OUTPUT_MAX ? realloc(lane->outputs, room * sizeof *more) : NULL;

    if (more == NULL)
        return false;
    lane->outputs = more;
    lane->output_room = room;
    return true;
}

void kt_lane_feeds_keep(kt_lane *lane, const kt_made *made, const kt_rec_head *head, uint64_t seq, uint32_t mask)
{
    kt_lane_output *output = NULL;

    if (lane->output_count < lane->output_room || outputs_grow(lane))
        output = malloc(sizeof *output + made->size);
    if (output == NULL) {
        kt_lane_fail(lane, false, "no memory for an output that feeds want, or more than %d that no feed has taken",
            KT_LANE_OUTPUT_MAX);
        return;
    }
    kt_log_subject_info subject = kt_log_subject_info_of(lane->log, head->subject);
    *output = (kt_lane_output){ .mask = mask,
        .request = made->request,
        .subject = subject.name,
        .rec = { .size = (uint32_t)sizeof output->rec + made->size,
            .kind = head->kind,
            .flags = head->flags,
            .subject = head->subject,
            .seq = seq,
            .offset = subject.last_offset,
            .time_ns = head->time_ns,
            .cause = head->cause },
        .size = made->size };
    memcpy(output->payload, made->payload, made->size);
    lane->outputs[lane->output_count++] = output;
}

static uint64_t feed_limit(const kt_lane *lane, const kt_lane_feed *feed)
{
    return feed->spec->after_durable ? kt_log_durable(lane->log) : kt_log_written(lane->log);
}

/* The next output that the feed wants, whether it may see it yet or not. NULL: none. */
static kt_lane_output *feed_next(kt_lane *lane, kt_lane_feed *feed)
{
    uint32_t bit = KT_MASK_FEED << (feed - lane->feeds);

    while (feed->output_next < lane->output_count && (lane->outputs[feed->output_next]->mask & bit) == 0)
        feed->output_next++;
    return feed->output_next < lane->output_count ? lane->outputs[feed->output_next] : NULL;
}

static void feed_outputs(kt_lane *lane, kt_lane_feed *feed)
{
    uint64_t limit = feed_limit(lane, feed); /* what it makes of them comes in the next turn */
    kt_lane_output *output;

    feed->seen = limit;
    while (!lane->failed && (output = feed_next(lane, feed)) != NULL && output->rec.seq <= limit) {
        kt_event event = { .rec = &output->rec,
            .subject = output->subject,
            .log = kt_text_of(lane->name),
            .input_seq = output->rec.cause,
            .payload = output->payload,
            .size = output->size };
        lane->worked = true;
        feed->output_next++;
        if (feed->spec->on_request != NULL && output->request)
            feed->spec->on_request(feed->state, &event);
        else if (feed->spec->on_output != NULL)
            feed->spec->on_output(feed->state, &event);
    }
}

/* Free the outputs that every feed has passed. */
static void outputs_drop(kt_lane *lane)
{
    uint32_t seen = lane->output_count;

    for (uint32_t i = 0; i < lane->feed_count; i++) {
        feed_next(lane, &lane->feeds[i]);
        seen = lane->feeds[i].output_next < seen ? lane->feeds[i].output_next : seen;
    }
    if (seen == 0)
        return;
    for (uint32_t i = 0; i < seen; i++)
        free(lane->outputs[i]);
    lane->output_count -= seen;
    memmove(lane->outputs, lane->outputs + seen, lane->output_count * sizeof(lane->outputs[0]));
    for (uint32_t i = 0; i < lane->feed_count; i++)
        lane->feeds[i].output_next -= seen;
}

/* ---- turns ---- */

void kt_lane_feeds_turn(kt_lane *lane)
{
    for (uint32_t i = 0; i < lane->feed_count && !lane->failed; i++) {
        kt_lane_feed *feed = &lane->feeds[i];
        feed_outputs(lane, feed);
        if (feed->spec->turn != NULL)
            feed->spec->turn(feed->state);
    }
    outputs_drop(lane);
}

bool kt_lane_feeds_pending(kt_lane *lane)
{
    for (uint32_t i = 0; i < lane->feed_count; i++) {
        kt_lane_feed *feed = &lane->feeds[i];
        if (feed->spec->outputs != NULL && feed->seen < feed_limit(lane, feed))
            return true;
        if (feed->spec->pending != NULL && feed->spec->pending(feed->state))
            return true;
    }
    return false;
}

bool kt_lane_feeds_wait(const kt_lane *lane)
{
    for (uint32_t i = 0; i < lane->feed_count; i++)
        if (lane->feeds[i].spec->after_durable && lane->feeds[i].spec->outputs != NULL)
            return true;
    return false;
}

/* ---- life ---- */

kt_code kt_lane_feeds_start(kt_lane *lane, kt_err *err)
{
    for (uint32_t i = 0; i < lane->feed_count; i++) {
        kt_lane_feed *feed = &lane->feeds[i];
        kt_code code =
            feed->spec->start != NULL ? feed->spec->start(lane, lane->options.config, &feed->state, err) : KT_OK;
        if (code != KT_OK)
            return kt_fail_within(err, code, "feed %s", feed->spec->name);
        feed->started = true;
    }
    return KT_OK;
}

void kt_lane_feeds_live(kt_lane *lane)
{
    for (uint32_t i = 0; i < lane->feed_count; i++)
        if (lane->feeds[i].spec->live != NULL)
            lane->feeds[i].spec->live(lane->feeds[i].state);
}

void kt_lane_feeds_stop(kt_lane *lane)
{
    for (uint32_t i = lane->feed_count; i > 0; i--) {
        kt_lane_feed *feed = &lane->feeds[i - 1];
        if (feed->spec->stop != NULL && feed->started)
            feed->spec->stop(feed->state);
    }
    lane->feed_count = 0;
    for (uint32_t i = 0; i < lane->output_count; i++)
        free(lane->outputs[i]);
    lane->output_count = 0;
}
