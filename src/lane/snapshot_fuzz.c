/* A lane's snapshot, its version in the first byte. Property: what is refused is refused with a message; what is taken gives
 * bytes that are taken again and give the same bytes. */
#include "base/assert.h"
#include "lane/state.h"
#include "lane/test_service.h"

#include <stdlib.h>

enum { TIMER_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only what a snapshot touches: two services, one of which brings a state, and two sources. */
static kt_lane *lane_new(void)
{
    static const kt_service_spec plain = { .name = "plain", .version = 1 };
    static const kt_service_spec *const specs[] = { &kt_test_counter, &plain };
    static const char *const sources[] = { "market", "edge" };
    kt_lane *lane = aligned_alloc(64, KT_ALIGN_UP(sizeof *lane, 64));

    kt_assert(lane != NULL);
    *lane = (kt_lane){ .name = "fuzz", .service_count = KT_COUNT(specs), .source_count = KT_COUNT(sources) };
    for (uint32_t i = 0; i < KT_COUNT(specs); i++)
        lane->services[i] = (kt_lane_service){ .spec = specs[i], .env = { lane, i } };
    for (uint32_t i = 0; i < KT_COUNT(sources); i++)
        strcpy(lane->sources[i].name, sources[i]);
    kt_assert(kt_timers_init(&lane->timers, TIMER_MAX) == KT_OK);
    kt_assert(kt_test_counter.start(&lane->services[0].env, NULL, &lane->services[0].state, NULL) == KT_OK);
    return lane;
}

static void lane_free(kt_lane *lane)
{
    kt_test_counter.stop(lane->services[0].state);
    kt_timers_done(&lane->timers);
    free(lane);
}

/* Restore a lane of its own from the bytes, and save it again. The code is that of restoring. */
static kt_code through(uint32_t version, kt_text bytes, kt_writer *out_writer)
{
    kt_lane *lane = lane_new();
    kt_err err = { 0 };
    kt_code code = kt_lane_restore(lane, version, bytes, &err);

    kt_writer_init(out_writer);
    if (code == KT_OK)
        kt_assert(kt_lane_save(lane, out_writer) == KT_OK);
    else
        kt_assert(code == err.code && err.msg[0] != 0);
    lane_free(lane);
    return code;
}

static kt_text text_of(const kt_writer *writer)
{
    return (kt_text){ (const char *)writer->bytes, writer->size };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_writer first, second;

    if (size == 0)
        return 0;
    kt_code code = through(data[0], (kt_text){ (const char *)data + 1, size - 1 }, &first);
    if (code == KT_OK) {
        kt_assert(through(KT_LANE_SNAPSHOT_VERSION, text_of(&first), &second) == KT_OK);
        kt_assert(kt_text_equal(text_of(&first), text_of(&second)));
        kt_writer_done(&second);
    } else {
        kt_assert(code == KT_CORRUPT || code == KT_VERSION || code == KT_LIMIT);
    }
    kt_writer_done(&first);
    return 0;
}
