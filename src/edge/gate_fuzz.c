/* Input: an Origin, a newline, a Host. Whoever may operate comes from a page whose scheme is HTTP's and whose address is that
 * of the Host, which is a name of this machine, with or without a port: told by a grammar of its own. */
#include "edge/gate.h"

#include "base/assert.h"
#include "base/text.h"

#include <regex.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static regex_t origins;
    static bool is_ready;
    kt_http_request request = { .field_count = 1 };
    kt_text origin, host = { (const char *)data, size };
    char text[256];

    if (!is_ready)
        kt_assert(
            regcomp(&origins, "^https?://(127[.]0[.]0[.]1|[lL][oO][cC][aA][lL][hH][oO][sS][tT]|\\[::1])(:[0-9]+)?$",
                REG_EXTENDED | REG_NOSUB) == 0);
    is_ready = true;
    if (size >= sizeof text || memchr(data, 0, size) != NULL || !kt_text_cut(&host, '\n', &origin))
        return 0;
    request.fields[0] = (kt_http_field){ KT_TEXT("Origin"), origin };
    request.host = host;
    if (!kt_gate_operates(&request))
        return 0;
    memcpy(text, origin.s, origin.n);
    text[origin.n] = '\0';
    kt_assert(regexec(&origins, text, 0, NULL, 0) == 0);
    kt_assert(strlen(strstr(text, "//") + 2) == host.n && strncasecmp(strstr(text, "//") + 2, host.s, host.n) == 0);
    return 0;
}
