#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void kt_assert_failed(const char *file, int line, const char *fact)
{
    char text[512];
    int size = snprintf(text, sizeof text, "%s:%d: %s is not true\n", file, line, fact);

    if (size >= (int)sizeof text) {
        size = sizeof text;
        text[size - 1] = '\n';
    }
    /* One write, so that lines of several processes stay whole; when it fails there is nobody left to tell. */
    ssize_t written = write(STDERR_FILENO, text, (size_t)size);
    (void)written;
    abort();
}
