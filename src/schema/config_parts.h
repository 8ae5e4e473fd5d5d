/* schema/config_parts.h - the inside of the configuration, shared by config.c (life), config_table.c (what there is),
 * config_value.c (one value), config_yaml.c, config_flags.c (with the environment), config_check.c (what holds between
 * values), config_text.c (out) and config_settings.c (changed while the house runs). Nobody else includes it.
 *
 * where   in messages: the place a value comes from, "kontor.yaml:3", "environment PORT", "flag --edge.port", "default".
 * index   of a name: the key's in kt_config_keys, or KT_CONFIG_KEY_COUNT and the list's in kt_config_lists.
 */
#ifndef KT_SCHEMA_CONFIG_PARTS_H
#define KT_SCHEMA_CONFIG_PARTS_H

#include "base/text.h"
#include "schema/config.h"

#include <stddef.h>

/* config_table.c: what there is ---------------------------------------------------------------------------------- */

typedef enum kt_value_type {
    KT_VALUE_TEXT,
    KT_VALUE_U8,
    KT_VALUE_U32,
    KT_VALUE_U64,
    KT_VALUE_BOOL,
    KT_VALUE_WORDS,
    KT_VALUE_WINDOWS,
    KT_VALUE_FORMAT,
    KT_VALUE_MEMBERS
} kt_value_type;

/* A value somewhere in a struct: a key of the configuration, or a part of a venue, composite, member or ticker. */
typedef struct kt_value_spec {
    const char *name;
    const char *fallback; /* NULL: must be given */
    const char *text;
    uint64_t min;
    uint64_t max;
    size_t at;
    kt_value_type type;
} kt_value_spec;

typedef struct kt_key_spec {
    kt_value_spec value; /* at: in kt_config */
    const char *flag;
    const char *variable;
    const char *stays;
} kt_key_spec;

/* Lists of objects, which only YAML can say. */
typedef struct kt_list_spec {
    const char *name;
    const char *text;
    const kt_value_spec *parts;
    uint32_t part_count;
    uint32_t size; /* of one object */
    uint32_t max;
    size_t at;       /* in kt_config: pointer to the first object */
    size_t count_at; /* in kt_config: uint32_t */
} kt_list_spec;

#define KT_CONFIG_ONE(...) +1
enum {
    KT_CONFIG_KEY_COUNT = KT_CONFIG_MAP(KT_CONFIG_ONE),
    KT_CONFIG_LIST_COUNT = 3,
    KT_CONFIG_NAME_COUNT = KT_CONFIG_KEY_COUNT + KT_CONFIG_LIST_COUNT,
    KT_CONFIG_VENUE_PART_COUNT = 13,
    KT_CONFIG_MEMBER_PART_COUNT = 2,
};
#undef KT_CONFIG_ONE

extern const kt_key_spec kt_config_keys[KT_CONFIG_KEY_COUNT];
extern const kt_list_spec kt_config_lists[KT_CONFIG_LIST_COUNT];
extern const kt_value_spec kt_config_venue_parts[KT_CONFIG_VENUE_PART_COUNT];
extern const kt_value_spec kt_config_member_parts[KT_CONFIG_MEMBER_PART_COUNT];
#define KT_CONFIG_FORMATS_TEXT "generic, binance, kraken_v1 or kraken_v2"

const char *kt_config_name_of(uint32_t index);
uint32_t kt_config_name_index(kt_text name); /* KT_CONFIG_NAME_COUNT: none */
bool kt_config_is_section(kt_text name);     /* is there a key "name.something"? */

kt_text kt_config_section_of(const char *name); /* "edge" of "edge.port"; empty: of none */

/* Fail with KT_NOENT, and name the nearest key, or the parts there are. */
kt_code kt_config_unknown_key(kt_text name, const char *where, kt_err *err);
kt_code kt_config_unknown_part(
    kt_text name, const kt_value_spec *parts, uint32_t count, const char *list, const char *where, kt_err *err);

/* config.c: memory and origins ------------------------------------------------------------------------------------ */

typedef struct kt_config_block kt_config_block;

typedef struct kt_config_origin_of {
    kt_config_from from;
    const char *where;
} kt_config_origin_of;

/* A key that was changed while the house ran. */
typedef struct kt_config_setting {
    char *text;              /* as a flag would give it; NULL: no setting */
    kt_config_block *blocks; /* of the value made from it */
} kt_config_setting;

typedef union kt_config_value {
    const char *text;
    uint32_t u32;
    uint64_t u64;
    bool yes;
    kt_words words;
} kt_config_value;

typedef struct kt_config_private {
    kt_config_block *blocks;
    uint32_t listed_venue_count; /* without those that keys of their own make */
    kt_config_origin_of origins[KT_CONFIG_KEY_COUNT];
    /* Of keys that may change: what holds without settings, taken when the first comes, and the settings. */
    bool settled;
    kt_config_value loaded[KT_CONFIG_KEY_COUNT];
    kt_config_origin_of loaded_origins[KT_CONFIG_KEY_COUNT];
    kt_config_setting settings[KT_CONFIG_KEY_COUNT];
} kt_config_private;

/* Zeroed memory, a copy, a printed text that live as long as the configuration; NULL: no memory. */
void *kt_config_take(kt_config *config, size_t size);
const char *kt_config_copy(kt_config *config, kt_text text);
const char *kt_config_printf(kt_config *config, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
kt_code kt_config_no_memory(kt_err *err);
void kt_config_blocks_free(kt_config_block *blocks);

/* config_value.c: one value --------------------------------------------------------------------------------------- */

/* What is allowed, for people: "a whole number from 0 to 65535". */
void kt_config_allowed(const kt_value_spec *spec, char *buf, size_t size);

/* "kontor.yaml:3: edge.port: 'x' is not allowed; allowed is a whole number from 0 to 65535" */
kt_code kt_config_refuse(kt_err *err, kt_code code, const char *where, const kt_value_spec *spec, const char *what, ...)
    __attribute__((cold, format(printf, 5, 6)));

/* At most 40 bytes of a text, for printf's %.*s. */
#define KT_CUT(text) (int)((text).n > 40 ? 40 : (text).n), ((text).s != NULL ? (text).s : "")

kt_code kt_config_set_words(kt_config *config, const kt_value_spec *spec, const kt_text *words, uint32_t count,
    void *at, const char *where, kt_err *err);
kt_code kt_config_set_value(
    kt_config *config, const kt_value_spec *spec, kt_text text, void *at, const char *where, kt_err *err);

/* A key, with its origin. */
kt_code kt_config_set_key(
    kt_config *config, uint32_t index, kt_text text, kt_config_from from, const char *where, kt_err *err);
kt_code kt_config_set_defaults(kt_config *config, kt_err *err);

/* config_yaml.c, config_flags.c: from outside ---------------------------------------------------------------------- */

kt_code kt_config_read_yaml(kt_config *config, const char *name, const char *yaml, size_t size, kt_err *err);
kt_code kt_config_read_file(kt_config *config, const char *path, kt_err *err);

/* Value of a variable; NULL: not there, or empty, which counts as not there since that is how compose files say it. */
const char *kt_config_variable(char *const *env, const char *name);
kt_code kt_config_read_environment(kt_config *config, char *const *env, kt_err *err);

/* `apply` false: only look for --config, which must be read before the other flags go over it. */
kt_code kt_config_read_flags(
    kt_config *config, int argc, char *const *argv, bool apply, const char **out_file, kt_err *err);

/* config_settings.c: the flag or variable that holds this key, or the list `fixed`; NULL: nobody. */
const char *kt_config_held_by(const kt_config *config, uint32_t index);

/* config_check.c --------------------------------------------------------------------------------------------------- */

/* Check what holds between values, and derive what follows from them. */
kt_code kt_config_finish(kt_config *config, kt_err *err);

/* The same of the keys that may change while the house runs, from which nothing is derived. */
kt_code kt_config_check_settings(const kt_config *config, kt_err *err);

#endif
