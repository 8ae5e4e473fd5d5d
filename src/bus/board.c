#include "bus/board.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(kt_board_page) <= KT_BOARD_PAGE_SIZE, "a lane's page must fit one page, see kt_board_protect");

#define X(name, text) [KT_BOARD_##name] = text,
static const char *const state_texts[KT_BOARD_STATE_COUNT] = { KT_BOARD_STATE_MAP(X) };
#undef X

const char *kt_board_state_text(uint32_t state)
{
    return state < KT_BOARD_STATE_COUNT ? state_texts[state] : "unknown";
}

kt_code kt_board_open(kt_board *board, const char *const *names, uint32_t count, kt_err *err)
{
    size_t size = (size_t)KT_BOARD_LANE_MAX * KT_BOARD_PAGE_SIZE;
    kt_code code = KT_OK;

    *board = (kt_board){ .lane_count = count };
    for (uint32_t i = 0; i < KT_BOARD_LANE_MAX; i++)
        board->bell_fds[i] = -1;
    if (count > KT_BOARD_LANE_MAX)
        return kt_fail(err, KT_LIMIT, "%u lanes; a node has at most %d", count, KT_BOARD_LANE_MAX);
    board->pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board->pages == MAP_FAILED) {
        board->pages = NULL;
        return kt_fail(err, KT_SYS, "cannot map the board of lanes");
    }
    for (uint32_t i = 0; i < count && code == KT_OK; i++) {
        kt_board_page *page = kt_board_page_of(board, i);
        if (strlen(names[i]) >= KT_BOARD_NAME_SIZE) {
            code = kt_fail(err, KT_LIMIT, "lane name '%s' is longer than %d bytes", names[i], KT_BOARD_NAME_SIZE - 1);
            break;
        }
        strcpy(page->name, names[i]);
        for (uint32_t log = 0; log < KT_BOARD_LANE_MAX; log++) {
            atomic_store(&page->want_written[log], UINT64_MAX);
            atomic_store(&page->want_durable[log], UINT64_MAX);
        }
        board->bell_fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (board->bell_fds[i] < 0)
            code = kt_fail(err, KT_SYS, "cannot make the eventfd of lane '%s'", names[i]);
    }
    if (code != KT_OK)
        kt_board_close(board);
    return code;
}

void kt_board_close(kt_board *board)
{
    if (board == NULL || board->pages == NULL)
        return;
    for (uint32_t i = 0; i < KT_BOARD_LANE_MAX; i++)
        if (board->bell_fds[i] >= 0)
            close(board->bell_fds[i]);
    munmap(board->pages, (size_t)KT_BOARD_LANE_MAX * KT_BOARD_PAGE_SIZE);
    board->pages = NULL;
}

kt_code kt_board_protect(kt_board *board, uint32_t lane_index, kt_err *err)
{
    for (uint32_t i = 0; i < KT_BOARD_LANE_MAX; i++)
        if (i != lane_index && mprotect(kt_board_page_of(board, i), KT_BOARD_PAGE_SIZE, PROT_READ) != 0)
            return kt_fail(err, KT_SYS, "cannot make the board's page %u read-only", i);
    return KT_OK;
}

/* A text in another lane's page, cut at its bound. */
static kt_text page_text(const char *s, size_t size)
{
    return (kt_text){ s, strnlen(s, size) };
}

int kt_board_find(const kt_board *board, kt_text name)
{
    for (uint32_t i = 0; i < board->lane_count; i++)
        if (kt_text_equal(page_text(kt_board_page_of(board, i)->name, KT_BOARD_NAME_SIZE), name))
            return (int)i;
    return -1;
}

static bool page_answers(const kt_board_page *page, kt_text action)
{
    uint32_t count = atomic_load_explicit(&page->action_count, memory_order_acquire);

    for (uint32_t i = 0; i < count && i < KT_BOARD_ACTION_MAX; i++)
        if (kt_text_equal(page_text(page->actions[i], KT_BOARD_ACTION_SIZE), action))
            return true;
    return false;
}

int kt_board_find_action(const kt_board *board, kt_text action)
{
    for (uint32_t i = 0; i < board->lane_count; i++)
        if (page_answers(kt_board_page_of(board, i), action))
            return (int)i;
    return -1;
}

kt_code kt_board_add_action(const kt_board *board, uint32_t lane_index, kt_text action, kt_err *err)
{
    kt_board_page *page = kt_board_page_of(board, lane_index);
    uint32_t count = atomic_load(&page->action_count);

    if (page_answers(page, action))
        return KT_OK;
    if (action.n >= KT_BOARD_ACTION_SIZE)
        return kt_fail(
            err, KT_LIMIT, "action '%.*s' is longer than %d bytes", KT_TEXT_ARG(action), KT_BOARD_ACTION_SIZE - 1);
    if (count >= KT_BOARD_ACTION_MAX)
        return kt_fail(err, KT_LIMIT, "lane '%s' answers %d actions already", page->name, KT_BOARD_ACTION_MAX);
    memcpy(page->actions[count], action.s, action.n);
    page->actions[count][action.n] = 0;
    atomic_store_explicit(&page->action_count, count + 1, memory_order_release);
    return KT_OK;
}
