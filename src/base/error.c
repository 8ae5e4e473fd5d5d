#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define X(name, text) [KT_##name] = { #name, text },
static const struct {
    const char *name;
    const char *text;
} codes[KT_CODE_COUNT] = { KT_CODE_MAP(X) };
#undef X

/* Append to the message; cut at its end. */
static void msg_append(kt_err *err, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));

static void msg_append(kt_err *err, const char *fmt, va_list args)
{
    size_t used = strnlen(err->msg, sizeof err->msg - 1);

    vsnprintf(err->msg + used, sizeof err->msg - used, fmt, args);
}

kt_code kt_fail(kt_err *err, kt_code code, const char *fmt, ...)
{
    int saved = errno;
    va_list args;

    if (err == NULL)
        return code;
    err->code = code;
    err->sys_errno = code == KT_SYS ? saved : 0;
    err->msg[0] = '\0';
    va_start(args, fmt);
    msg_append(err, fmt, args);
    va_end(args);
    if (code == KT_SYS && saved != 0) {
        char text[96];
        const char *reason = strerror_r(saved, text, sizeof text);
        size_t used = strlen(err->msg);

        snprintf(err->msg + used, sizeof err->msg - used, ": %s", reason);
    }
    errno = saved;
    return code;
}

kt_code kt_fail_within(kt_err *err, kt_code code, const char *fmt, ...)
{
    char inner[KT_ERR_MSG_SIZE];
    va_list args;

    if (err == NULL)
        return code;
    memcpy(inner, err->msg, sizeof inner);
    inner[sizeof inner - 1] = '\0';
    err->msg[0] = '\0';
    va_start(args, fmt);
    msg_append(err, fmt, args);
    va_end(args);
    size_t used = strlen(err->msg);
    snprintf(err->msg + used, sizeof err->msg - used, ": %s", inner);
    return err->code;
}

const char *kt_code_text(kt_code code)
{
    return (unsigned)code < KT_CODE_COUNT ? codes[code].text : "unknown code";
}

const char *kt_code_name(kt_code code)
{
    return (unsigned)code < KT_CODE_COUNT ? codes[code].name : "UNKNOWN_CODE";
}
