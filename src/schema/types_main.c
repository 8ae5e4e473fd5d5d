/* schema/types_main.c - prints the schema as TypeScript, for the page and for other clients: the shapes of all events,
 * parameters and answers as they stand in JSON, and when a channel's value is stale. Run by the build.
 */
#include "schema/actions.h"
#include "schema/channels.h"
#include "schema/events.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_SIZE = 80 };

static const char *const type_names[KT_FIELD_TYPE_COUNT] = {
    [KT_FIELD_BOOL] = "boolean",
    [KT_FIELD_U8] = "number",
    [KT_FIELD_U16] = "number",
    [KT_FIELD_U32] = "number",
    [KT_FIELD_U64] = "number",
    [KT_FIELD_I64] = "number",
    [KT_FIELD_TIME] = "Time",
    [KT_FIELD_TIME_MS] = "Milliseconds",
    [KT_FIELD_DEC] = "Decimal",
    [KT_FIELD_SUM] = "Decimal",
    [KT_FIELD_TEXT] = "string",
    [KT_FIELD_BYTES] = "string",
    [KT_FIELD_TEXTS] = "string[]",
    [KT_FIELD_JSON] = "unknown",
};

/* "feed_stats" and "vwap.latest" as "FeedStats" and "VwapLatest", with what follows behind. */
static const char *type_name(const char *name, const char *behind, char out[NAME_SIZE])
{
    size_t n = 0;
    bool upper = true;

    for (; *name != '\0' && n + 1 < NAME_SIZE; name++) {
        if (*name == '_' || *name == '.') {
            upper = true;
            continue;
        }
        out[n++] = (char)(upper ? toupper((unsigned char)*name) : *name);
        upper = false;
    }
    snprintf(out + n, NAME_SIZE - n, "%s", behind);
    return out;
}

static void print_enum(const kt_enum_spec *spec)
{
    char name[NAME_SIZE];

    printf("export type %s =", type_name(spec->name, "Name", name));
    for (uint32_t i = 0; i < spec->count; i++)
        printf("%s '%s'", i > 0 ? " |" : "", spec->values[i]);
    printf(";\n");
}

static void print_field(const kt_table *table, const kt_field *field, bool may_be_left_out)
{
    bool unit = field->unit[0] != '\0' && field->type != KT_FIELD_TIME && field->type != KT_FIELD_TIME_MS;
    char allowed[160];
    char name[NAME_SIZE];

    kt_field_allowed(field, allowed, sizeof allowed);
    printf("    /** %s%s%s. Allowed: %s. */\n", field->text, unit ? ", " : "", unit ? field->unit : "", allowed);
    printf("    %s%s: ", field->name, may_be_left_out && !kt_table_required(table, field) ? "?" : "");
    if (field->type == KT_FIELD_ENUM)
        printf("%s;\n", type_name(field->values->name, "Name", name));
    else if (field->type == KT_FIELD_ROWS)
        printf("%s[];\n", type_name(field->rows->name, "Row", name));
    else
        printf("%s;\n", type_names[field->type]);
}

static void print_table(const kt_table *table, const char *behind, bool params)
{
    char name[NAME_SIZE];

    type_name(table->name, behind, name);
    printf("\n/** %s */\n", table->text);
    if (table->field_count == 0) {
        printf("export type %s = Record<string, never>;\n", name);
        return;
    }
    printf("export interface %s {\n", name);
    for (uint32_t i = 0; i < table->field_count; i++)
        print_field(table, &table->fields[i], params);
    printf("}\n");
}

static void print_events(void)
{
    char name[NAME_SIZE];

    for (uint32_t i = 0; i < kt_event_count; i++)
        print_table(&kt_events[i].table, "", false);
    printf("\n/** `data` of an event, by its `kind`. */\nexport interface Events {\n");
    for (uint32_t i = 0; i < kt_event_count; i++)
        printf("    %s: %s;\n", kt_events[i].table.name, type_name(kt_events[i].table.name, "", name));
    printf("}\n");
}

static void print_actions(void)
{
    char params[NAME_SIZE], response[NAME_SIZE];

    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++) {
        print_table(&kt_actions[i].params, "Params", true);
        print_table(&kt_actions[i].response, "Response", false);
    }
    printf("\n/** What an action takes and gives, by its name. */\nexport interface Actions {\n");
    for (uint32_t i = 0; i < KT_ACTION_COUNT; i++)
        printf("    '%s': { params: %s; response: %s };\n", kt_actions[i].name,
            type_name(kt_actions[i].name, "Params", params), type_name(kt_actions[i].name, "Response", response));
    printf("}\n");
}

static void print_stale(void)
{
    printf("\n/** When a value of a channel is stale, by the first token of its name: `limit` in ms (0: the\n"
           " * watchdog's) against `rule`. Channels that are not here never are. */\n"
           "export type StaleRule =");
    for (uint32_t i = 0; i < KT_STALE_RULE_COUNT; i++)
        printf("%s '%s'", i > 0 ? " |" : "", kt_stale_rule_name(i));
    printf(";\nexport const stale: Record<string, { rule: StaleRule; limit: number }> = {\n");
    for (uint32_t i = 0; i < kt_stale_count; i++)
        printf("    %s: { rule: '%s', limit: %u },\n", kt_stales[i].first, kt_stale_rule_name(kt_stales[i].rule),
            kt_stales[i].limit_ms);
    printf("};\n");
}

int main(void)
{
#define PRINT_ENUM(type, name, map) print_enum(&kt_enum_##name);
#define PRINT_ROW(name, text) print_table(&kt_row_table_##name, "Row", false);
    printf("// Made from src/schema by schema/types_main.c.\n\n"
           "/** A number as text, with all its digits. */\nexport type Decimal = string;\n"
           "/** ISO 8601, UTC. */\nexport type Time = string;\n"
           "/** Milliseconds since 1970, as text. */\nexport type Milliseconds = string;\n\n");
    KT_ENUM_MAP(PRINT_ENUM)
    KT_ACTION_ENUM_MAP(PRINT_ENUM)
    KT_ROW_MAP(PRINT_ROW)
    KT_ACTION_ROW_MAP(PRINT_ROW)
    print_events();
    print_actions();
    print_stale();
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
