#include "service/settings.h"

#include "base/text.h"
#include "schema/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTION_MAX = 16, SUBJECT_SIZE = 16 + KT_CONFIG_SECTION_MAX };

typedef struct settings {
    kt_config *config;
    const char *lane;
    uint64_t revisions[SECTION_MAX]; /* by kt_config_section_at() */
} settings;

static const char *const settings_subjects[] = { "kv." KT_CONFIG_SETTINGS_KEY "*", NULL };

/* The configuration of a lane is part of its state, and this service is the one that owns it. */
static kt_code settings_start(kt_env *env, const kt_config *config, void **out_state, kt_err *err)
{
    settings *s = calloc(1, sizeof *s);

    if (s == NULL)
        return kt_fail(err, KT_SYS, "no memory for service settings");
    s->config = (kt_config *)config;
    s->lane = kt_env_lane(env);
    kt_config_settings_clear(s->config);
    *out_state = s;
    return KT_OK;
}

static void settings_stop(void *state)
{
    free(state);
}

static uint64_t *revision_of(settings *s, kt_text section)
{
    for (uint32_t i = 0; i < SECTION_MAX && kt_config_section_at(i) != NULL; i++)
        if (kt_text_equal(section, kt_text_of(kt_config_section_at(i))))
            return &s->revisions[i];
    return NULL;
}

static bool is_ours(const settings *s, kt_text section)
{
    const char *lane = kt_config_section_lane(section);

    return lane != NULL && strcmp(lane, s->lane) == 0;
}

static void settings_event(void *state, kt_env *env, const kt_event *event)
{
    settings *s = state;
    char subject[SUBJECT_SIZE + KT_BOARD_NAME_SIZE];
    char json[KT_CONFIG_SETTINGS_MAX];
    kt_err err = { 0 };
    kt_ev_kv kv;
    kt_ev_settings said;
    kt_text section;

    if (event->rec->kind != KT_EV_KV || (event->rec->flags & KT_REC_INPUT) == 0 ||
        kt_event_decode(KT_EV_KV, event->payload, event->size, &kv) != KT_OK)
        return;
    section = kt_subject_part(event->subject, 3);
    if (!is_ours(s, section))
        return; /* nobody in this lane would follow it */
    if (kt_config_settings(s->config, section, kv.removed ? (kt_text){ NULL, 0 } : kv.value, &err) == KT_OK)
        *revision_of(s, section) = kv.revision;
    kt_event_init(KT_EV_SETTINGS, &said);
    said.section = section;
    said.lane = kt_text_of(s->lane);
    said.revision = kv.revision;
    said.refused = kt_text_of(err.msg);
    kt_config_settings_text(s->config, section, json, sizeof json, &said.settings);
    snprintf(subject, sizeof subject, "settings.%.*s", KT_TEXT_ARG(section));
    kt_env_emit(env, KT_EV_SETTINGS, kt_text_of(subject), &said);
}

static kt_code settings_snapshot(const void *state, kt_writer *writer)
{
    const settings *s = state;
    char json[KT_CONFIG_SETTINGS_MAX];
    kt_text section, text;

    for (uint32_t i = 0; kt_config_section_at(i) != NULL; i++) {
        section = kt_text_of(kt_config_section_at(i));
        if (!is_ours(s, section))
            continue;
        kt_code code = kt_config_settings_text(s->config, section, json, sizeof json, &text);
        if (code != KT_OK)
            return code;
        kt_writer_text(writer, section);
        kt_writer_u64(writer, s->revisions[i]);
        kt_writer_text(writer, text);
    }
    return writer->code;
}

/* What this program does not take any more is left out: another program made it. */
static kt_code settings_restore(void *state, uint16_t version, kt_text bytes, kt_err *err)
{
    settings *s = state;
    kt_taker taker;

    kt_taker_init(&taker, bytes.s, bytes.n);
    while (taker.code == KT_OK && taker.left > 0) {
        kt_text section = kt_taker_text(&taker);
        uint64_t revision = kt_taker_u64(&taker);
        kt_text text = kt_taker_text(&taker);

        if (taker.code == KT_OK && is_ours(s, section) && kt_config_settings(s->config, section, text, NULL) == KT_OK)
            *revision_of(s, section) = revision;
    }
    return taker.code == KT_OK ? KT_OK : kt_fail(err, KT_CORRUPT, "snapshot of service settings does not read");
}

const kt_service_spec kt_settings_service = {
    .name = "settings",
    .version = 1,
    .subjects = settings_subjects,
    .start = settings_start,
    .on_event = settings_event,
    .snapshot = settings_snapshot,
    .restore = settings_restore,
    .stop = settings_stop,
};
