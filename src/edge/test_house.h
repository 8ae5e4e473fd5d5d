/* edge/test_house.h - for tests of the edge: a log to write, an edge on a loop, clients on real sockets, all on one
 * thread.
 */
#ifndef KT_EDGE_TEST_HOUSE_H
#define KT_EDGE_TEST_HOUSE_H

#include "edge/edge.h"
#include "log/log.h"
#include "net/websocket.h"
#include "schema/events.h"

enum { KT_TEST_BOUND_S = 20 };

typedef struct kt_test_house {
    kt_loop *loop;
    kt_edge *edge;
    kt_log *log;
    char dir[512]; /* of the log */
    kt_config *config;
    kt_lane *lane; /* of edges that are opened from now on; NULL: none */
    uint8_t boot_id[KT_BOOT_ID_SIZE];
    uint32_t subject_flags; /* of subjects that are written */
    int64_t time_ns;        /* of the next record; moves on by 1 ms with each */
} kt_test_house;

/* Time of the loops of houses that are opened from now on; NULL: the machine's. */
extern int64_t *kt_test_house_clock;

/* A new log "market" in a temporary folder, and an edge that reads it. `yaml` is added to the configuration; NULL:
 * nothing. `segment_size` 0: the smallest; `retention_bytes` 0: none. */
void kt_test_house_open(kt_test_house *house, const char *yaml, uint64_t segment_size, uint64_t retention_bytes);
void kt_test_house_open_edge(
    kt_test_house *house, kt_edge_ask ask, void *ask_ctx); /* kt_test_house_open did it: anew */
void kt_test_house_close(kt_test_house *house);

/* Append events (kt_test_event: the struct of any kind). Returns the seq. */
uint64_t kt_test_event(kt_test_house *house, uint16_t kind, const char *subject, const void *event);
uint64_t kt_test_trade(kt_test_house *house, const char *subject, uint64_t number);
uint64_t kt_test_vwap(kt_test_house *house, const char *subject, int64_t mark_ns, const char *price, uint32_t revision);

/* Close the log and open it again. */
void kt_test_house_reopen_log(kt_test_house *house, uint64_t segment_size, uint64_t retention_bytes);

/* What a power cut leaves: the house goes on in a copy of the folder, with the last `torn` bytes of the log zeroed,
 * under another boot id, with an edge of its own. */
void kt_test_house_power_cut(kt_test_house *house, size_t torn);

void kt_test_house_turn(kt_test_house *house);

/* Do clients that are opened from now on agree to permessage-deflate? */
extern bool kt_test_clients_deflate;

/* One more header of theirs, with its CRLF; empty: none. */
extern const char *kt_test_clients_header;

/* A WebSocket client that reads only when it is told to. */
typedef struct kt_test_client {
    kt_test_house *house;
    int fd;
    kt_ws_decoder decoder;
    uint8_t *buffer; /* the message that is coming in */
    size_t size, room;
    bool upgraded;
    char head[4096]; /* of the answer to the handshake */
    size_t head_size;
    bool ended;          /* the connection is gone */
    uint16_t close_code; /* of a close frame */
    uint64_t seq;        /* of the last message: each must be one more */
    /* the last message, and what tests ask of it */
    char *message;
    size_t message_size;
    uint64_t message_count;
    uint64_t serial; /* of the message, among those of all clients */
} kt_test_client;

void kt_test_client_open(kt_test_client *client, kt_test_house *house);
void kt_test_client_close(kt_test_client *client);
void kt_test_client_say(kt_test_client *client, const char *text);
void kt_test_client_send(kt_test_client *client, kt_ws_opcode opcode, const void *payload, size_t size);

/* Turn the house until the next message is there; fails the test after KT_TEST_BOUND_S. Returns it, NUL-terminated,
 * good until the next one. NULL: the connection ended instead. */
const char *kt_test_client_next(kt_test_client *client);

/* The next message must be of this type; fields by dotted path, asserted to be there. */
void kt_test_client_want(kt_test_client *client, const char *type);
uint64_t kt_test_client_u64(kt_test_client *client, const char *path);
bool kt_test_client_bool(kt_test_client *client, const char *path);
bool kt_test_client_null(kt_test_client *client, const char *path);
const char *kt_test_client_text(kt_test_client *client, const char *path); /* one of eight buffers */

/* A whole HTTP exchange: status and everything received, NUL-terminated, in a buffer of its own. */
int kt_test_http(kt_test_house *house, const char *request, const char **out_answer);

#endif
