#include "schema/config_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct kt_config_block {
    kt_config_block *next;
    max_align_t bytes[];
};

void *kt_config_take(kt_config *config, size_t size)
{
    kt_config_block *block = calloc(1, sizeof *block + size);

    if (block == NULL)
        return NULL;
    block->next = config->private->blocks;
    config->private->blocks = block;
    return block->bytes;
}

const char *kt_config_copy(kt_config *config, kt_text text)
{
    char *copy = kt_config_take(config, text.n + 1);

    if (copy != NULL && text.n > 0)
        memcpy(copy, text.s, text.n);
    return copy;
}

const char *kt_config_printf(kt_config *config, const char *fmt, ...)
{
    char text[KT_CONFIG_VALUE_MAX + 64];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return kt_config_copy(config, kt_text_of(text));
}

kt_code kt_config_no_memory(kt_err *err)
{
    errno = ENOMEM;
    return kt_fail(err, KT_SYS, "configuration");
}

static kt_code config_new(kt_config **out_config, kt_err *err)
{
    kt_config *config = calloc(1, sizeof *config);
    kt_config_private *private = calloc(1, sizeof *private);

    if (config == NULL || private == NULL) {
        free(config);
        free(private);
        return kt_config_no_memory(err);
    }
    config->private = private;
    *out_config = config;
    return KT_OK;
}

void kt_config_blocks_free(kt_config_block *blocks)
{
    while (blocks != NULL) {
        kt_config_block *next = blocks->next;

        free(blocks);
        blocks = next;
    }
}

void kt_config_free(kt_config *config)
{
    if (config == NULL)
        return;
    for (uint32_t i = 0; i < KT_CONFIG_KEY_COUNT; i++) {
        free(config->private->settings[i].text);
        kt_config_blocks_free(config->private->settings[i].blocks);
    }
    kt_config_blocks_free(config->private->blocks);
    free(config->private);
    free(config);
}

kt_code kt_config_load(int argc, char *const *argv, char *const *env, kt_config **out_config, kt_err *err)
{
    kt_config *config = NULL;
    const char *file = kt_config_variable(env, "KONTOR_CONFIG");
    kt_code code = config_new(&config, err);

    if (code != KT_OK)
        return code;
    code = kt_config_read_flags(config, argc, argv, false, &file, err);
    if (code == KT_OK)
        code = kt_config_set_defaults(config, err);
    if (code == KT_OK && file != NULL) {
        config->file = kt_config_copy(config, kt_text_of(file));
        code = config->file == NULL ? kt_config_no_memory(err) : kt_config_read_file(config, config->file, err);
    }
    if (code == KT_OK)
        code = kt_config_read_environment(config, env, err);
    if (code == KT_OK)
        code = kt_config_read_flags(config, argc, argv, true, &file, err);
    if (code == KT_OK)
        code = kt_config_finish(config, err);
    if (code == KT_OK) {
        *out_config = config;
        config = NULL;
    }
    kt_config_free(config);
    return code;
}

kt_code kt_config_parse(const char *name, const char *yaml, size_t size, kt_config **out_config, kt_err *err)
{
    kt_config *config = NULL;
    kt_code code = config_new(&config, err);

    if (code != KT_OK)
        return code;
    code = kt_config_set_defaults(config, err);
    if (code == KT_OK && size > KT_CONFIG_FILE_MAX)
        code = kt_fail(err, KT_LIMIT, "configuration '%s' is larger than %d bytes", name, KT_CONFIG_FILE_MAX);
    if (code == KT_OK)
        code = kt_config_read_yaml(config, name, yaml, size, err);
    if (code == KT_OK)
        code = kt_config_finish(config, err);
    if (code == KT_OK) {
        *out_config = config;
        config = NULL;
    }
    kt_config_free(config);
    return code;
}

kt_config_from kt_config_origin(const kt_config *config, const char *key)
{
    uint32_t index = kt_config_name_index(kt_text_of(key));

    kt_assert(index < KT_CONFIG_KEY_COUNT);
    return config->private->origins[index].from;
}

const kt_config_venue *kt_config_venue_of(const kt_config *config, kt_text name)
{
    for (uint32_t i = 0; i < config->venue_count; i++)
        if (kt_text_equal(name, kt_text_of(config->venues[i].name)))
            return &config->venues[i];
    return NULL;
}

kt_code kt_config_ticker_of(const kt_config *config, kt_text ticker, kt_text *out_venue, kt_text *out_symbol)
{
    for (uint32_t i = 0; i < config->ticker_count; i++) {
        if (kt_text_equal(ticker, kt_text_of(config->tickers[i].ticker))) {
            *out_venue = kt_text_of(config->tickers[i].venue);
            *out_symbol = kt_text_of(config->tickers[i].symbol);
            return KT_OK;
        }
    }
    for (uint32_t i = 0; i < config->venue_count; i++) {
        const kt_config_venue *venue = &config->venues[i];
        bool takes = venue->symbols.count == 0;

        for (uint32_t j = 0; !takes && j < venue->symbols.count; j++)
            takes = kt_text_equal(ticker, kt_text_of(venue->symbols.at[j]));
        if (takes) {
            *out_venue = kt_text_of(venue->name);
            *out_symbol = ticker;
            return KT_OK;
        }
    }
    return KT_NOENT;
}
