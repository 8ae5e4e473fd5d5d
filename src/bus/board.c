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

/* Names that a lane tells, each once: written by it alone, read by all. */
typedef struct name_list {
    _Atomic uint32_t *count;
    char *names;
    uint32_t max;
    size_t size; /* of one name, with its NUL */
    const char *what;
} name_list;

static name_list actions_of(kt_board_page *page)
{
    return (name_list){ &page->action_count, page->actions[0], KT_BOARD_ACTION_MAX, KT_BOARD_ACTION_SIZE, "action" };
}

static name_list services_of(kt_board_page *page)
{
    return (name_list){ &page->service_count, page->services[0], KT_BOARD_SERVICE_MAX, KT_BOARD_NAME_SIZE, "service" };
}

/* Another lane's page may hold anything: nothing is read beyond its bounds. */
static bool name_at(const name_list *list, uint32_t index, kt_text *out_name)
{
    if (index >= list->max || index >= atomic_load_explicit(list->count, memory_order_acquire))
        return false;
    *out_name = page_text(list->names + index * list->size, list->size);
    return true;
}

static bool has_name(const name_list *list, kt_text name)
{
    kt_text known;

    for (uint32_t i = 0; name_at(list, i, &known); i++)
        if (kt_text_equal(known, name))
            return true;
    return false;
}

static kt_code add_name(const name_list *list, kt_text name, kt_err *err)
{
    uint32_t count = atomic_load(list->count);

    if (has_name(list, name))
        return KT_OK;
    if (name.n >= list->size)
        return kt_fail(
            err, KT_LIMIT, "%s '%.*s' is longer than %zu bytes", list->what, KT_TEXT_ARG(name), list->size - 1);
    if (count >= list->max)
        return kt_fail(err, KT_LIMIT, "%s '%.*s' is one too many: a lane has at most %u", list->what, KT_TEXT_ARG(name),
            list->max);
    memcpy(list->names + count * list->size, name.s, name.n);
    list->names[count * list->size + name.n] = '\0';
    atomic_store_explicit(list->count, count + 1, memory_order_release);
    return KT_OK;
}

int kt_board_find_action(const kt_board *board, kt_text action)
{
    for (uint32_t i = 0; i < board->lane_count; i++) {
        name_list actions = actions_of(kt_board_page_of(board, i));

        if (has_name(&actions, action))
            return (int)i;
    }
    return -1;
}

kt_code kt_board_add_action(const kt_board *board, uint32_t lane_index, kt_text action, kt_err *err)
{
    name_list actions = actions_of(kt_board_page_of(board, lane_index));

    return add_name(&actions, action, err);
}

kt_code kt_board_add_service(const kt_board *board, uint32_t lane_index, kt_text service, kt_err *err)
{
    name_list services = services_of(kt_board_page_of(board, lane_index));

    return add_name(&services, service, err);
}

bool kt_board_service_at(const kt_board *board, uint32_t lane_index, uint32_t index, kt_text *out_service)
{
    name_list services = services_of(kt_board_page_of(board, lane_index));

    return name_at(&services, index, out_service);
}
