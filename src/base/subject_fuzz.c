/* Any bytes become one token and come back; a checked subject matches itself, ">" and the pattern of as many "*". */
#include "base/assert.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAW_MAX = 1024 };

static void token_comes_back(kt_text raw)
{
    char token[3 * RAW_MAX + 1], back[RAW_MAX + 1];
    kt_builder encoded, decoded;

    kt_builder_init(&encoded, token, sizeof token);
    kt_builder_init(&decoded, back, sizeof back);
    kt_assert(kt_subject_token(&encoded, raw) == (raw.n == 0 ? KT_ARG : KT_OK));
    if (raw.n == 0)
        return;
    kt_code code = kt_subject_check(kt_builder_done(&encoded), NULL);
    kt_assert(code == (encoded.n <= KT_SUBJECT_MAX ? KT_OK : KT_LIMIT));
    kt_assert(kt_subject_token_decode(kt_builder_done(&encoded), &decoded) == KT_OK);
    kt_assert(kt_text_equal(kt_builder_done(&decoded), raw));
}

static void subject_matches(kt_text subject)
{
    char stars[2 * KT_SUBJECT_MAX + 4];
    kt_builder pattern;
    kt_text rest = subject, token;

    kt_builder_init(&pattern, stars, sizeof stars);
    while (kt_text_cut(&rest, '.', &token))
        kt_builder_str(&pattern, pattern.n == 0 ? "*" : ".*");
    kt_assert(kt_subject_match(subject, subject));
    kt_assert(kt_subject_match(KT_TEXT(">"), subject));
    kt_assert(kt_subject_match(kt_builder_done(&pattern), subject));
    kt_builder_str(&pattern, ".*");
    kt_assert(!kt_subject_match(kt_builder_done(&pattern), subject));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_text text = { (const char *)data, size };
    const char *bar = size != 0 ? memchr(data, '|', size) : NULL;
    kt_err err;

    if (size > RAW_MAX)
        return 0;
    token_comes_back(text);
    if (kt_subject_check(text, &err) == KT_OK) {
        kt_assert(kt_pattern_check(text, NULL) == KT_OK);
        subject_matches(text);
    }
    if (bar != NULL) /* "pattern|subject": any answer, but in bounds */
        kt_subject_match(
            (kt_text){ text.s, (size_t)(bar - text.s) }, (kt_text){ bar + 1, size - 1 - (size_t)(bar - text.s) });
    return 0;
}
