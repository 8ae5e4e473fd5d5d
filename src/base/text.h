/* base/text.h - text built into bounded buffers, numbers out of text, and the grammar of subjects.
 */
#ifndef KT_BASE_TEXT_H
#define KT_BASE_TEXT_H

#include "base/decimal.h"
#include "base/error.h"
#include "base/types.h"

/* ---- builder: appends to the caller's buffer, remembers the first overflow ----
 *
 * The text is NUL-terminated after each call, so `size` bytes hold at most size - 1 characters. What does not fit whole
 * is left out, and everything after it too (sticky): a cut text is never mistaken for a whole one if the code is looked
 * at once at the end. */
typedef struct kt_builder {
    char *s;
    size_t size;
    size_t n;     /* characters so far */
    kt_code code; /* KT_OK, or KT_FULL for good */
} kt_builder;

/* `size` at least 1 (asserted). */
void kt_builder_init(kt_builder *builder, char *mem, size_t size);

void kt_builder_text(kt_builder *builder, kt_text text);
void kt_builder_str(kt_builder *builder, const char *s);
void kt_builder_char(kt_builder *builder, char c);
void kt_builder_u64(kt_builder *builder, uint64_t number);
void kt_builder_i64(kt_builder *builder, int64_t number);
void kt_builder_hex64(kt_builder *builder, uint64_t number);      /* 16 lower-case digits */
void kt_builder_decimal(kt_builder *builder, kt_decimal decimal); /* with all digits of its scale */
void kt_builder_time(kt_builder *builder, int64_t time_ns);       /* ISO 8601, base/time.h */
void kt_builder_format(kt_builder *builder, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline kt_text kt_builder_done(const kt_builder *builder)
{
    return (kt_text){ builder->s, builder->n };
}

/* ---- numbers and pieces ---- */

/* Write digits (and a sign), no NUL; return how many characters. `out` holds at least 20. */
size_t kt_u64_format(char *out, uint64_t number);
size_t kt_i64_format(char *out, int64_t number);

/* Read the whole text: digits only ("-" first for i64), no blanks, no "+", leading zeros allowed. KT_SYNTAX,
 * KT_RANGE. */
kt_code kt_text_u64(kt_text text, uint64_t *out_number);
kt_code kt_text_i64(kt_text text, int64_t *out_number);

/* Exactly 1 to 16 hexadecimal digits, either case. KT_SYNTAX. */
kt_code kt_text_hex64(kt_text text, uint64_t *out_number);

/* Cut at the first `separator`: the part before goes to out_part, *rest moves behind it. false when *rest had no bytes
 * and nothing is left: "a..b" gives "a", "", "b"; a separator at the very end gives a last empty part. Start with
 * rest->s not NULL. */
bool kt_text_cut(kt_text *rest, char separator, kt_text *out_part);

/* UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF): is all of it well-formed? And the bytes, 1 to
 * 4, of the character at the start of `n` bytes; 0 when none is there whole. */
bool kt_utf8_valid(kt_text text);
size_t kt_utf8_first(const char *s, size_t n);

/* ---- subjects ----
 *
 * subject  = token *("." token), at most KT_SUBJECT_MAX bytes: trades.binance.BTC/USDT
 * token    = 1 or more bytes; ".", "*", ">", "%", blanks and control bytes (0 to 32, 127) stand as "%2E" and so on
 * pattern  = as a subject, but a token "*" stands for any one token, and a last token ">" for one or more
 */
enum { KT_SUBJECT_MAX = 255 };

/* Append `raw` as one token, encoded. An empty raw text can not be a token: KT_ARG, nothing appended. KT_FULL: sticky
 * in the builder as well. */
kt_code kt_subject_token(kt_builder *builder, kt_text raw);

/* "first.second.third" from raw texts; `first` is put as it is, an empty `third` is left out. false: it does not fit, or
 * `second` is empty. */
bool kt_subject_make(char out[KT_SUBJECT_MAX + 1], const char *first, kt_text second, kt_text third);

/* The other way: append the raw bytes of a token. KT_SYNTAX: a "%" without two hexadecimal digits, or a byte that
 * should have been encoded. KT_FULL. */
kt_code kt_subject_token_decode(kt_text token, kt_builder *builder);

/* KT_SYNTAX: an empty token, a byte that must be encoded, a bad "%". KT_LIMIT: more than KT_SUBJECT_MAX bytes. The
 * message names the subject and the rule. */
kt_code kt_subject_check(kt_text subject, kt_err *err);
kt_code kt_pattern_check(kt_text pattern, kt_err *err);

/* Does a checked pattern match a checked subject? Of other input the answer is meaningless, but safe. */
bool kt_subject_match(kt_text pattern, kt_text subject);

/* Token `index` (from 0) of a subject; the empty text when there are fewer. */
kt_text kt_subject_part(kt_text subject, uint32_t index);

#endif
