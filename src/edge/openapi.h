/* edge/openapi.h - the documents that describe the house to programs, made from the schema: OpenAPI 3.1 of what HTTP
 * answers, AsyncAPI 3.0 of what WebSocket tells.
 */
#ifndef KT_EDGE_OPENAPI_H
#define KT_EDGE_OPENAPI_H

#include "base/json.h"
#include "base/types.h"

enum { KT_OPENAPI_SIZE_MAX = 1 << 20 }; /* bytes of either document */

/* /openapi.json: every action with its parameters, its answers of every status, and an example. */
void kt_openapi_write(kt_json_writer *writer);

/* /asyncapi.json: every channel with its events, and when a value of it is stale. `host`: "127.0.0.1:3000". */
void kt_asyncapi_write(kt_json_writer *writer, kt_text host, bool tls);

#endif
