/* Whatever the reader accepts is the same tree after writing and reading again: once node by node as it stands, once
 * with every string undone and escaped anew. */
#include <stdlib.h>

#include "base/json.h"

enum { NODE_MAX = 1 << 16, TEXT_MAX = 1 << 20 };

static kt_json_node nodes[NODE_MAX], again[NODE_MAX];
static char written[TEXT_MAX], strings[TEXT_MAX], strings_again[TEXT_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_tree(const kt_json_doc *a, const kt_json_doc *b)
{
    kt_assert(a->node_count == b->node_count);
    for (uint32_t i = 0; i < a->node_count; i++) {
        kt_assert(a->nodes[i].kind == b->nodes[i].kind);
        kt_assert(a->nodes[i].next == b->nodes[i].next);
        kt_assert((a->nodes[i].flags & KT_JSON_KEY) == (b->nodes[i].flags & KT_JSON_KEY));
        if (a->nodes[i].kind == KT_JSON_NUMBER)
            kt_assert(kt_text_equal(kt_json_raw(a, i), kt_json_raw(b, i)));
    }
}

/* Write `node` and what is in it through the calls that a program uses. false: a string is no text. */
static bool rewrite(kt_json_writer *writer, const kt_json_doc *doc, uint32_t node, kt_arena *arena)
{
    bool object = kt_json_kind_of(doc, node) == KT_JSON_OBJECT;
    bool flag;
    kt_text text;

    switch (kt_json_kind_of(doc, node)) {
    case KT_JSON_NULL:
        kt_json_put_null(writer);
        return true;
    case KT_JSON_FALSE:
    case KT_JSON_TRUE:
        kt_assert(kt_json_bool(doc, node, &flag) == KT_OK);
        kt_json_put_bool(writer, flag);
        return true;
    case KT_JSON_NUMBER:
        kt_json_put_raw(writer, kt_json_raw(doc, node));
        return true;
    case KT_JSON_STRING:
        if (kt_json_text(doc, node, arena, &text) != KT_OK)
            return false;
        kt_assert(kt_json_text_is(doc, node, text));
        kt_json_put_text(writer, text);
        return true;
    case KT_JSON_ARRAY:
    case KT_JSON_OBJECT:
        break;
    }
    if (object)
        kt_json_open_object(writer);
    else
        kt_json_open_array(writer);
    kt_json_each (doc, node, item) {
        if (object) {
            if (kt_json_text(doc, item, arena, &text) != KT_OK)
                return false;
            kt_json_put_key(writer, text);
        }
        if (!rewrite(writer, doc, item + object, arena))
            return false;
    }
    if (object)
        kt_json_close_object(writer);
    else
        kt_json_close_array(writer);
    return true;
}

static void same_strings(const kt_json_doc *a, const kt_json_doc *b)
{
    kt_arena arena, arena_again;

    kt_arena_init(&arena, strings, sizeof strings);
    kt_arena_init(&arena_again, strings_again, sizeof strings_again);
    for (uint32_t i = 0; i < a->node_count; i++) {
        kt_text text, text_again;
        if (a->nodes[i].kind != KT_JSON_STRING)
            continue;
        kt_assert(kt_json_text(a, i, &arena, &text) == KT_OK);
        kt_assert(kt_json_text(b, i, &arena_again, &text_again) == KT_OK);
        kt_assert(kt_text_equal(text, text_again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kt_json_doc doc, copy;
    kt_json_writer writer;
    kt_arena arena;
    kt_text text;
    kt_err err;

    if (size > TEXT_MAX / 8) /* an escaped byte becomes up to six */
        return 0;
    kt_code code = kt_json_parse((kt_text){ (const char *)data, size }, nodes, NODE_MAX, &doc, &err);
    if (code != KT_OK) {
        kt_assert(code == KT_SYNTAX || code == KT_LIMIT || code == KT_FULL);
        return 0;
    }
    kt_assert(doc.node_count <= size / 2 + 1);
    kt_json_writer_init(&writer, written, sizeof written);
    kt_json_put_node(&writer, &doc, 0);
    kt_assert(kt_json_writer_done(&writer, &text) == KT_OK);
    kt_assert(text.n <= size);
    kt_assert(kt_json_parse(text, again, NODE_MAX, &copy, NULL) == KT_OK);
    same_tree(&doc, &copy);

    kt_json_writer_init(&writer, written, sizeof written);
    kt_arena_init(&arena, strings, sizeof strings);
    if (!rewrite(&writer, &doc, 0, &arena))
        return 0;
    kt_assert(kt_json_writer_done(&writer, &text) == KT_OK);
    kt_assert(kt_json_parse(text, again, NODE_MAX, &copy, NULL) == KT_OK);
    same_tree(&doc, &copy);
    same_strings(&doc, &copy);
    return 0;
}
