/* Parameters of sim.faults of any bytes: what is accepted are values that --fault accepts too, and what is refused changes
 * nothing. */
#include "base/assert.h"
#include "venue/sim/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char mem[KT_SIM_CONTROL_SIZE];
    const kt_sim_faults before = { .values = { [KT_SIM_DROP] = { .m = 5, .scale = 1 } } };
    kt_sim_faults values = before;
    kt_err err = { 0 };
    kt_json_writer writer;
    kt_text text;

    if (kt_sim_control_read((kt_text){ (const char *)data, size }, &values, &err) != KT_OK) {
        kt_assert(err.msg[0] != '\0');
        kt_assert(memcmp(&values, &before, sizeof values) == 0);
        return 0;
    }
    kt_assert(kt_sim_faults_check(&values, NULL) == KT_OK);
    kt_json_writer_init(&writer, mem, sizeof mem);
    kt_sim_control_write(&values, &writer);
    kt_assert(kt_json_writer_done(&writer, &text) == KT_OK);
    return 0;
}
