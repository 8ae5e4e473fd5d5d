#include "base/text.h"
#include "base/version.h"
#include "edge/json_schema.h"
#include "edge/openapi.h"
#include "schema/channels.h"
#include "schema/events.h"

#include <stdio.h>

static void put_ref(kt_json_writer *writer, const char *where, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "#/%s/%s", where, name);
    kt_json_open_object(writer);
    kt_json_member_text(writer, "$ref", kt_text_of(path));
    kt_json_close_object(writer);
}

/* What stands in braces in a subject. */
static void put_parameters(kt_json_writer *writer, const char *subject)
{
    kt_json_name(writer, "parameters");
    kt_json_open_object(writer);
    for (const char *open = strchr(subject, '{'); open != NULL; open = strchr(open + 1, '{')) {
        kt_text name = { open + 1, strcspn(open + 1, "}") };

        kt_json_put_key(writer, name);
        kt_json_open_object(writer);
        kt_json_member_text(
            writer, "description", KT_TEXT("one token; '.', '*', '>', '%' and blanks in it stand percent-encoded"));
        kt_json_close_object(writer);
    }
    kt_json_close_object(writer);
}

static void put_stale(kt_json_writer *writer, const char *subject)
{
    const kt_stale *stale = kt_stale_of(kt_text_of(subject));

    if (stale == NULL)
        return;
    kt_json_name(writer, "x-stale");
    kt_json_open_object(writer);
    kt_json_member_text(writer, "rule", kt_text_of(kt_stale_rule_name(stale->rule)));
    if (stale->limit_ms != 0)
        kt_json_member_u64(writer, "limit_ms", stale->limit_ms);
    kt_json_member_text(writer, "description", kt_text_of(kt_stale_rule_text(stale->rule)));
    kt_json_close_object(writer);
}

static void put_channels(kt_json_writer *writer)
{
    kt_json_name(writer, "channels");
    kt_json_open_object(writer);
    for (uint32_t i = 0; i < kt_event_count; i++) {
        const kt_event_spec *event = &kt_events[i];

        kt_json_name(writer, event->table.name);
        kt_json_open_object(writer);
        kt_json_member_text(writer, "address", kt_text_of(event->subject));
        kt_json_member_text(writer, "description", kt_text_of(event->table.text));
        kt_json_name(writer, "messages");
        kt_json_open_object(writer);
        kt_json_name(writer, event->table.name);
        put_ref(writer, "components/messages", event->table.name);
        kt_json_close_object(writer);
        put_parameters(writer, event->subject);
        put_stale(writer, event->subject);
        kt_json_close_object(writer);
    }
    kt_json_close_object(writer);
}

static void put_operations(kt_json_writer *writer)
{
    char name[80];

    kt_json_name(writer, "operations");
    kt_json_open_object(writer);
    for (uint32_t i = 0; i < kt_event_count; i++) {
        snprintf(name, sizeof name, "hear_%s", kt_events[i].table.name);
        kt_json_name(writer, name);
        kt_json_open_object(writer);
        kt_json_member_text(writer, "action", KT_TEXT("send"));
        kt_json_name(writer, "channel");
        put_ref(writer, "channels", kt_events[i].table.name);
        kt_json_member_text(writer, "summary", kt_text_of(kt_events[i].table.text));
        kt_json_close_object(writer);
    }
    kt_json_close_object(writer);
}

/* The envelope of an event (protocol.h) around its data. */
static void put_message(kt_json_writer *writer, const kt_event_spec *event)
{
    kt_json_name(writer, event->table.name);
    kt_json_open_object(writer);
    kt_json_member_text(writer, "name", kt_text_of(event->table.name));
    kt_json_member_text(writer, "summary", kt_text_of(event->table.text));
    kt_json_member_text(writer, "contentType", KT_TEXT("application/json"));
    kt_json_name(writer, "payload");
    kt_json_open_object(writer);
    kt_json_name(writer, "allOf");
    kt_json_open_array(writer);
    put_ref(writer, "components/schemas", "envelope");
    kt_json_open_object(writer);
    kt_json_member_text(writer, "type", KT_TEXT("object"));
    kt_json_name(writer, "properties");
    kt_json_open_object(writer);
    kt_json_name(writer, "kind");
    kt_json_open_object(writer);
    kt_json_member_text(writer, "const", kt_text_of(event->table.name));
    kt_json_close_object(writer);
    kt_json_name(writer, "data");
    kt_json_schema_table(writer, &event->table, KT_JSON_IN_ANSWER);
    kt_json_close_object(writer);
    kt_json_close_object(writer);
    kt_json_close_array(writer);
    kt_json_close_object(writer);
    kt_json_close_object(writer);
}

static const char envelope[] =
    "{\"type\":\"object\",\"required\":[\"seq\",\"skipped\",\"type\",\"channel\",\"epoch\",\"offset\",\"publish_time\","
    "\"kind\",\"data\"],\"properties\":{"
    "\"seq\":{\"type\":\"integer\",\"description\":\"of the message on its connection: 1, 2, 3 ...\"},"
    "\"skipped\":{\"type\":\"integer\",\"description\":\"events that this one stands for, because of conflation: offset "
    "= last + skipped + 1, and any other jump is loss\"},"
    "\"type\":{\"const\":\"event\"},\"channel\":{\"type\":\"string\"},"
    "\"epoch\":{\"type\":\"string\",\"description\":\"offsets are unique within it\"},"
    "\"offset\":{\"type\":\"integer\",\"description\":\"of the event in its channel: 1, 2, 3 ...\"},"
    "\"publish_time\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"kind\":{\"type\":\"string\"},\"data\":{\"type\":\"object\"}}}";

static void put_components(kt_json_writer *writer)
{
    kt_json_schema_rows rows = { .count = 0 };

    kt_json_name(writer, "components");
    kt_json_open_object(writer);
    kt_json_name(writer, "messages");
    kt_json_open_object(writer);
    for (uint32_t i = 0; i < kt_event_count; i++)
        put_message(writer, &kt_events[i]);
    kt_json_close_object(writer);
    kt_json_name(writer, "schemas");
    kt_json_open_object(writer);
    kt_json_name(writer, "envelope");
    kt_json_put_raw(writer, kt_text_of(envelope));
    for (uint32_t i = 0; i < kt_event_count; i++)
        kt_json_schema_put_rows(writer, &kt_events[i].table, &rows);
    kt_json_close_object(writer);
    kt_json_close_object(writer);
}

void kt_asyncapi_write(kt_json_writer *writer, kt_text host, bool tls)
{
    kt_json_open_object(writer);
    kt_json_member_text(writer, "asyncapi", KT_TEXT("3.0.0"));
    kt_json_name(writer, "info");
    kt_json_put_raw(writer,
        KT_TEXT("{\"title\":\"kontor\",\"version\":\"" KT_VERSION_TEXT "\",\"description\":\"Events of the house, "
                "heard over WebSocket with subprotocol kontor.v1.json: subscribe with {\\\"id\\\":1,\\\"op\\\":"
                "\\\"subscribe\\\",\\\"channel\\\":\\\"trades.binance.BTC/USDT\\\"}. How old a value may be before it "
                "counts as stale stands in x-stale.\",\"license\":{\"name\":\"Apache-2.0\"}}"));
    kt_json_name(writer, "servers");
    kt_json_open_object(writer);
    kt_json_name(writer, "house");
    kt_json_open_object(writer);
    kt_json_member_text(writer, "host", host);
    kt_json_member_text(writer, "pathname", KT_TEXT("/ws"));
    kt_json_member_text(writer, "protocol", tls ? KT_TEXT("wss") : KT_TEXT("ws"));
    kt_json_close_object(writer);
    kt_json_close_object(writer);
    kt_json_member_text(writer, "defaultContentType", KT_TEXT("application/json"));
    put_channels(writer);
    put_operations(writer);
    put_components(writer);
    kt_json_close_object(writer);
}
