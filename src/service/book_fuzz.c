/* Property: whatever the bytes of a snapshot, restoring answers; and what it took gives the same bytes again and again:
 * restore(save(x)) is x. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "schema/config.h"
#include "service/book.h"
#include "service/fake_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config_text[] =
    "venues:\n"
    "  - {name: gen, format: generic, ws_url: 'ws://127.0.0.1:1/stream', rest_url: 'http://127.0.0.1:1/trades'}\n"
    "  - {name: bin, format: binance, ws_url: 'ws://127.0.0.1:1', rest_url: 'http://127.0.0.1:1', symbols: [BTC], books: true}\n";

/* Restore a service of its own from the bytes, and save it again. The code is that of restoring. */
static kt_code through(const kt_config *config, kt_text bytes, kt_writer *out_writer)
{
    kt_env env = { 0 };
    void *state;
    kt_code code;

    kt_writer_init(out_writer);
    kt_assert(kt_book_service.start(&env, config, &state, NULL) == KT_OK);
    code = kt_book_service.restore(state, kt_book_service.version, bytes, NULL);
    if (code == KT_OK)
        kt_assert(kt_book_service.snapshot(state, out_writer) == KT_OK);
    kt_book_service.stop(state);
    fake_done(&env);
    return code;
}

static kt_text text_of(const kt_writer *writer)
{
    return (kt_text){ (const char *)writer->bytes, writer->size };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_config *config;
    kt_writer first, second;
    kt_code code;

    kt_assert(kt_config_parse("fuzz", config_text, sizeof config_text - 1, &config, NULL) == KT_OK);
    code = through(config, (kt_text){ (const char *)data, size }, &first);
    if (code == KT_OK) {
        kt_assert(through(config, text_of(&first), &second) == KT_OK);
        kt_assert(kt_text_equal(text_of(&first), text_of(&second)));
        kt_writer_done(&second);
    } else {
        kt_assert(code == KT_CORRUPT || code == KT_SYS);
    }
    kt_writer_done(&first);
    kt_config_free(config);
    return 0;
}
