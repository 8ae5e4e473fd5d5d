#include "schema/yaml.h"

#include <stdio.h>
#include <stdlib.h>

/* The next document of the stream; without a root when there is none. */
static kt_code load(yaml_parser_t *parser, const char *name, yaml_document_t *out_document, kt_err *err)
{
    if (yaml_parser_load(parser, out_document))
        return KT_OK;
    return kt_fail(err, KT_SYNTAX, "%s:%zu: no valid YAML: %s", name, parser->problem_mark.line + 1,
        parser->problem != NULL ? parser->problem : "it can not be read");
}

/* Nothing may follow the document. */
static kt_code end(yaml_parser_t *parser, const char *name, kt_err *err)
{
    yaml_document_t second;
    kt_code code = load(parser, name, &second, err);

    if (code != KT_OK)
        return code;
    if (yaml_document_get_root_node(&second) != NULL)
        code = kt_fail(
            err, KT_SYNTAX, "%s:%zu: a second document begins; one is allowed", name, second.start_mark.line + 1);
    yaml_document_delete(&second);
    return code;
}

kt_code kt_yaml_parse(const char *name, const char *text, size_t size, yaml_document_t *out_document, kt_err *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    kt_code code;

    if (!yaml_parser_initialize(&parser))
        return kt_fail(err, KT_SYS, "no memory to read '%s'", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    code = load(&parser, name, &document, err);
    if (code != KT_OK)
        goto out;
    code = end(&parser, name, err);
    if (code == KT_OK)
        *out_document = document;
    else
        yaml_document_delete(&document);
out:
    yaml_parser_delete(&parser);
    return code;
}

kt_code kt_yaml_file(
    const char *what, const char *path, size_t size_max, char **out_text, size_t *out_size, kt_err *err)
{
    char *text = malloc(size_max + 1);
    FILE *file = fopen(path, "re");
    kt_code code = KT_OK;
    size_t size = 0;

    if (text == NULL || file == NULL) {
        code = kt_fail(err, KT_SYS, "cannot open %s '%s'", what, path);
        goto out;
    }
    size = fread(text, 1, size_max + 1, file);
    if (ferror(file))
        code = kt_fail(err, KT_SYS, "cannot read %s '%s'", what, path);
    else if (size > size_max)
        code = kt_fail(err, KT_LIMIT, "%s '%s' is larger than %zu bytes", what, path, size_max);
    if (code == KT_OK) {
        *out_text = text;
        *out_size = size;
        text = NULL;
    }
out:
    if (file != NULL)
        fclose(file);
    free(text);
    return code;
}

const char *kt_yaml_kind(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE ? "an object" : node->type == YAML_SEQUENCE_NODE ? "a list" : "one value";
}

kt_text kt_yaml_text(const yaml_node_t *node)
{
    return (kt_text){ (const char *)node->data.scalar.value, node->data.scalar.length };
}

uint32_t kt_yaml_line(const yaml_node_t *node)
{
    return (uint32_t)node->start_mark.line + 1;
}
