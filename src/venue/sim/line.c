#include "venue/sim/line.h"

#include <stdlib.h>
#include <string.h>

#include "venue/sim/raw.h"
#include "venue/sim/wire.h"

enum { PIECE_MAX = 16 }; /* bytes of a frame that trickles */

#define ASKED_FOR "a fault that was asked for"

void kt_sim_line_done(kt_sim_line *line)
{
    free(line->slow);
    *line = (kt_sim_line){ 0 };
}

/* ---- what waits ---- */

static bool nothing_waits(const kt_sim_line *line)
{
    return line->slow_at == line->slow_end;
}

static kt_code wait_in_line(kt_sim_line *line, kt_text message)
{
    uint32_t size = (uint32_t)message.n;
    size_t need = sizeof size + size, waiting = line->slow_end - line->slow_at;

    if (waiting + need > KT_SIM_LINE_MAX)
        return KT_FULL;
    if (line->slow_end + need > line->slow_cap) {
        char *slow = malloc(2 * (waiting + need));
        if (slow == NULL)
            return KT_FULL;
        if (waiting != 0)
            memcpy(slow, line->slow + line->slow_at, waiting);
        free(line->slow);
        line->slow = slow;
        line->slow_cap = 2 * (waiting + need);
        line->slow_at = 0;
        line->slow_end = waiting;
    }
    memcpy(line->slow + line->slow_end, &size, sizeof size);
    memcpy(line->slow + line->slow_end + sizeof size, message.s, size);
    line->slow_end += need;
    return KT_OK;
}

/* One frame of the first message that waits, of at most `most` bytes; how many it had, 0: the queue is full. */
static size_t send_piece(kt_sim_line *line, size_t most)
{
    uint8_t frame[KT_WS_HEADER_MAX + PIECE_MAX];
    uint32_t size;

    memcpy(&size, line->slow + line->slow_at, sizeof size);
    size_t piece = size - line->begun < most ? size - line->begun : most;
    piece = piece < PIECE_MAX ? piece : PIECE_MAX;
    bool last = line->begun + piece == size;
    size_t header = kt_ws_header(frame, line->begun == 0 ? KT_WS_TEXT : KT_WS_CONTINUATION, last, piece, NULL);
    memcpy(frame + header, line->slow + line->slow_at + sizeof size + line->begun, piece);
    if (kt_ws_send_frame(line->conn, frame, header + piece) != KT_OK)
        return 0;
    line->begun += (uint32_t)piece;
    if (last) {
        line->slow_at += sizeof size + size;
        line->begun = 0;
    }
    return piece;
}

bool kt_sim_line_tick(kt_sim_line *line, uint32_t rate)
{
    size_t due = rate != 0 ? rate * KT_SIM_TICK_MS / 1000 + 1 : SIZE_MAX, sent = 1;

    while (!nothing_waits(line) && due > 0 && sent > 0) {
        sent = send_piece(line, due);
        due -= sent;
    }
    return !nothing_waits(line);
}

size_t kt_sim_line_pending(const kt_sim_line *line)
{
    return kt_ws_pending(line->conn) + line->slow_end - line->slow_at;
}

/* ---- sending ---- */

kt_code kt_sim_line_send(kt_sim_line *line, kt_text message, uint32_t rate)
{
    kt_code code = KT_NOENT;

    if (line->deaf || !kt_ws_is_open(line->conn))
        return KT_NOENT;
    if (rate != 0 || !nothing_waits(line))
        code = wait_in_line(line, message);
    else
        code = kt_ws_send(line->conn, KT_WS_TEXT, message.s, message.n);
    if (code == KT_OK && line->left != 0 && --line->left == 0)
        line->deaf = true;
    return code;
}

void kt_sim_line_close(kt_sim_line *line, uint16_t code, kt_text reason)
{
    kt_sim_line_tick(line, 0);
    kt_ws_close(line->conn, code, reason);
}

bool kt_sim_line_abandoned(kt_sim_line *line, int *out_fd)
{
    if (!line->deaf || !kt_ws_is_open(line->conn) || kt_sim_line_pending(line) != 0)
        return false;
    *out_fd = kt_ws_abandon(line->conn, ASKED_FOR);
    return true;
}

/* ---- cutting off ---- */

static bool is_damaged(kt_deflater *deflater, const uint8_t *packed, size_t size)
{
    kt_pool pool;
    kt_queue message = { 0 };
    kt_code code = KT_OK;

    kt_pool_init(&pool, 1 << 20, 0);
    code = kt_inflate(deflater, packed, size, &message, &pool, KT_SIM_EVENT_SIZE);
    kt_queue_clear(&message, &pool);
    kt_pool_done(&pool);
    return code == KT_CORRUPT;
}

/* A frame with half of the compressed message, as long as nobody can take that for a whole one. 0: not possible. */
static size_t half_deflated(kt_deflater *deflater, kt_text message, uint8_t *frame)
{
    uint8_t packed[KT_SIM_EVENT_SIZE];
    size_t size = kt_deflate(deflater, message.s, message.n, packed, sizeof packed) / 2;

    while (size != 0 && !is_damaged(deflater, packed, size))
        size--;
    if (size == 0)
        return 0;
    size_t header = kt_ws_header(frame, KT_WS_TEXT, true, size, NULL);

    frame[0] |= KT_WS_COMPRESSED;
    memcpy(frame + header, packed, size);
    return header + size;
}

void kt_sim_line_cut(kt_sim_line *line, kt_deflater *deflater, kt_text message)
{
    uint8_t frame[KT_WS_HEADER_MAX + KT_SIM_EVENT_SIZE];
    size_t size = kt_ws_deflates(line->conn) ? half_deflated(deflater, message, frame) : 0;

    kt_sim_line_tick(line, 0);
    if (size != 0) {
        kt_ws_send_frame(line->conn, frame, size);
        kt_ws_close(line->conn, KT_WS_CLOSE_INTERNAL, KT_TEXT(ASKED_FOR));
        return;
    }
    size = kt_ws_header(frame, KT_WS_TEXT, true, message.n, NULL);
    memcpy(frame + size, message.s, message.n / 2);
    kt_ws_send_frame(line->conn, frame, size + message.n / 2);
    kt_ws_write_now(line->conn);
    kt_ws_drop(line->conn, ASKED_FOR);
}
