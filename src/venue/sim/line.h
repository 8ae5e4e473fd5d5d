/* venue/sim/line.h - the connection of one WebSocket client, and how what it is sent goes through: at once, by so many bytes a
 * second, cut off, or not at all any more.
 *
 * Trickle   a message is sent in frames of a few bytes (RFC 6455 5.4), so that control frames may come between; what comes later
 *           waits behind it.
 * Half-open from some message on nothing more is sent; when all before it has left, the connection is given up without the
 *           client learning of it.
 */
#ifndef KT_VENUE_SIM_LINE_H
#define KT_VENUE_SIM_LINE_H

#include "base/text.h"
#include "net/ws_server.h"

enum { KT_SIM_LINE_MAX = 8 << 20 }; /* bytes that wait because of a trickle, at most */

/* All zero but for `conn`: a line that lets everything through. */
typedef struct kt_sim_line {
    kt_ws_conn *conn;
    uint32_t left; /* messages until it is half-open; 0: it will not be */
    bool deaf;     /* it is, or will be when all has left */
    char *slow;    /* messages that wait, each behind its size in 4 bytes: from slow_at to slow_end */
    size_t slow_at, slow_end, slow_cap;
    uint32_t begun; /* bytes of the first one that have been sent */
} kt_sim_line;

void kt_sim_line_done(kt_sim_line *line);

/* One message, at `rate` bytes a second, 0: at once. KT_FULL: too much waits. KT_NOENT: closing, or deaf. */
kt_code kt_sim_line_send(kt_sim_line *line, kt_text message, uint32_t rate);

/* Every KT_SIM_TICK_MS (raw.h): send what is due. true: more waits. */
bool kt_sim_line_tick(kt_sim_line *line, uint32_t rate);

/* Bytes that have not left. */
size_t kt_sim_line_pending(const kt_sim_line *line);

/* Send half of the message, compressed where that was agreed, behind all that waits, and end the connection. */
void kt_sim_line_cut(kt_sim_line *line, kt_deflater *deflater, kt_text message);

/* Close in order, behind all that waits. */
void kt_sim_line_close(kt_sim_line *line, uint16_t code, kt_text reason);

/* Is it deaf, and has all left? Then the connection is given up: its socket, the caller's to close, in *out_fd (-1: none). */
bool kt_sim_line_abandoned(kt_sim_line *line, int *out_fd);

#endif
