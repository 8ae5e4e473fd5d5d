#include "schema/channels.h"

#include "base/assert.h"
#include "base/text.h"

#define STALE(first_, rule_, limit_ms_) { .first = first_, .rule = rule_, .limit_ms = limit_ms_ },
const kt_stale kt_stales[] = { KT_STALE_MAP(STALE) };
const uint32_t kt_stale_count = KT_COUNT(kt_stales);

#define RULE_NAME(NAME, name, text) [NAME] = name,
#define RULE_TEXT(NAME, name, text) [NAME] = text,

const char *kt_stale_rule_name(kt_stale_rule rule)
{
    static const char *const names[KT_STALE_RULE_COUNT] = { KT_STALE_RULE_MAP(RULE_NAME) };

    kt_assert(rule < KT_STALE_RULE_COUNT);
    return names[rule];
}

const char *kt_stale_rule_text(kt_stale_rule rule)
{
    static const char *const texts[KT_STALE_RULE_COUNT] = { KT_STALE_RULE_MAP(RULE_TEXT) };

    kt_assert(rule < KT_STALE_RULE_COUNT);
    return texts[rule];
}

#define FLUSH(name, skips_, text) [KT_FLUSH_##name] = { KT_TEXT(#name), skips_ },
static const struct {
    kt_text first; /* token of the subject */
    bool skips;
} flushes[KT_FLUSH_COUNT] = { KT_FLUSH_MAP(FLUSH)[KT_FLUSH_NONE] = { .skips = true } };

kt_flush_class kt_flush_class_of(kt_text subject)
{
    kt_flush_class flush = 0;

    while (flush < KT_FLUSH_NONE && !kt_text_equal(kt_subject_part(subject, 0), flushes[flush].first))
        flush++;
    return flush;
}

bool kt_flush_skips(kt_flush_class flush)
{
    kt_assert(flush < KT_FLUSH_COUNT);
    return flushes[flush].skips;
}

const kt_stale *kt_stale_of(kt_text subject)
{
    for (uint32_t i = 0; i < kt_stale_count; i++)
        if (kt_text_equal(kt_subject_part(subject, 0), kt_text_of(kt_stales[i].first)))
            return &kt_stales[i];
    return NULL;
}
