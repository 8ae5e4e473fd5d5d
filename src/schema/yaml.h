/* schema/yaml.h - one YAML document in memory, by libyaml: what the configuration and other files for people are read from.
 *
 * Errors name the file and the line, "kontor.yaml:3: ...". Whoever walks the nodes says what is allowed at each of them.
 */
#ifndef KT_SCHEMA_YAML_H
#define KT_SCHEMA_YAML_H

#include "base/error.h"
#include "base/types.h"

#include <yaml.h>

/* Read the one document of a text; `name` is for messages. KT_SYNTAX: no valid YAML, or a second document begins. An empty
 * text is a document without a root. yaml_document_delete() frees it. */
kt_code kt_yaml_parse(const char *name, const char *text, size_t size, yaml_document_t *out_document, kt_err *err);

/* The whole file, at most `size_max` bytes, to be freed; `what` it is is for messages ("configuration"). KT_SYS, KT_LIMIT. */
kt_code kt_yaml_file(
    const char *what, const char *path, size_t size_max, char **out_text, size_t *out_size, kt_err *err);

/* "an object", "a list", "one value". */
const char *kt_yaml_kind(const yaml_node_t *node);

/* Of a scalar; borrowed from the document. */
kt_text kt_yaml_text(const yaml_node_t *node);

/* The line that it begins in, from 1 on. */
uint32_t kt_yaml_line(const yaml_node_t *node);

#endif
