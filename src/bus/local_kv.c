#include "bus/local.h"

#include "base/text.h"
#include "schema/events.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY_PREFIX "kv."

static kt_local_key *key_of(kt_local_keys *keys, kt_text name)
{
    for (uint32_t i = 0; i < keys->count; i++)
        if (kt_text_equal(kt_text_of(keys->items[i].name), name))
            return &keys->items[i];
    return NULL;
}

static kt_code key_set(kt_local_keys *keys, const kt_ev_kv *kv)
{
    kt_local_key *key = key_of(keys, kv->key);
    char *value = malloc(kv->value.n + 1);

    if (value == NULL)
        return KT_SYS;
    if (key == NULL) {
        if (keys->items == NULL)
            keys->items = calloc(KT_BUS_KEY_MAX, sizeof *keys->items);
        char *name = keys->items != NULL && keys->count < KT_BUS_KEY_MAX ? strndup(kv->key.s, kv->key.n) : NULL;
        if (name == NULL) {
            free(value);
            return keys->items == NULL ? KT_SYS : KT_FULL;
        }
        key = &keys->items[keys->count++];
        key->name = name;
    }
    free(key->value);
    key->value = value;
    key->size = kv->value.n;
    if (kv->value.n > 0)
        memcpy(value, kv->value.s, kv->value.n);
    value[kv->value.n] = 0;
    key->revision = kv->revision;
    key->removed = kv->removed;
    return KT_OK;
}

/* Take the last record of every key that the log still has. */
static void load(kt_local *bus, const char *log, kt_local_keys *keys, uint64_t *out_end)
{
    char dir[KT_LOCAL_DIR_SIZE];
    kt_reader *live = NULL, *reader = NULL;
    const kt_rec *rec;

    snprintf(dir, sizeof dir, "%s/%s", bus->options.local.data_dir, log);
    if (kt_reader_open(dir, bus->options.local.boot_id, &live, NULL) == KT_OK &&
        kt_reader_seek_end(live, NULL) == KT_OK &&
        kt_reader_open(dir, bus->options.local.boot_id, &reader, NULL) == KT_OK) {
        for (uint32_t id = 0; id < kt_reader_subject_count(live); id++) {
            kt_text subject = kt_reader_subject(live, id);
            kt_ev_kv kv;
            if (!kt_text_starts(subject, KT_TEXT(KEY_PREFIX)) || kt_local_last(live, reader, subject, &rec) != KT_OK)
                continue;
            if (rec->kind == KT_EV_KV &&
                kt_event_decode(KT_EV_KV, kt_rec_payload(rec), kt_rec_payload_size(rec), &kv) == KT_OK)
                key_set(keys, &kv);
        }
        *out_end = kt_reader_position(live);
    }
    kt_reader_close(live);
    kt_reader_close(reader);
}

static void load_own(kt_local *bus)
{
    uint64_t end;

    if (!bus->keys.loaded)
        load(bus, bus->log_name, &bus->keys, &end);
    bus->keys.loaded = true;
}

kt_code kt_local_put(kt_bus *base, kt_text key, kt_text value, uint64_t expected, uint64_t *out_revision, kt_err *err)
{
    kt_local *bus = (kt_local *)base;
    char subject[KT_SUBJECT_MAX + 1];
    uint8_t payload[4096], *bytes = payload;
    uint32_t size = 0, room = sizeof payload;
    kt_builder builder;
    kt_ev_kv kv;
    kt_code code = kt_subject_check(key, err);

    if (code == KT_OK && key.n > KT_BUS_KEY_SIZE)
        code = kt_fail(err, KT_LIMIT, "key '%.40s...' is longer than %d bytes", key.s, KT_BUS_KEY_SIZE);
    if (code != KT_OK)
        return code;
    load_own(bus);
    kt_local_key *known = key_of(&bus->keys, key);
    uint64_t revision = known != NULL ? known->revision : 0;
    if (expected != UINT64_MAX && expected != (known != NULL && !known->removed ? revision : 0))
        return kt_fail(err, KT_SEQ, "key '%.*s' stands at revision %llu, %llu was expected", KT_TEXT_ARG(key),
            (unsigned long long)revision, (unsigned long long)expected);
    if (known == NULL && bus->keys.count == KT_BUS_KEY_MAX)
        return kt_fail(err, KT_FULL, "log '%s' has %d keys already", bus->log_name, KT_BUS_KEY_MAX);
    kt_builder_init(&builder, subject, sizeof subject);
    kt_builder_str(&builder, KEY_PREFIX);
    kt_builder_text(&builder, key);
    kt_event_init(KT_EV_KV, &kv);
    kv.key = key;
    kv.value = value;
    kv.revision = revision + 1;
    kv.removed = value.n == 0;
    if (value.n + 1024 > room) {
        room = (uint32_t)value.n + 1024;
        bytes = value.n <= KT_TEXT_FIELD_MAX ? malloc(room) : NULL;
        if (bytes == NULL)
            return kt_fail(err, KT_LIMIT, "the value of key '%.*s' has %zu bytes; at most %d are allowed",
                KT_TEXT_ARG(key), value.n, KT_TEXT_FIELD_MAX);
    }
    code = kt_event_encode(KT_EV_KV, &kv, bytes, room, &size);
    if (code == KT_OK)
        code = kt_local_append(bus, KT_EV_KV, kt_builder_done(&builder), 0, bytes, size, NULL, err);
    if (code == KT_OK)
        code = key_set(&bus->keys, &kv);
    if (bytes != payload)
        free(bytes);
    if (code == KT_OK && out_revision != NULL)
        *out_revision = kv.revision;
    return code;
}

kt_code kt_local_get(kt_bus *base, kt_text key, kt_text *out_value, uint64_t *out_revision)
{
    kt_local *bus = (kt_local *)base;

    load_own(bus);
    kt_local_key *known = key_of(&bus->keys, key);
    if (known == NULL || known->removed)
        return KT_NOENT;
    *out_value = (kt_text){ known->value, known->size };
    if (out_revision != NULL)
        *out_revision = known->revision;
    return KT_OK;
}

static void on_kv(void *ctx, kt_bus_reader *reader, const kt_bus_message *message)
{
    const kt_local_watch *watch = ctx;
    kt_ev_kv kv;

    if (message->rec->kind == KT_EV_KV && kt_event_decode(KT_EV_KV, message->payload, message->size, &kv) == KT_OK)
        watch->on_change(watch->ctx, kv.key, kv.removed ? (kt_text){ NULL, 0 } : kv.value, kv.revision);
}

kt_code kt_local_watch_keys(
    kt_bus *base, const char *log, kt_text pattern, kt_bus_change on_change, void *ctx, kt_err *err)
{
    kt_local *bus = (kt_local *)base;
    kt_local_keys keys = { 0 };
    uint64_t end = 1;

    if (bus->watch_count == KT_BUS_WATCH_MAX || pattern.n + 80 >= KT_LOCAL_PATTERN_SIZE)
        return kt_fail(err, KT_LIMIT, "a bus has at most %d watches, with patterns of at most %d bytes",
            KT_BUS_WATCH_MAX, KT_LOCAL_PATTERN_SIZE - 81);
    kt_local_watch *watch = &bus->watches[bus->watch_count];
    *watch = (kt_local_watch){ .on_change = on_change, .ctx = ctx };
    log = log != NULL ? log : bus->log_name;
    snprintf(watch->pattern, sizeof watch->pattern, "%.31s:" KEY_PREFIX "%.*s", log, KT_TEXT_ARG(pattern));
    load(bus, log, &keys, &end);

    const char *patterns[] = { watch->pattern };
    kt_bus_read_spec spec = {
        .patterns = patterns, .pattern_count = 1, .from = KT_BUS_FROM_SEQ, .seq = end, .on_message = on_kv, .ctx = watch
    };
    kt_code code = base->driver->read(base, &spec, &watch->reader, err);
    if (code == KT_OK) {
        bus->watch_count++;
        for (uint32_t i = 0; i < keys.count; i++)
            if (!keys.items[i].removed && kt_subject_match(pattern, kt_text_of(keys.items[i].name)))
                on_change(ctx, kt_text_of(keys.items[i].name), (kt_text){ keys.items[i].value, keys.items[i].size },
                    keys.items[i].revision);
    }
    for (uint32_t i = 0; i < keys.count; i++) {
        free(keys.items[i].name);
        free(keys.items[i].value);
    }
    free(keys.items);
    return code;
}

void kt_local_keys_close(kt_local *bus)
{
    for (uint32_t i = 0; i < bus->keys.count; i++) {
        free(bus->keys.items[i].name);
        free(bus->keys.items[i].value);
    }
    free(bus->keys.items);
}
