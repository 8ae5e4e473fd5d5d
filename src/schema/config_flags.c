#include "schema/config_parts.h"

#include <string.h>

#include "base/assert.h"

/* ---- environment ---- */

/* edge.port -> KONTOR_EDGE_PORT */
static void variable_name(const char *key, char *buf, size_t size)
{
    int n = snprintf(buf, size, "KONTOR_%s", key);

    kt_assert(n > 0 && (size_t)n < size);
    for (char *c = buf; *c != '\0'; c++)
        *c = *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
}

const char *kt_config_variable(char *const *env, const char *name)
{
    size_t n = strlen(name);

    for (uint32_t i = 0; env != NULL && env[i] != NULL; i++)
        if (strncmp(env[i], name, n) == 0 && env[i][n] == '=' && env[i][n + 1] != '\0')
            return env[i] + n + 1;
    return NULL;
}

/* Other variables named KONTOR_ are not an error: orchestrators make some of their own for each service. */
kt_code kt_config_read_environment(kt_config *config, char *const *env, kt_err *err)
{
    kt_code code = KT_OK;

    for (uint32_t i = 0; code == KT_OK && i < KT_CONFIG_KEY_COUNT; i++) {
        char own[64];
        const char *name = own;
        const char *value;
        const char *where;

        variable_name(kt_config_keys[i].value.name, own, sizeof own);
        value = kt_config_variable(env, own);
        if (value == NULL && kt_config_keys[i].variable[0] != '\0') {
            name = kt_config_keys[i].variable;
            value = kt_config_variable(env, name);
        }
        if (value == NULL)
            continue;
        where = kt_config_printf(config, "environment %s", name);
        code = where == NULL ? kt_config_no_memory(err)
                             : kt_config_set_key(config, i, kt_text_of(value), KT_FROM_ENVIRONMENT, where, err);
    }
    return code;
}

/* ---- flags ---- */

typedef struct flag_words {
    int argc;
    char *const *argv;
    int next;
    bool only_words; /* behind "--" */
} flag_words;

typedef struct one_flag {
    kt_text name;      /* without dashes; empty: a word that is no flag */
    const char *word;  /* as it stands */
    const char *value; /* behind "=", or NULL */
} one_flag;

static bool next_flag(flag_words *flags, one_flag *out_flag)
{
    const char *word;
    const char *equals;

    if (flags->next < flags->argc && !flags->only_words && strcmp(flags->argv[flags->next], "--") == 0) {
        flags->only_words = true;
        flags->next++;
    }
    if (flags->next >= flags->argc)
        return false;
    word = flags->argv[flags->next++];
    *out_flag = (one_flag){ .word = word };
    if (flags->only_words || word[0] != '-' || word[1] == '\0')
        return true;
    out_flag->name = kt_text_of(word[1] == '-' ? word + 2 : word + 1);
    equals = strchr(out_flag->name.s, '=');
    if (equals != NULL) {
        out_flag->value = equals + 1;
        out_flag->name.n = (size_t)(equals - out_flag->name.s);
    }
    return true;
}

static bool flag_is(const one_flag *flag, const char *name, const char *letter)
{
    bool is_long = flag->word[1] == '-';

    return is_long ? kt_text_equal(flag->name, kt_text_of(name))
                   : letter[0] != '\0' && kt_text_equal(flag->name, kt_text_of(letter));
}

/* The value of a flag: behind "=", or the next word. A switch may stand alone and then means true. */
static const char *flag_value(flag_words *flags, const one_flag *flag, bool is_switch)
{
    const char *next = flags->next < flags->argc ? flags->argv[flags->next] : NULL;

    if (flag->value != NULL)
        return flag->value;
    if (is_switch && (next == NULL || (strcmp(next, "true") != 0 && strcmp(next, "false") != 0)))
        return "true";
    if (next != NULL)
        flags->next++;
    return next;
}

static uint32_t flag_key(const one_flag *flag)
{
    uint32_t index = 0;

    while (index < KT_CONFIG_KEY_COUNT && !flag_is(flag, kt_config_keys[index].value.name, kt_config_keys[index].flag))
        index++;
    return index;
}

static kt_code unknown_flag(const one_flag *flag, kt_err *err)
{
    uint32_t index = kt_config_name_index(flag->name);
    char where[80];

    snprintf(where, sizeof where, "flag %.40s", flag->word);
    if (index != KT_CONFIG_NAME_COUNT)
        return kt_fail(err, KT_ARG, "%s: a list of objects can only be given in the YAML file", where);
    kt_config_unknown_key(flag->name, where, err);
    if (err != NULL)
        err->code = KT_ARG;
    return KT_ARG;
}

kt_code kt_config_read_flags(
    kt_config *config, int argc, char *const *argv, bool apply, const char **out_file, kt_err *err)
{
    flag_words flags = { .argc = argc, .argv = argv };
    bool seen[KT_CONFIG_KEY_COUNT] = { false };
    bool file_seen = false;
    one_flag flag;

    while (next_flag(&flags, &flag)) {
        uint32_t index;
        const char *value;
        const char *where;
        kt_code code;

        if (flag.name.s == NULL) {
            if (apply && config->rest_count == KT_CONFIG_REST_MAX)
                return kt_fail(err, KT_ARG, "'%.40s': more than %d words", flag.word, KT_CONFIG_REST_MAX);
            if (apply)
                config->rest[config->rest_count++] = flag.word;
            continue;
        }
        if (flag_is(&flag, "help", "h") && flag.value == NULL) {
            config->help = true;
            continue;
        }
        if (flag_is(&flag, "config", "c")) {
            *out_file = flag_value(&flags, &flag, false);
            if (*out_file == NULL || file_seen)
                return kt_fail(err, KT_ARG, "flag %.40s: %s", flag.word,
                    file_seen ? "is given twice; once is allowed" : "needs the name of a YAML file");
            file_seen = true;
            continue;
        }
        index = flag_key(&flag);
        if (index == KT_CONFIG_KEY_COUNT)
            return unknown_flag(&flag, err);
        where = kt_config_printf(config, "flag %s%s", flag.word[1] == '-' ? "--" : "-",
            flag.word[1] == '-' ? kt_config_keys[index].value.name : kt_config_keys[index].flag);
        if (where == NULL)
            return kt_config_no_memory(err);
        if (seen[index])
            return kt_config_refuse(err, KT_ARG, where, &kt_config_keys[index].value, "is given twice");
        seen[index] = true;
        value = flag_value(&flags, &flag, kt_config_keys[index].value.type == KT_VALUE_BOOL);
        if (value == NULL)
            return kt_config_refuse(err, KT_ARG, where, &kt_config_keys[index].value, "has no value");
        code = apply ? kt_config_set_key(config, index, kt_text_of(value), KT_FROM_FLAG, where, err) : KT_OK;
        if (code != KT_OK)
            return code;
    }
    return KT_OK;
}
