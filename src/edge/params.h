/* edge/params.h - the parameters of a call, as they come in: a query, or a JSON object; read by the action's table.
 *
 * Every parameter is checked for its name, its type and its bounds, none may come twice, and those without an allowed
 * default must be there. What is wrong is said with the field and with what is allowed.
 */
#ifndef KT_EDGE_PARAMS_H
#define KT_EDGE_PARAMS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/types.h"
#include "schema/actions.h"

enum {
    KT_QUERY_MAX = 4096,        /* bytes of a query */
    KT_REFUSAL_FIELD_SIZE = 64, /* with the NUL, as the next */
    KT_REFUSAL_MESSAGE_SIZE = 1024
};

/* Why a call is not answered with what was asked for. */
typedef struct kt_refusal {
    kt_code code;
    const char *word;                      /* for programs: kt_code_word(), or more precise */
    uint32_t retry_s;                      /* good to try again after; 0: nobody knows */
    char field[KT_REFUSAL_FIELD_SIZE];     /* the parameter that is wrong, or empty */
    char message[KT_REFUSAL_MESSAGE_SIZE]; /* for people: what was wrong, and what is allowed */
} kt_refusal;

/* Fill *out and return `code`. `field` NULL or "": none. The word is kt_code_word(code),
 * and what the house can not answer now is to be tried again after 1 s. */
kt_code kt_refuse(kt_refusal *out, kt_code code, const char *field, const char *fmt, ...)
    __attribute__((cold, format(printf, 4, 5)));

/* Read a query, percent-encoded, names and values, into the struct of `table`. Its texts are kept in `room` of
 * KT_QUERY_MAX bytes. A whole number of ms may be written as a window too: 5m. */
kt_code kt_params_query(const kt_table *table, kt_text query, char *room, void *out_params, kt_refusal *out_refusal);

/* Read a member of a document, or the whole (node 0); what is no object is refused. Texts are borrowed from the document
 * or kept in `arena`. */
kt_code kt_params_json(const kt_table *table, const kt_json_doc *doc, uint32_t node, kt_arena *arena, void *out_params,
    kt_refusal *out_refusal);

#endif
