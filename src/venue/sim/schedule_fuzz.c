/* A schedule of any bytes: what is accepted changes faults in the order of time, at no time to values that --fault would
 * refuse, and reads as the same changes again. */
#include "base/assert.h"
#include "venue/sim/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const kt_sim_schedule *read)
{
    kt_sim_schedule schedule = *read;
    kt_sim_faults values = { 0 };

    for (uint32_t i = 0; i < 3 * schedule.count && kt_sim_schedule_due(&schedule) != INT64_MAX; i++) {
        int64_t due_ns = kt_sim_schedule_due(&schedule);

        kt_sim_schedule_apply(&schedule, due_ns, &values);
        kt_assert(kt_sim_schedule_due(&schedule) > due_ns);
        kt_assert(kt_sim_faults_check(&values, NULL) == KT_OK);
        for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++)
            kt_assert(values.values[fault].m == 0 || kt_sim_fault_specs[fault].place != KT_SIM_PLACE_RESULT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const kt_sim_faults none = { 0 };
    kt_sim_schedule schedule, again;
    kt_err err = { 0 };

    if (kt_sim_schedule_parse("fuzz", (const char *)data, size, &none, &schedule, &err) != KT_OK) {
        kt_assert(err.msg[0] != '\0');
        return 0;
    }
    kt_assert(kt_sim_schedule_parse("fuzz", (const char *)data, size, &none, &again, NULL) == KT_OK);
    kt_assert(again.count == schedule.count && again.every_ns == schedule.every_ns);
    for (uint32_t i = 0; i < schedule.count; i++)
        kt_assert(again.changes[i].at_ns == schedule.changes[i].at_ns &&
                  again.changes[i].fault == schedule.changes[i].fault &&
                  kt_decimal_compare(again.changes[i].value, schedule.changes[i].value) == 0);
    check(&schedule);
    kt_sim_schedule_done(&schedule);
    kt_sim_schedule_done(&again);
    return 0;
}
