#include "venue/sim/schedule.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"
#include "schema/yaml.h"

#define SPAN_MAX (7 * 24 * KT_NS_PER_HOUR)

/* What a step says, as it is being read. */
typedef struct step {
    int64_t at_ns;
    int64_t for_ns; /* 0: from then on */
    const yaml_node_t *faults;
} step;

typedef struct schedule_reader {
    const char *name;
    yaml_document_t *document;
    kt_sim_schedule *schedule;
    uint32_t pair_count;
    kt_err *err;
} schedule_reader;

/* ---- values ---- */

/* "1.5s" -> ns. */
static bool span(kt_text text, int64_t *out_ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = { { "ms", KT_NS_PER_MS }, { "s", KT_NS_PER_S }, { "m", KT_NS_PER_MIN }, { "h", KT_NS_PER_HOUR } };
    kt_decimal number = { 0 };

    for (size_t i = 0; i < KT_COUNT(units); i++) {
        size_t n = strlen(units[i].name);

        if (text.n <= n || memcmp(text.s + text.n - n, units[i].name, n) != 0 ||
            kt_decimal_parse((kt_text){ text.s, text.n - n }, &number) != KT_OK)
            continue;
        number = kt_decimal_canon(number);
        kt_i128 ns = (kt_i128)number.m * units[i].ns;
        if (number.m < 0 || ns % kt_pow10(number.scale) != 0 || ns / kt_pow10(number.scale) > SPAN_MAX)
            return false;
        *out_ns = (int64_t)(ns / kt_pow10(number.scale));
        return true;
    }
    return false;
}

static kt_code read_span(schedule_reader *reader, const char *key, const yaml_node_t *node, bool zero, int64_t *out_ns)
{
    bool scalar = node->type == YAML_SCALAR_NODE;
    kt_text text = scalar ? kt_yaml_text(node) : kt_text_of(kt_yaml_kind(node));

    if (scalar && span(text, out_ns) && (zero || *out_ns > 0))
        return KT_OK;
    return kt_fail(reader->err, scalar ? KT_RANGE : KT_TYPE,
        "%s:%u: %s: '%.*s'; allowed is a time such as 500ms, 10s, 1.5s, 2m or 1h, %s 0 and up to a week", reader->name,
        kt_yaml_line(node), key, (int)(text.n < 40 ? text.n : 40), text.s, zero ? "from" : "above");
}

/* ---- objects ---- */

/* The keys of an object, of which `keys` (ended by NULL) are allowed, into `out`, NULL where one is not there. */
static kt_code read_keys(schedule_reader *reader, const char *where, const yaml_node_t *node, const char *const *keys,
    const yaml_node_t **out)
{
    if (node->type != YAML_MAPPING_NODE)
        return kt_fail(reader->err, KT_TYPE, "%s:%u: %s is %s; allowed is an object with %s", reader->name,
            kt_yaml_line(node), where, kt_yaml_kind(node), keys[0]);
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        kt_text name = key->type == YAML_SCALAR_NODE ? kt_yaml_text(key) : kt_text_of(kt_yaml_kind(key));
        size_t i = 0;

        while (keys[i] != NULL && !kt_text_equal(name, kt_text_of(keys[i])))
            i++;
        if (keys[i] == NULL)
            return kt_fail(reader->err, KT_NOENT, "%s:%u: %s has no '%.*s'; it has %s, %s%s%s", reader->name,
                kt_yaml_line(key), where, (int)(name.n < 40 ? name.n : 40), name.s, keys[0], keys[1],
                keys[2] != NULL ? ", " : "", keys[2] != NULL ? keys[2] : "");
        if (out[i] != NULL)
            return kt_fail(reader->err, KT_TWICE, "%s:%u: %s: '%s' is given twice", reader->name, kt_yaml_line(key),
                where, keys[i]);
        out[i] = yaml_document_get_node(reader->document, pair->value);
    }
    return KT_OK;
}

/* Of the same time: an end comes before what begins. */
static bool precedes(const kt_sim_change *a, const kt_sim_change *b)
{
    return a->ends && !b->ends;
}

/* A change at its place in the order of time. */
static kt_code add(schedule_reader *reader, const kt_sim_change *change)
{
    kt_sim_schedule *schedule = reader->schedule;
    uint32_t at = schedule->count;

    if (schedule->count == KT_SIM_SCHEDULE_MAX)
        return kt_fail(reader->err, KT_LIMIT, "%s:%u: more than %d changes; one with `for` is two", reader->name,
            change->line, KT_SIM_SCHEDULE_MAX);
    while (at > 0 &&
           (schedule->changes[at - 1].at_ns > change->at_ns ||
               (schedule->changes[at - 1].at_ns == change->at_ns && precedes(change, &schedule->changes[at - 1])))) {
        schedule->changes[at] = schedule->changes[at - 1];
        at--;
    }
    schedule->changes[at] = *change;
    schedule->count++;
    return KT_OK;
}

static kt_code read_faults(schedule_reader *reader, const step *one)
{
    const yaml_node_t *node = one->faults;
    kt_code code = KT_OK;

    if (node->type != YAML_MAPPING_NODE)
        return kt_fail(reader->err, KT_TYPE, "%s:%u: faults is %s; allowed is an object such as {drop: 0.05}",
            reader->name, kt_yaml_line(node), kt_yaml_kind(node));
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         code == KT_OK && pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(reader->document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(reader->document, pair->value);
        kt_sim_change change = { .at_ns = one->at_ns, .line = kt_yaml_line(key) };
        kt_sim_faults read = { 0 };
        kt_err why = { 0 };

        if (key->type != YAML_SCALAR_NODE || value->type != YAML_SCALAR_NODE)
            return kt_fail(reader->err, KT_TYPE, "%s:%u: faults: a fault is its name and a number, such as drop: 0.05",
                reader->name, change.line);
        code = kt_sim_faults_set(&read, kt_yaml_text(key), kt_yaml_text(value), &why);
        if (code != KT_OK)
            return kt_fail(reader->err, code, "%s:%u: %s", reader->name, change.line, why.msg);
        change.fault = kt_sim_fault_of(kt_yaml_text(key));
        change.value = read.values[change.fault];
        change.pair = one->for_ns != 0 ? ++reader->pair_count : 0;
        code = add(reader, &change);
        if (code == KT_OK && one->for_ns != 0) {
            change.at_ns += one->for_ns;
            change.ends = true;
            code = add(reader, &change);
        }
    }
    return code;
}

static kt_code read_step(schedule_reader *reader, const yaml_node_t *node)
{
    static const char *const keys[] = { "at", "faults", "for", NULL };
    const yaml_node_t *given[KT_COUNT(keys)] = { NULL };
    step one = { 0 };
    kt_code code = read_keys(reader, "a step", node, keys, given);

    if (code != KT_OK)
        return code;
    if (given[0] == NULL || given[1] == NULL)
        return kt_fail(reader->err, KT_NOENT,
            "%s:%u: a step needs `at` and `faults`, such as {at: 10s, faults: {drop: 0.05}}", reader->name,
            kt_yaml_line(node));
    code = read_span(reader, "at", given[0], true, &one.at_ns);
    if (code == KT_OK && given[2] != NULL)
        code = read_span(reader, "for", given[2], false, &one.for_ns);
    one.faults = given[1];
    return code == KT_OK ? read_faults(reader, &one) : code;
}

static kt_code read_root(schedule_reader *reader, const yaml_node_t *root)
{
    static const char *const keys[] = { "steps", "every", NULL };
    const yaml_node_t *given[KT_COUNT(keys)] = { NULL };
    kt_code code = read_keys(reader, "a schedule", root, keys, given);

    if (code != KT_OK)
        return code;
    if (given[0] == NULL || given[0]->type != YAML_SEQUENCE_NODE)
        return kt_fail(reader->err, given[0] == NULL ? KT_NOENT : KT_TYPE,
            "%s:%u: a schedule needs `steps`, a list such as [{at: 10s, faults: {drop: 0.05}}]", reader->name,
            kt_yaml_line(given[0] == NULL ? root : given[0]));
    if (given[1] != NULL)
        code = read_span(reader, "every", given[1], false, &reader->schedule->every_ns);
    for (const yaml_node_item_t *i = given[0]->data.sequence.items.start;
         code == KT_OK && i < given[0]->data.sequence.items.top; i++)
        code = read_step(reader, yaml_document_get_node(reader->document, *i));
    return code;
}

/* ---- what holds between the steps ---- */

/* Each `for` ends with the value that was there when it began, and at no time are there too many faults. */
static kt_code resolve(schedule_reader *reader, const kt_sim_faults *first)
{
    kt_sim_schedule *schedule = reader->schedule;
    kt_decimal *before = calloc(reader->pair_count + 1, sizeof *before);
    kt_sim_faults values = *first;
    kt_code code = KT_OK;
    kt_err why = { 0 };

    if (before == NULL)
        return kt_fail(reader->err, KT_SYS, "no memory for schedule '%s'", reader->name);
    for (uint32_t i = 0; code == KT_OK && i < schedule->count; i++) {
        kt_sim_change *change = &schedule->changes[i];
        bool last = i + 1 == schedule->count || schedule->changes[i + 1].at_ns != change->at_ns;

        if (change->ends)
            change->value = before[change->pair];
        else
            before[change->pair] = values.values[change->fault];
        values.values[change->fault] = change->value;
        if (last && kt_sim_faults_check(&values, &why) != KT_OK)
            code = kt_fail(reader->err, KT_RANGE, "%s:%u: from then on %s", reader->name, change->line, why.msg);
    }
    free(before);
    return code;
}

/* A round begins with what held before the first. */
static kt_code begin_rounds(schedule_reader *reader, const kt_sim_faults *first)
{
    kt_sim_schedule *schedule = reader->schedule;
    bool changed[KT_SIM_FAULT_COUNT] = { false };
    kt_code code = KT_OK;

    if (schedule->every_ns == 0 || schedule->count == 0)
        return KT_OK;
    if (schedule->changes[schedule->count - 1].at_ns > schedule->every_ns)
        return kt_fail(reader->err, KT_RANGE, "%s:%u: behind the end of a round, which `every` says", reader->name,
            schedule->changes[schedule->count - 1].line);
    for (uint32_t i = 0; i < schedule->count; i++)
        changed[schedule->changes[i].fault] = true;
    for (kt_sim_fault fault = 0; code == KT_OK && fault < KT_SIM_FAULT_COUNT; fault++)
        if (changed[fault])
            code =
                add(reader, &(kt_sim_change){ .line = 1, .fault = fault, .value = first->values[fault], .ends = true });
    return code;
}

kt_code kt_sim_schedule_parse(const char *name, const char *text, size_t size, const kt_sim_faults *first,
    kt_sim_schedule *out_schedule, kt_err *err)
{
    kt_sim_schedule schedule = { .changes = calloc(KT_SIM_SCHEDULE_MAX, sizeof *schedule.changes) };
    yaml_document_t document;
    schedule_reader reader = { .name = name, .document = &document, .schedule = &schedule, .err = err };
    const yaml_node_t *root = NULL;
    kt_code code = KT_OK;

    if (schedule.changes == NULL)
        return kt_fail(err, KT_SYS, "no memory for schedule '%s'", name);
    code = kt_yaml_parse(name, text, size, &document, err);
    if (code != KT_OK)
        goto out;
    root = yaml_document_get_root_node(&document);
    code = root != NULL ? read_root(&reader, root)
                        : kt_fail(err, KT_NOENT, "%s:1: the file is empty; a schedule needs `steps`", name);
    yaml_document_delete(&document);
    if (code == KT_OK)
        code = resolve(&reader, first);
    if (code == KT_OK)
        code = begin_rounds(&reader, first);
    if (code == KT_OK) {
        *out_schedule = schedule;
        schedule.changes = NULL;
    }
out:
    free(schedule.changes);
    return code;
}

kt_code kt_sim_schedule_read(const char *path, const kt_sim_faults *first, kt_sim_schedule *out_schedule, kt_err *err)
{
    char *text = NULL;
    size_t size = 0;
    kt_code code = kt_yaml_file("schedule", path, KT_SIM_SCHEDULE_SIZE_MAX, &text, &size, err);

    if (code == KT_OK)
        code = kt_sim_schedule_parse(path, text, size, first, out_schedule, err);
    free(text);
    return code;
}

void kt_sim_schedule_done(kt_sim_schedule *schedule)
{
    free(schedule->changes);
    *schedule = (kt_sim_schedule){ 0 };
}

/* ---- playing it ---- */

int64_t kt_sim_schedule_due(const kt_sim_schedule *schedule)
{
    return schedule->next < schedule->count ? schedule->begun_ns + schedule->changes[schedule->next].at_ns : INT64_MAX;
}

void kt_sim_schedule_apply(kt_sim_schedule *schedule, int64_t passed_ns, kt_sim_faults *values)
{
    while (kt_sim_schedule_due(schedule) <= passed_ns) {
        const kt_sim_change *change = &schedule->changes[schedule->next++];

        values->values[change->fault] = change->value;
        if (schedule->next == schedule->count && schedule->every_ns != 0) {
            schedule->next = 0;
            schedule->begun_ns += schedule->every_ns;
        }
    }
}

void kt_sim_schedule_end(kt_sim_schedule *schedule, const kt_sim_faults *first, kt_sim_faults *values)
{
    for (uint32_t i = 0; i < schedule->count; i++)
        values->values[schedule->changes[i].fault] = first->values[schedule->changes[i].fault];
    schedule->count = 0;
}
