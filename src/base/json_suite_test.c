/* JSONTestSuite (Nicolas Seriot): y_ must be accepted, n_ refused, i_ either; and its transform cases, where parsers
 * differ. */
#include "base/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/test_util.h"

enum { NODE_MAX = 1 << 18, TEXT_MAX = 1 << 20 };

static kt_json_node nodes[NODE_MAX], again[NODE_MAX];

/* What was read and written again is read as the same tree. */
static bool comes_back(const kt_json_doc *doc)
{
    char *mem = malloc(TEXT_MAX);
    kt_json_doc copy;
    kt_json_writer writer;
    kt_text text;
    bool same = false;

    if (mem == NULL)
        abort();
    kt_json_writer_init(&writer, mem, TEXT_MAX);
    kt_json_put_node(&writer, doc, 0);
    if (kt_json_writer_done(&writer, &text) == KT_OK && kt_json_parse(text, again, NODE_MAX, &copy, NULL) == KT_OK)
        same = copy.node_count == doc->node_count;
    for (uint32_t i = 0; same && i < doc->node_count; i++)
        same = nodes[i].kind == again[i].kind && nodes[i].next == again[i].next && nodes[i].flags == again[i].flags &&
               (nodes[i].kind >= KT_JSON_ARRAY || kt_text_equal(kt_json_raw(doc, i), kt_json_raw(&copy, i)));
    free(mem);
    return same;
}

/* Calls `check` with each file of a folder of the recordings. */
static void each_file(const char *folder, void (*check)(const char *name, kt_code code, const kt_json_doc *doc))
{
    const char *path = kt_test_recordings(folder);
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort);
    int checked = 0;

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        char file[4096];
        size_t size = 0;
        kt_json_doc doc = { 0 };
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.') {
            char *bytes = kt_test_read_file(file, &size);
            assert_non_null(bytes);
            char *flush = kt_guard_copy(bytes, size);
            kt_code code = kt_json_parse((kt_text){ flush, size }, nodes, NODE_MAX, &doc, NULL);
            check(names[i]->d_name, code, &doc);
            kt_guard_free(flush, size);
            free(bytes);
            checked++;
        }
        free(names[i]);
    }
    free(names);
    printf("# %d files of %s\n", checked, folder);
    assert_true(checked > 0);
}

static void check_suite(const char *name, kt_code code, const kt_json_doc *doc)
{
    if (name[0] == 'y')
        KT_ROW(name, code == KT_OK);
    if (name[0] == 'n')
        KT_ROW(name, code == KT_SYNTAX || code == KT_LIMIT);
    if (code == KT_OK)
        KT_ROW(name, comes_back(doc));
}

static void jsontestsuite(void **state)
{
    each_file("json/jsontestsuite", check_suite);
}

/* Where parsers differ: text that is not UTF-8 is refused, numbers keep every digit, no key is folded into another. */
static void check_transform(const char *name, kt_code code, const kt_json_doc *doc)
{
    bool not_utf8 = strstr(name, "invalid_codepoint") != NULL;
    int64_t number = 0;

    KT_ROW(name, code == (not_utf8 ? KT_SYNTAX : KT_OK));
    if (code != KT_OK)
        return;
    KT_ROW(name, comes_back(doc));
    if (strstr(name, "object_") == name)
        KT_ROW(name, kt_json_count(doc, 0) == 2);
    if (strstr(name, "9223372036854775807") != NULL || strstr(name, "9223372036854775808") != NULL) {
        KT_ROW(name, kt_json_i64(doc, 1, &number) == KT_OK);
        KT_ROW(name, number == (strchr(name, '-') != NULL ? INT64_MIN : INT64_MAX));
    }
}

static void transform(void **state)
{
    each_file("json/transform", check_transform);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jsontestsuite),
        cmocka_unit_test(transform),
    };

    kt_test_need_recordings("json/jsontestsuite");
    kt_test_need_recordings("json/transform");
    return cmocka_run_group_tests_name("json suite", tests, NULL, NULL);
}
