/* Any text as a YAML file: what is accepted has a canonical form, which is read back to the same canonical form. */
#include "base/assert.h"
#include "schema/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[KT_CONFIG_TEXT_MAX];
    static char again[KT_CONFIG_TEXT_MAX];
    kt_config *config = NULL;
    kt_config *back = NULL;
    size_t n;
    size_t n_again;
    kt_err err = { 0 };

    if (kt_config_parse("fuzz", (const char *)data, size, &config, &err) != KT_OK) {
        kt_assert(err.msg[0] != '\0');
        return 0;
    }
    if (kt_config_text(config, text, sizeof text, &n) == KT_OK) {
        kt_assert(kt_config_parse("canonical", text, n, &back, NULL) == KT_OK);
        kt_assert(kt_config_text(back, again, sizeof again, &n_again) == KT_OK);
        kt_assert(n == n_again);
        kt_assert(memcmp(text, again, n) == 0);
    }
    kt_config_free(config);
    kt_config_free(back);
    return 0;
}
