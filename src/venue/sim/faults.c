#include "venue/sim/faults.h"

#include "base/text.h"
#include "base/time.h"

enum { KNOWN_SIZE = 128 }; /* of names in a message */

#define FAULT_SPEC(NAME, name_, place_, per_, unit_, text_) \
    [KT_SIM_##NAME] = { .name = name_,                      \
        .place = KT_SIM_PLACE_##place_,                     \
        .unit = KT_SIM_UNIT_##unit_,                        \
        .per = KT_SIM_PER_##per_,                           \
        .text = text_ },
const kt_sim_fault_spec kt_sim_fault_specs[KT_SIM_FAULT_COUNT] = { KT_SIM_FAULT_MAP(FAULT_SPEC) };

#define PLACE_NAME(NAME, name) [KT_SIM_PLACE_##NAME] = name,
static const char *const places[KT_SIM_PLACE_COUNT] = { KT_SIM_PLACE_MAP(PLACE_NAME) };

typedef struct unit_spec {
    const char *name;
    int64_t least, greatest;
} unit_spec;

#define UNIT_SPEC(NAME, name_, least_, greatest_) \
    [KT_SIM_UNIT_##NAME] = { .name = name_, .least = least_, .greatest = greatest_ },
static const unit_spec units[KT_SIM_UNIT_COUNT] = { KT_SIM_UNIT_MAP(UNIT_SPEC) };

const char *kt_sim_place_name(kt_sim_place place)
{
    return places[place];
}

const char *kt_sim_unit_name(kt_sim_unit unit)
{
    return units[unit].name;
}

static bool can_be_asked_for(kt_sim_fault fault)
{
    return kt_sim_fault_specs[fault].place != KT_SIM_PLACE_RESULT;
}

kt_sim_fault kt_sim_fault_of(kt_text name)
{
    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++)
        if (can_be_asked_for(fault) && kt_text_equal(kt_text_of(kt_sim_fault_specs[fault].name), name))
            return fault;
    return KT_SIM_FAULT_COUNT;
}

/* ---- values ---- */

static kt_code no_such_fault(kt_text name, kt_err *err)
{
    char known[KNOWN_SIZE];
    kt_builder list;

    kt_builder_init(&list, known, sizeof known);
    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT && list.n < sizeof known / 2; fault++)
        if (can_be_asked_for(fault))
            kt_builder_format(&list, "%s%s", list.n == 0 ? "" : ", ", kt_sim_fault_specs[fault].name);
    return kt_fail(err, KT_ARG, "'%.*s': no such fault; there are %s ...; `kontor sim --help` lists them all",
        (int)(name.n < 40 ? name.n : 40), name.s, known);
}

kt_code kt_sim_faults_set(kt_sim_faults *faults, kt_text name, kt_text value, kt_err *err)
{
    kt_sim_fault fault = kt_sim_fault_of(name);
    kt_decimal given = { 0 };
    const unit_spec *unit = NULL;

    if (fault == KT_SIM_FAULT_COUNT)
        return no_such_fault(name, err);
    unit = &units[kt_sim_fault_specs[fault].unit];
    if (kt_decimal_parse(value, &given) != KT_OK || kt_decimal_compare(given, (kt_decimal){ .m = unit->least }) < 0 ||
        kt_decimal_compare(given, (kt_decimal){ .m = unit->greatest }) > 0 ||
        (kt_sim_fault_specs[fault].unit == KT_SIM_UNIT_SWITCH && kt_decimal_canon(given).scale != 0))
        return kt_fail(err, KT_RANGE, "%s: '%.*s': a number from %lld to %lld is needed (%s)",
            kt_sim_fault_specs[fault].name, (int)(value.n < 40 ? value.n : 40), value.s, (long long)unit->least,
            (long long)unit->greatest, unit->name);
    faults->values[fault] = kt_decimal_canon(given);
    return KT_OK;
}

double kt_sim_faults_value(const kt_sim_faults *faults, kt_sim_fault fault)
{
    kt_decimal value = faults->values[fault];

    return value.m != 0 ? (double)value.m / (double)kt_pow10(value.scale) : 0;
}

kt_code kt_sim_faults_check(const kt_sim_faults *faults, kt_err *err)
{
    static const struct {
        uint32_t per;
        const char *one;
    } draws[] = {
        { KT_SIM_PER_TRADE, "a trade" },
        { KT_SIM_PER_BOOK | KT_SIM_PER_CHANGE | KT_SIM_PER_NUMBERED | KT_SIM_PER_CHECKSUM, "a message of a book" },
        { KT_SIM_PER_HANDSHAKE, "a TLS handshake" },
        { KT_SIM_PER_REQUEST, "a request" },
    };

    for (size_t i = 0; i < KT_COUNT(draws); i++) {
        double sum = 0;

        for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++)
            if ((kt_sim_fault_specs[fault].per & draws[i].per) != 0)
                sum += kt_sim_faults_value(faults, fault);
        if (sum > 1 + 1e-9)
            return kt_fail(err, KT_RANGE,
                "the shares of all faults of %s add up to %g: it has one fault at most, so the sum is at most 1",
                draws[i].one, sum);
    }
    return KT_OK;
}

void kt_sim_faults_take(kt_sim_faults *faults, const kt_sim_faults *values, int64_t now_ns)
{
    if (kt_decimal_compare(faults->values[KT_SIM_CLOCK_DRIFT], values->values[KT_SIM_CLOCK_DRIFT]) != 0)
        faults->drift_from_ns = now_ns;
    memcpy(faults->values, values->values, sizeof faults->values);
}

/* ---- draws ---- */

kt_sim_fault kt_sim_faults_draw(const kt_sim_faults *faults, kt_rng *rng, uint32_t per)
{
    double at = kt_rng_unit(rng);

    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++) {
        if (faults->values[fault].m == 0 || (kt_sim_fault_specs[fault].per & per) == 0)
            continue;
        double share = kt_sim_faults_value(faults, fault);
        if (at < share)
            return fault;
        at -= share;
    }
    return KT_SIM_NONE;
}

/* ---- the venue's clock ---- */

int64_t kt_sim_faults_skew(kt_sim_faults *faults, int64_t now_ns)
{
    double offset_ns = kt_sim_faults_value(faults, KT_SIM_CLOCK_OFFSET) * KT_NS_PER_MS;
    double drift = kt_sim_faults_value(faults, KT_SIM_CLOCK_DRIFT) / 1e6;
    int64_t aim_ns = (int64_t)(offset_ns + drift * (double)(now_ns - faults->drift_from_ns));
    int64_t passed_ns = now_ns - faults->skewed_ns;

    /* The first question sets the clock; later it may only be slowed down. */
    if (faults->skewed_ns != 0 && aim_ns < faults->skew_ns - passed_ns / 2)
        aim_ns = faults->skew_ns - passed_ns / 2;
    faults->skewed_ns = now_ns;
    faults->skew_ns = aim_ns;
    return kt_time_floor(aim_ns, KT_NS_PER_MS);
}

/* ---- the truth ---- */

void kt_sim_faults_write_delivered(const kt_sim_faults *faults, kt_json_writer *writer)
{
    kt_json_open_object(writer);
    for (kt_sim_fault fault = 0; fault < KT_SIM_FAULT_COUNT; fault++)
        if (can_be_asked_for(fault))
            kt_json_member_u64(writer, kt_sim_fault_specs[fault].name, faults->delivered[fault]);
    kt_json_close_object(writer);
}
