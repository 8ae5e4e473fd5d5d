/* A section's name, a newline, and changes of its settings. What is accepted stands, is written in a form that is
 * accepted again and stays the same, and is gone when settings are cleared; what is refused says why and changes
 * nothing. */
#include "base/assert.h"
#include "base/text.h"
#include "schema/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] = "vwap: {step_s: 90}\nfixed: [edge.silence_ms]\n";

static kt_text text_of(const kt_config *config, char *buf)
{
    size_t n = 0;

    kt_assert(kt_config_text(config, buf, KT_CONFIG_TEXT_MAX, &n) == KT_OK);
    return (kt_text){ buf, n };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char before[KT_CONFIG_TEXT_MAX];
    static char after[KT_CONFIG_TEXT_MAX];
    char merged[KT_CONFIG_SETTINGS_MAX];
    char again[KT_CONFIG_SETTINGS_MAX];
    kt_text rest = { (const char *)data, size };
    kt_config *config = NULL;
    kt_err err = { 0 };
    kt_text section, json, stands;

    if (!kt_text_cut(&rest, '\n', &section))
        return 0;
    kt_assert(kt_config_parse("fuzz", yaml, sizeof yaml - 1, &config, NULL) == KT_OK);
    kt_text loaded = text_of(config, before);
    kt_code code = kt_config_settings_merge(config, section, rest, merged, &json, &err);
    kt_assert(kt_text_equal(loaded, text_of(config, after)));
    if (code != KT_OK) {
        kt_assert(err.msg[0] != '\0');
    } else {
        kt_assert(kt_config_settings(config, section, json, NULL) == KT_OK);
        kt_assert(kt_config_settings_text(config, section, again, sizeof again, &stands) == KT_OK);
        kt_assert(kt_text_equal(json, stands));
        kt_config_settings_clear(config);
        kt_assert(kt_text_equal(loaded, text_of(config, after)));
    }
    kt_config_free(config);
    return 0;
}
