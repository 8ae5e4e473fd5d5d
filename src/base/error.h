/* base/error.h - one enum of codes, one message, one exit.
 *
 * Library code returns a kt_code and, where a person will read it, fills a kt_err: what was wrong, where, and what is
 * allowed. It never prints, logs or exits; the program at the top decides. The hot path returns the bare code.
 */
#ifndef KT_BASE_ERROR_H
#define KT_BASE_ERROR_H

#define KT_CODE_MAP(X)                                           \
    X(OK, "ok")                                                  \
    X(ARG, "value outside its documented range")                 \
    X(EMPTY, "nothing there yet")                                \
    X(FULL, "bounded pool, ring, buffer or file is full")        \
    X(SEQ, "gap, repeat or step back in a sequence")             \
    X(RANGE, "exact result does not fit the fixed-point type")   \
    X(CORRUPT, "stored or received bytes fail their checks")     \
    X(SYS, "the operating system refused: see sys_errno")        \
    X(GONE, "removed by retention")                              \
    X(EPOCH, "unknown epoch")                                    \
    X(BUSY, "held or full: try again")                           \
    X(VERSION, "made by a newer program")                        \
    X(TIMEOUT, "deadline passed")                                \
    X(UNKNOWN, "outcome unknown: repeat with the same id")       \
    X(NOENT, "no such thing, or a required field is missing")    \
    X(SYNTAX, "text does not follow its grammar")                \
    X(TYPE, "value of the wrong type")                           \
    X(TWICE, "given twice where once is allowed")                \
    X(LIMIT, "larger, longer or deeper than a documented limit") \
    X(DENIED, "not allowed to whoever asks")                     \
    X(RATE, "asked too often: wait")

#define X(name, text) KT_##name,
typedef enum kt_code { KT_CODE_MAP(X) KT_CODE_COUNT } kt_code;
#undef X

enum { KT_ERR_MSG_SIZE = 256 };

typedef struct kt_err {
    kt_code code;
    int sys_errno;             /* errno as it was when kt_fail saw KT_SYS, otherwise 0 */
    char msg[KT_ERR_MSG_SIZE]; /* NUL-terminated; cut short at the end rather than refused */
} kt_err;

/* Fill `err` unless it is NULL, and return `code`, so that failing is one line. With KT_SYS, errno is kept in sys_errno
 * and its text is appended: kt_fail(err, KT_SYS, "cannot open log '%s'", path) reads "cannot open log 'x': No such file
 * or directory". errno itself is left alone. */
kt_code kt_fail(kt_err *err, kt_code code, const char *fmt, ...) __attribute__((cold, format(printf, 3, 4)));

/* Put context in front of the message of an error that a callee made, "venues[2].ws_url: ..." and return err->code (or
 * `code` when err is NULL). The formatted text is followed by ": " and the old message. */
kt_code kt_fail_within(kt_err *err, kt_code code, const char *fmt, ...) __attribute__((cold, format(printf, 3, 4)));

/* The sentence of KT_CODE_MAP; "unknown code" for a number outside it. Never NULL. */
const char *kt_code_text(kt_code code);

/* The name as the map spells it, "CORRUPT", for clients and metrics; "UNKNOWN_CODE" for a number outside it. Never
 * NULL. */
const char *kt_code_name(kt_code code);

#endif
