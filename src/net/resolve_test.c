#include "net/resolve.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/test.h"
#include "base/text.h"
#include "base/types.h"

static void a_numeric_address_is_read_and_shown(void **state)
{
    static const struct {
        const char *text;
        int family;
        const char *shown; /* NULL: a name */
    } rows[] = {
        { "127.0.0.1", AF_INET, "127.0.0.1:3000" },
        { "0.0.0.0", AF_INET, "0.0.0.0:3000" },
        { "::1", AF_INET6, "[::1]:3000" },
        { "2001:DB8:0:0:0:0:0:1", AF_INET6, "[2001:db8::1]:3000" },
        { "::ffff:192.0.2.1", AF_INET6, "[::ffff:192.0.2.1]:3000" },
        { "", 0, NULL },
        { "localhost", 0, NULL },
        { "256.0.0.1", 0, NULL },
        { "127.1", 0, NULL },
        { "[::1]", 0, NULL },
        { "2001:db8:0000:0000:0000:0000:0000:0000:0000:0001", 0, NULL },
    };

    for (size_t i = 0; i < KT_COUNT(rows); i++) {
        kt_address address = { 0 };
        char shown[64] = "";
        bool numeric = kt_address_parse(kt_text_of(rows[i].text), 3000, &address);
        KT_ROW(rows[i].text, numeric == (rows[i].shown != NULL));
        if (!numeric)
            continue;
        KT_ROW(rows[i].text, address.of.any.sa_family == rows[i].family);
        kt_address_format(&address, shown, sizeof shown);
        KT_ROW(rows[i].text, strcmp(shown, rows[i].shown) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_numeric_address_is_read_and_shown) };

    return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
