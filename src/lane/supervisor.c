#include "lane/supervisor.h"

#include "base/text.h"
#include "bus/ring.h"
#include "lane/state.h"

#include <errno.h>
#include <stdarg.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ASIDES_MAX = 16,             /* that one lane is told of at its next start */
    STARTING_LOOK_NS = 20000000, /* how often a lane that starts is looked at; idle houses have none */
    RELINK_LOOK_NS = 1000000000,
};

/* What a lane was busy with when it died, and at how many deaths in a row it was the same. */
typedef struct suspect {
    uint32_t log;
    uint64_t number; /* seq or hash; 0: nothing */
    uint32_t deaths;
} suspect;

typedef struct held {
    kt_supervisor_lane spec;
    int pidfd;       /* -1: not running */
    int control_fd;  /* ours */
    bool was_live;   /* its `running` event is written */
    uint32_t deaths; /* in a row, without progress */
    uint32_t waits;  /* starts in a row that found no room */
    int64_t start_at_ns;
    uint64_t best[KT_BOARD_LANE_MAX]; /* positions that were reached ever */
    suspect applying, decoding;
    kt_lane_aside asides[ASIDES_MAX];
    uint32_t aside_count;
    uint32_t relink; /* lanes to which a ring has still to be made */
} held;

struct kt_supervisor {
    kt_supervisor_options options;
    kt_board board;
    kt_waker waker;
    kt_log *house;
    uint32_t house_index;
    held lanes[KT_BOARD_LANE_MAX];
    uint32_t lane_count;
    uint32_t links; /* generations of rings made */
    int signal_fd;
    sigset_t old_signals;
    bool stopping;
    bool killed;
    int64_t stop_deadline_ns;
};

static int64_t system_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t now_ns(const kt_supervisor *supervisor)
{
    const kt_supervisor_host *host = supervisor->options.host;

    return host != NULL ? host->mono_ns(host->ctx) : system_ns();
}

static int64_t utc_ns(const kt_supervisor *supervisor)
{
    const kt_supervisor_host *host = supervisor->options.host;
    struct timespec now;

    if (host != NULL)
        return host->clock_ns(host->ctx);
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static kt_board_page *page_of(const kt_supervisor *supervisor, const held *lane)
{
    return kt_board_page_of(&supervisor->board, (uint32_t)(lane - supervisor->lanes));
}

static void say(kt_supervisor *supervisor, kt_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(kt_supervisor *supervisor, kt_level level, const char *fmt, ...)
{
    char line[512];
    va_list args;

    if (supervisor->options.diag == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    supervisor->options.diag(supervisor->options.diag_ctx, level, line);
}

/* ---- the house log ---- */

static void house_write(kt_supervisor *supervisor, uint16_t kind, const char *subject, const void *event)
{
    uint8_t payload[4096];
    kt_rec_head head = { .kind = kind, .flags = KT_REC_INPUT, .time_ns = utc_ns(supervisor) };
    uint32_t size;
    kt_err err = { 0 };
    kt_code code = kt_event_encode(kind, event, payload, sizeof payload, &size);

    if (code == KT_OK)
        code = kt_log_subject(supervisor->house, kt_text_of(subject), 0, &head.subject, &err);
    if (code == KT_OK)
        code = kt_log_append(supervisor->house, &head, payload, size, NULL);
    if (code == KT_OK)
        code = kt_log_sync(supervisor->house, &err);
    if (code != KT_OK) /* lanes go on: what can not be written is said */
        say(supervisor, KT_LEVEL_ERROR, "log 'house' does not take an event: %s", kt_code_text(code));
    kt_wake_log(&supervisor->waker, supervisor->house_index, kt_log_written(supervisor->house),
        kt_log_durable(supervisor->house));
}

static void house_lane_state(kt_supervisor *supervisor, const held *lane, kt_lane_state state, const char *reason)
{
    const kt_board_page *page = page_of(supervisor, lane);
    char subject[KT_SUBJECT_MAX + 1];
    kt_ev_lane_state event;

    kt_event_init(KT_EV_LANE_STATE, &event);
    event.lane = kt_text_of(lane->spec.name);
    event.state = (uint8_t)state;
    event.pid = (uint32_t)atomic_load(&page->pid);
    event.restarts = atomic_load(&page->restarts);
    event.reason = kt_text_of(reason);
    event.progress = atomic_load(&page->position[lane - supervisor->lanes]);
    snprintf(subject, sizeof subject, "house.lane.%s", lane->spec.name);
    house_write(supervisor, KT_EV_LANE_STATE, subject, &event);
}

static void house_alert(kt_supervisor *supervisor, const char *about, const char *text)
{
    kt_ev_alert event;

    kt_event_init(KT_EV_ALERT, &event);
    event.level = KT_LEVEL_ERROR;
    event.subject = kt_text_of(about);
    event.text = kt_text_of(text);
    house_write(supervisor, KT_EV_ALERT, "house.alert", &event);
}

/* ---- rings ---- */

static bool runs(const held *lane)
{
    return lane->pidfd >= 0;
}

/* A pair of rings of a new generation, for both at once. A lane that takes no messages now (stopped by SIGSTOP for long) is
 * tried again later. */
static void make_link(kt_supervisor *supervisor, uint32_t a, uint32_t b)
{
    uint32_t generation = ++supervisor->links;
    int fd;
    kt_err err = { 0 };

    supervisor->lanes[a].relink &= ~(1u << b);
    supervisor->lanes[b].relink &= ~(1u << a);
    if (kt_peer_link_create(KT_PEER_RING_CAPACITY, &fd, &err) != KT_OK) {
        say(supervisor, KT_LEVEL_ERROR, "%s", err.msg);
        supervisor->lanes[a].relink |= 1u << b;
        return;
    }
    for (int side = 0; side < 2; side++) {
        held *to = &supervisor->lanes[side == 0 ? a : b];
        uint32_t peer = side == 0 ? b : a;
        kt_control_message message = { .what = KT_CONTROL_LINK, .peer = peer, .generation = generation };
        if (kt_control_send(to->control_fd, &message, fd) == KT_BUSY)
            to->relink |= 1u << peer;
    }
    close(fd);
}

static void make_links(kt_supervisor *supervisor, uint32_t of)
{
    for (uint32_t peer = 0; peer < supervisor->lane_count; peer++)
        if (peer != of && runs(&supervisor->lanes[peer]))
            make_link(supervisor, of, peer);
}

static void end_links(kt_supervisor *supervisor, uint32_t of)
{
    kt_control_message message = { .what = KT_CONTROL_UNLINK, .peer = of, .generation = ++supervisor->links };

    for (uint32_t peer = 0; peer < supervisor->lane_count; peer++)
        if (peer != of && runs(&supervisor->lanes[peer]))
            kt_control_send(supervisor->lanes[peer].control_fd, &message, -1);
}

static void relink(kt_supervisor *supervisor)
{
    for (uint32_t a = 0; a < supervisor->lane_count; a++)
        for (uint32_t b = 0; b < supervisor->lane_count; b++)
            if ((supervisor->lanes[a].relink & 1u << b) != 0 && runs(&supervisor->lanes[a]) &&
                runs(&supervisor->lanes[b]))
                make_link(supervisor, a, b);
}

/* ---- starting ---- */

static kt_lane_links links_of(kt_supervisor *supervisor, held *lane, int control_fd)
{
    return (kt_lane_links){ .board = &supervisor->board,
        .lane_index = (uint32_t)(lane - supervisor->lanes),
        .control_fd = control_fd,
        .generation = atomic_load(&page_of(supervisor, lane)->generation),
        .lock_wait_ns = supervisor->options.lock_wait_ns,
        .asides = lane->asides,
        .aside_count = lane->aside_count };
}

static _Noreturn void be_lane(kt_supervisor *supervisor, held *lane, int control_fd, pid_t parent)
{
    uint32_t index = (uint32_t)(lane - supervisor->lanes);
    sigset_t none;
    kt_err err = { 0 };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(KT_LANE_EXIT_FAILED); /* it died before we asked to be told */
    prctl(PR_SET_NAME, lane->spec.name);
    /* A terminal and systemd send these to all processes of the house; the supervisor stops the lanes in order. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    kt_log_disown(supervisor->house);
    for (uint32_t i = 0; i < supervisor->lane_count; i++) {
        if (supervisor->lanes[i].pidfd >= 0)
            close(supervisor->lanes[i].pidfd);
        if (supervisor->lanes[i].control_fd >= 0)
            close(supervisor->lanes[i]
                      .control_fd); /* with a copy of it left open nobody would see the supervisor's end */
    }
    if (supervisor->signal_fd >= 0)
        close(supervisor->signal_fd);
    if (kt_board_protect(&supervisor->board, index, &err) != KT_OK)
        _exit(KT_LANE_EXIT_FAILED);
    kt_lane_links links = links_of(supervisor, lane, control_fd);
    _exit(lane->spec.run(&links, lane->spec.ctx));
}

/* The descriptor that tells the lane's end; -1 and errno. */
static int begin(kt_supervisor *supervisor, held *lane, const int sockets[2], pid_t *out_pid)
{
    const kt_supervisor_host *host = supervisor->options.host;
    pid_t parent = getpid();

    if (host != NULL) {
        kt_lane_links links = links_of(supervisor, lane, sockets[1]);
        return host->start(host->ctx, (uint32_t)(lane - supervisor->lanes), &links, out_pid);
    }
    *out_pid = fork();
    if (*out_pid == 0) {
        close(sockets[0]);
        be_lane(supervisor, lane, sockets[1], parent);
    }
    close(sockets[1]);
    int pidfd = *out_pid > 0 ? (int)syscall(SYS_pidfd_open, *out_pid, 0) : -1;
    if (pidfd < 0 && *out_pid > 0) {
        kill(*out_pid, SIGKILL);
        waitpid(*out_pid, NULL, 0);
    }
    return pidfd;
}

static void start_lane(kt_supervisor *supervisor, held *lane)
{
    kt_board_page *page = page_of(supervisor, lane);
    int sockets[2];
    pid_t pid = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
        lane->start_at_ns = now_ns(supervisor) + supervisor->options.backoff_max_ns;
        say(supervisor, KT_LEVEL_ERROR, "lane %s can not be started: no control socket, errno %d", lane->spec.name,
            errno);
        return;
    }
    atomic_store(&page->state, KT_BOARD_STARTING);
    atomic_fetch_add(&page->generation, 1);
    atomic_store(&page->live_since_ns, 0);
    atomic_store(&page->applying_seq, 0);
    atomic_store(&page->decoding_hash, 0);
    page->reason[0] = 0;
    lane->was_live = false;
    lane->pidfd = begin(supervisor, lane, sockets, &pid);
    if (lane->pidfd < 0) {
        close(sockets[0]);
        atomic_store(&page->state, KT_BOARD_WAITING);
        lane->start_at_ns = now_ns(supervisor) + supervisor->options.backoff_max_ns;
        say(supervisor, KT_LEVEL_ERROR, "lane %s can not be started: errno %d", lane->spec.name, errno);
        return;
    }
    lane->control_fd = sockets[0];
    atomic_store(&page->pid, pid);
    house_lane_state(supervisor, lane, KT_LANE_STARTED, "");
    say(supervisor, KT_LEVEL_INFO, "lane %s started, pid %d", lane->spec.name, (int)pid);
    make_links(supervisor, (uint32_t)(lane - supervisor->lanes));
}

/* ---- deaths ---- */

/* Moved since the deaths before: whatever killed it, it was not the same thing again. */
static bool progressed(const kt_supervisor *supervisor, held *lane)
{
    const kt_board_page *page = page_of(supervisor, lane);
    int64_t live_since = atomic_load(&page->live_since_ns);
    bool further = false;

    for (uint32_t log = 0; log < KT_BOARD_LANE_MAX; log++) {
        uint64_t position = atomic_load(&page->position[log]);
        further = further || position > lane->best[log];
        if (position > lane->best[log])
            lane->best[log] = position;
    }
    return further || (live_since != 0 && now_ns(supervisor) - live_since >= supervisor->options.settled_ns);
}

static void suspect_again(suspect *what, uint32_t log, uint64_t number)
{
    bool same = number != 0 && what->number == number && what->log == log;

    *what = (suspect){ .log = log, .number = number, .deaths = number == 0 ? 0 : same ? what->deaths + 1 : 1 };
}

/* Messages of a market can be had again or done without; commands are promises, and the house's own records are not to
 * blame. */
static bool may_set_aside(uint32_t kind)
{
    return kind < KT_EV_LANE_START && kind != KT_EV_TIMER;
}

static void set_aside(
    kt_supervisor *supervisor, held *lane, const char *log, uint64_t seq, uint64_t hash, uint32_t deaths)
{
    kt_ev_set_aside event;

    if (lane->aside_count == ASIDES_MAX)
        return;
    kt_lane_aside *aside = &lane->asides[lane->aside_count++];
    *aside = (kt_lane_aside){ .seq = seq, .hash = hash, .deaths = deaths };
    snprintf(aside->log, sizeof aside->log, "%s", log);
    kt_event_init(KT_EV_SET_ASIDE, &event);
    event.log = kt_text_of(log);
    event.seq = seq;
    event.hash = hash;
    event.lane = kt_text_of(lane->spec.name);
    event.deaths = deaths;
    event.reason = seq != 0 ? KT_TEXT("the lane died while it applied this record")
                            : KT_TEXT("the lane died while it decoded this message");
    house_write(supervisor, KT_EV_SET_ASIDE, "house.set_aside", &event);
    if (seq != 0)
        say(supervisor, KT_LEVEL_WARNING, "lane %s: record %llu of log '%s' is set aside after %u deaths",
            lane->spec.name, (unsigned long long)seq, log, deaths);
    else
        say(supervisor, KT_LEVEL_WARNING, "lane %s: the message with hash %016llx is set aside after %u deaths",
            lane->spec.name, (unsigned long long)hash, deaths);
}

static void look_for_poison(kt_supervisor *supervisor, held *lane)
{
    kt_board_page *page = page_of(supervisor, lane);
    uint32_t log = atomic_load(&page->applying_log);

    if (atomic_load(&page->live_since_ns) != 0)
        lane->aside_count = 0; /* it has written down what it was told */
    suspect_again(&lane->applying, log, atomic_load(&page->applying_seq));
    suspect_again(&lane->decoding, 0, atomic_load(&page->decoding_hash));
    if (lane->applying.deaths >= KT_DEATHS_TO_SET_ASIDE && may_set_aside(atomic_load(&page->applying_kind)) &&
        log < supervisor->board.lane_count)
        set_aside(supervisor, lane, kt_board_page_of(&supervisor->board, log)->name, lane->applying.number, 0,
            lane->applying.deaths);
    if (lane->decoding.deaths >= KT_DEATHS_TO_SET_ASIDE)
        set_aside(supervisor, lane, "", 0, lane->decoding.number, lane->decoding.deaths);
}

static void describe_end(const held *lane, const kt_board_page *page, const siginfo_t *info, char *out, size_t size)
{
    if (info->si_code == CLD_EXITED && page->reason[0] != 0)
        snprintf(out, size, "%.200s", page->reason);
    else if (info->si_code == CLD_EXITED)
        snprintf(out, size, "ended with code %d", info->si_status);
    else
        snprintf(out, size, "killed by signal %d (%s)", info->si_status, strsignal(info->si_status));
}

static void park(kt_supervisor *supervisor, held *lane, const char *reason)
{
    char text[512];

    atomic_store(&page_of(supervisor, lane)->state, KT_BOARD_PARKED);
    house_lane_state(supervisor, lane, KT_LANE_PARKED, reason);
    snprintf(text, sizeof text,
        "lane %s is parked: %s. Mend the cause, look with `kontor doctor`, start the house again.", lane->spec.name,
        reason);
    house_alert(supervisor, lane->spec.name, text);
    say(supervisor, KT_LEVEL_ERROR, "%s", text);
}

static int64_t backoff(const kt_supervisor *supervisor, uint32_t deaths)
{
    int64_t wait = supervisor->options.backoff_first_ns;

    for (uint32_t i = 1; i < deaths && wait < supervisor->options.backoff_max_ns; i++)
        wait *= 2;
    return wait < supervisor->options.backoff_max_ns ? wait : supervisor->options.backoff_max_ns;
}

static void start_later(kt_supervisor *supervisor, held *lane, uint32_t times, const char *what, const char *reason)
{
    int64_t wait = backoff(supervisor, times);

    lane->start_at_ns = now_ns(supervisor) + wait;
    atomic_store(&page_of(supervisor, lane)->state, KT_BOARD_WAITING);
    say(supervisor, KT_LEVEL_WARNING, "lane %s %s: %s; starts again in %lld ms", lane->spec.name, what, reason,
        (long long)(wait / 1000000));
}

/* A full disk is a condition, not a death: whoever makes room must not have to start the house again. */
static void wait_for_room(kt_supervisor *supervisor, held *lane, const char *reason)
{
    char text[512];

    house_lane_state(supervisor, lane, KT_LANE_WAITING, reason);
    if (lane->waits++ == 0) {
        snprintf(text, sizeof text, "lane %s waits for room: %s. It goes on by itself when there is some.",
            lane->spec.name, reason);
        house_alert(supervisor, lane->spec.name, text);
    }
    atomic_store(&page_of(supervisor, lane)->pid, 0);
    start_later(supervisor, lane, lane->waits, "waits for room", reason);
}

static void lane_ended(kt_supervisor *supervisor, held *lane, const siginfo_t *info)
{
    kt_board_page *page = page_of(supervisor, lane);
    char reason[256];

    close(lane->pidfd);
    close(lane->control_fd);
    lane->pidfd = lane->control_fd = -1;
    describe_end(lane, page, info, reason, sizeof reason);
    end_links(supervisor, (uint32_t)(lane - supervisor->lanes));
    if (supervisor->stopping) {
        bool clean = info->si_code == CLD_EXITED && info->si_status == KT_LANE_EXIT_OK;
        atomic_store(&page->state, KT_BOARD_STOPPED);
        house_lane_state(supervisor, lane, clean ? KT_LANE_STOPPED : KT_LANE_DIED, clean ? "" : reason);
        say(supervisor, clean ? KT_LEVEL_INFO : KT_LEVEL_WARNING, "lane %s: %s", lane->spec.name,
            clean ? "stopped" : reason);
        atomic_store(&page->pid, 0);
        return;
    }
    if (info->si_code == CLD_EXITED && info->si_status == KT_LANE_EXIT_FULL) {
        wait_for_room(supervisor, lane, reason);
        return;
    }
    lane->waits = 0;
    house_lane_state(supervisor, lane, KT_LANE_DIED, reason);
    look_for_poison(supervisor, lane);
    atomic_store(&page->pid, 0);
    lane->deaths = progressed(supervisor, lane) ? 0 : lane->deaths + 1;
    if (info->si_code == CLD_EXITED && info->si_status == KT_LANE_EXIT_PARK) {
        park(supervisor, lane, reason);
    } else if (lane->deaths >= KT_DEATHS_TO_PARK) {
        char text[384];
        snprintf(
            text, sizeof text, "it died %u times in a row without getting further, at last: %s", lane->deaths, reason);
        park(supervisor, lane, text);
    } else {
        start_later(supervisor, lane, lane->deaths, "died", reason);
    }
}

/* ---- turns ---- */

static void reap(kt_supervisor *supervisor, held *lane)
{
    const kt_supervisor_host *host = supervisor->options.host;
    siginfo_t info = { 0 };

    if (host != NULL)
        host->ended(host->ctx, (uint32_t)(lane - supervisor->lanes), &info);
    else if (waitid(P_PIDFD, (id_t)lane->pidfd, &info, WEXITED | WNOHANG) != 0)
        return;
    if (info.si_pid != 0)
        lane_ended(supervisor, lane, &info);
}

static void start_due(kt_supervisor *supervisor)
{
    int64_t now = now_ns(supervisor);

    for (uint32_t i = 0; i < supervisor->lane_count; i++) {
        held *lane = &supervisor->lanes[i];
        kt_board_page *page = page_of(supervisor, lane);
        if (atomic_load(&page->state) != KT_BOARD_WAITING || lane->start_at_ns > now || runs(lane))
            continue;
        atomic_fetch_add(&page->restarts, 1);
        start_lane(supervisor, lane);
    }
}

static void see_live(kt_supervisor *supervisor)
{
    for (uint32_t i = 0; i < supervisor->lane_count; i++) {
        held *lane = &supervisor->lanes[i];
        if (!runs(lane) || lane->was_live || atomic_load(&page_of(supervisor, lane)->state) != KT_BOARD_LIVE)
            continue;
        lane->was_live = true;
        lane->waits = 0;
        house_lane_state(supervisor, lane, KT_LANE_RUNNING, "");
    }
}

/* An idle house waits for ever. */
int64_t kt_supervisor_quiet_ns(const kt_supervisor *supervisor, int64_t max_ns)
{
    int64_t now = now_ns(supervisor), wait = max_ns < 0 ? INT64_MAX : max_ns;

    for (uint32_t i = 0; i < supervisor->lane_count; i++) {
        const held *lane = &supervisor->lanes[i];
        uint32_t state = atomic_load(&page_of(supervisor, lane)->state);
        int64_t at = INT64_MAX;
        if (!supervisor->stopping && state == KT_BOARD_WAITING && !runs(lane))
            at = lane->start_at_ns > now ? lane->start_at_ns - now : 0;
        else if (runs(lane) && !lane->was_live && !supervisor->stopping)
            at = STARTING_LOOK_NS;
        else if (lane->relink != 0)
            at = RELINK_LOOK_NS;
        wait = at < wait ? at : wait;
    }
    if (supervisor->stopping && !supervisor->killed && supervisor->stop_deadline_ns - now < wait)
        wait = supervisor->stop_deadline_ns > now ? supervisor->stop_deadline_ns - now : 0;
    return wait;
}

static void kill_all(kt_supervisor *supervisor)
{
    const kt_supervisor_host *host = supervisor->options.host;

    supervisor->killed = true;
    for (uint32_t i = 0; i < supervisor->lane_count; i++)
        if (runs(&supervisor->lanes[i]) && host != NULL)
            host->kill(host->ctx, i);
        else if (runs(&supervisor->lanes[i]))
            syscall(SYS_pidfd_send_signal, supervisor->lanes[i].pidfd, SIGKILL, NULL, 0);
}

static void read_signals(kt_supervisor *supervisor)
{
    struct signalfd_siginfo info;

    while (read(supervisor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (supervisor->stopping) {
            say(supervisor, KT_LEVEL_WARNING, "told a second time to stop: killing the lanes");
            kill_all(supervisor);
        } else {
            say(supervisor, KT_LEVEL_INFO, "stopping");
            kt_supervisor_stop(supervisor);
        }
    }
}

kt_code kt_supervisor_turn(kt_supervisor *supervisor, int64_t wait_ns, kt_err *err)
{
    struct pollfd fds[KT_BOARD_LANE_MAX + 1];
    held *of[KT_BOARD_LANE_MAX + 1] = { NULL };
    nfds_t count = 0;
    int64_t wait = kt_supervisor_quiet_ns(supervisor, wait_ns);
    struct timespec timeout = { .tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000) };

    if (supervisor->signal_fd >= 0)
        fds[count++] = (struct pollfd){ .fd = supervisor->signal_fd, .events = POLLIN };
    for (uint32_t i = 0; i < supervisor->lane_count; i++)
        if (runs(&supervisor->lanes[i])) {
            of[count] = &supervisor->lanes[i];
            fds[count++] = (struct pollfd){ .fd = supervisor->lanes[i].pidfd, .events = POLLIN };
        }
    if (ppoll(fds, count, wait == INT64_MAX ? NULL : &timeout, NULL) < 0 && errno != EINTR)
        return kt_fail(err, KT_SYS, "the supervisor can not wait for its lanes");
    for (nfds_t i = 0; i < count; i++) {
        if (of[i] != NULL && runs(of[i]) && fds[i].revents != 0)
            reap(supervisor, of[i]);
        else if (of[i] == NULL && fds[i].revents != 0)
            read_signals(supervisor);
    }
    see_live(supervisor);
    if (supervisor->stopping && !supervisor->killed && now_ns(supervisor) >= supervisor->stop_deadline_ns) {
        say(supervisor, KT_LEVEL_WARNING, "lanes that did not stop in time are killed");
        kill_all(supervisor);
    }
    if (!supervisor->stopping) {
        start_due(supervisor);
        relink(supervisor);
    }
    return KT_OK;
}

void kt_supervisor_stop(kt_supervisor *supervisor)
{
    kt_control_message message = { .what = KT_CONTROL_STOP };

    if (supervisor->stopping)
        return;
    supervisor->stopping = true;
    supervisor->stop_deadline_ns = now_ns(supervisor) + supervisor->options.stop_wait_ns;
    for (uint32_t i = 0; i < supervisor->lane_count; i++)
        if (runs(&supervisor->lanes[i]))
            kt_control_send(supervisor->lanes[i].control_fd, &message, -1);
}

bool kt_supervisor_stopped(const kt_supervisor *supervisor)
{
    for (uint32_t i = 0; i < supervisor->lane_count; i++)
        if (runs(&supervisor->lanes[i]))
            return false;
    return supervisor->stopping;
}

const kt_board *kt_supervisor_board(const kt_supervisor *supervisor)
{
    return &supervisor->board;
}

kt_code kt_supervisor_run(kt_supervisor *supervisor, kt_err *err)
{
    kt_code code = KT_OK;

    while (code == KT_OK && !kt_supervisor_stopped(supervisor))
        code = kt_supervisor_turn(supervisor, -1, err);
    if (code == KT_OK && supervisor->killed)
        code = kt_fail(err, KT_TIMEOUT, "some lanes did not close their logs in time and were killed; nothing is lost");
    return code;
}

/* ---- opening ---- */

static kt_code make_folder(const char *path, kt_err *err)
{
    char part[1024];
    size_t size = strlen(path);

    if (size >= sizeof part)
        return kt_fail(err, KT_LIMIT, "data folder '%s' has a path longer than %zu bytes", path, sizeof part - 1);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0750) != 0 && errno != EEXIST)
            return kt_fail(err, KT_SYS, "cannot make the data folder '%s'", part);
    }
    return KT_OK;
}

static int64_t house_clock(void *ctx)
{
    return utc_ns(ctx);
}

static uint64_t house_random(void *ctx)
{
    const kt_lane_world *world = ((const kt_supervisor *)ctx)->options.host->world;

    return world->random(world->random_ctx);
}

/* The lock of the house log is the lock of the house: lanes of a supervisor that has just been killed may take a moment to go,
 * and a second one must be told. */
static kt_code open_house(kt_supervisor *supervisor, kt_err *err)
{
    const kt_supervisor_options *options = &supervisor->options;
    char dir[1100];
    const kt_supervisor_host *host = options->host;
    int64_t deadline = now_ns(supervisor) + options->lock_wait_ns;
    kt_log_options log;
    kt_code code;

    snprintf(dir, sizeof dir, "%s/house", options->data_dir);
    kt_log_options_init(&log, dir);
    log.sync = KT_SYNC_INLINE;
    log.schema_hash = kt_schema_hash();
    log.segment_size = options->house_segment_size != 0 ? options->house_segment_size : 1 << 20;
    log.retention_bytes = options->house_retention_bytes;
    if (host != NULL) {
        log.clock_ns = house_clock;
        log.ctx = supervisor;
        log.random = house_random;
        log.io = host->world->io;
        memcpy(log.boot_id, host->boot_id, sizeof log.boot_id);
    }
    while ((code = kt_log_open(&log, &supervisor->house, err)) == KT_BUSY && now_ns(supervisor) < deadline)
        usleep(20000);
    if (code == KT_BUSY)
        kt_fail_within(err, code, "another kontor has the data folder '%s'", options->data_dir);
    return code;
}

/* From here on until the end of the supervisor, SIGTERM and SIGINT are read, so that no moment is left in which they would end it
 * without closing the logs. */
static kt_code take_signals(kt_supervisor *supervisor, kt_err *err)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, &supervisor->old_signals) != 0)
        return kt_fail(err, KT_SYS, "cannot block SIGTERM and SIGINT");
    supervisor->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (supervisor->signal_fd < 0) {
        sigprocmask(SIG_SETMASK, &supervisor->old_signals, NULL);
        return kt_fail(err, KT_SYS, "cannot make a signalfd");
    }
    return KT_OK;
}

static kt_code check_lanes(const kt_supervisor_options *options, kt_err *err)
{
    if (options->lane_count == 0 || options->lane_count > KT_BOARD_LANE_MAX - 1)
        return kt_fail(err, KT_LIMIT, "%u lanes; a node has 1 to %d", options->lane_count, KT_BOARD_LANE_MAX - 1);
    for (uint32_t i = 0; i < options->lane_count; i++) {
        const char *name = options->lanes[i].name;
        bool twice = strcmp(name, "house") == 0;
        for (uint32_t j = 0; j < i; j++)
            twice = twice || strcmp(options->lanes[j].name, name) == 0;
        if (twice)
            return kt_fail(err, KT_ARG, "lane '%s' is named twice, or as the supervisor's own log", name);
    }
    return KT_OK;
}

static void default_options(kt_supervisor_options *options)
{
    const struct {
        int64_t *value;
        int64_t fallback;
    } rows[] = {
        { &options->backoff_first_ns, KT_BACKOFF_FIRST_NS },
        { &options->backoff_max_ns, KT_BACKOFF_MAX_NS },
        { &options->lock_wait_ns, KT_LOCK_WAIT_NS },
        { &options->stop_wait_ns, KT_STOP_WAIT_NS },
        { &options->settled_ns, KT_SETTLED_NS },
    };

    for (uint32_t i = 0; i < KT_COUNT(rows); i++)
        if (*rows[i].value == 0)
            *rows[i].value = rows[i].fallback;
}

kt_code kt_supervisor_open(const kt_supervisor_options *options, kt_supervisor **out_supervisor, kt_err *err)
{
    const char *names[KT_BOARD_LANE_MAX];
    kt_supervisor *supervisor = NULL;
    kt_code code = check_lanes(options, err);

    if (code == KT_OK)
        code = make_folder(options->data_dir, err);
    if (code != KT_OK)
        return code;
    supervisor = calloc(1, sizeof *supervisor);
    if (supervisor == NULL)
        return kt_fail(err, KT_SYS, "no memory for the supervisor");
    supervisor->options = *options;
    supervisor->signal_fd = -1;
    supervisor->lane_count = supervisor->house_index = options->lane_count;
    default_options(&supervisor->options);
    for (uint32_t i = 0; i < options->lane_count; i++) {
        supervisor->lanes[i] = (held){ .spec = options->lanes[i], .pidfd = -1, .control_fd = -1 };
        names[i] = options->lanes[i].name;
    }
    names[options->lane_count] = "house";
    code = kt_board_open(&supervisor->board, names, options->lane_count + 1, err);
    if (code == KT_OK && options->host == NULL)
        code = take_signals(supervisor, err);
    if (code == KT_OK)
        code = open_house(supervisor, err);
    if (code != KT_OK) {
        kt_supervisor_close(supervisor);
        return code;
    }
    kt_waker_init(&supervisor->waker, &supervisor->board);
    kt_board_page *house = kt_board_page_of(&supervisor->board, supervisor->house_index);
    atomic_store(&house->pid, getpid());
    atomic_store(&house->state, KT_BOARD_LIVE);
    for (uint32_t i = 0; i < supervisor->lane_count; i++)
        start_lane(supervisor, &supervisor->lanes[i]);
    *out_supervisor = supervisor;
    return KT_OK;
}

void kt_supervisor_close(kt_supervisor *supervisor)
{
    if (supervisor == NULL)
        return;
    supervisor->stopping = true;
    kill_all(supervisor);
    for (uint32_t i = 0; i < supervisor->lane_count; i++) {
        held *lane = &supervisor->lanes[i];
        siginfo_t info = { 0 };
        if (runs(lane) && supervisor->options.host != NULL)
            reap(supervisor, lane);
        else if (runs(lane) && waitid(P_PIDFD, (id_t)lane->pidfd, &info, WEXITED) == 0)
            lane_ended(supervisor, lane, &info);
    }
    kt_log_close(supervisor->house, NULL);
    kt_board_close(&supervisor->board);
    if (supervisor->signal_fd >= 0) {
        close(supervisor->signal_fd);
        sigprocmask(SIG_SETMASK, &supervisor->old_signals, NULL);
    }
    free(supervisor);
}

/* ---- what a lane's process runs ---- */

int kt_lane_main(const kt_lane_options *options)
{
    const kt_lane_links *links = options->links;
    int64_t deadline = system_ns() + (links != NULL ? links->lock_wait_ns : 0);
    kt_lane *lane = NULL;
    kt_err err = { 0 };
    bool park = false;
    kt_code code;

    while ((code = kt_lane_open(options, &lane, &park, &err)) == KT_BUSY && system_ns() < deadline)
        usleep(20000); /* a lane of a former supervisor is about to let go */
    if (code == KT_OK)
        code = kt_lane_run(lane, &park, &err);
    kt_lane_close(lane, code == KT_OK);
    if (code == KT_OK)
        return KT_LANE_EXIT_OK;
    if (links != NULL)
        snprintf(kt_board_page_of(links->board, links->lane_index)->reason, KT_BOARD_REASON_SIZE, "%s", err.msg);
    if (options->diag != NULL)
        options->diag(options->diag_ctx, KT_LEVEL_ERROR, err.msg);
    return park ? KT_LANE_EXIT_PARK : code == KT_FULL ? KT_LANE_EXIT_FULL : KT_LANE_EXIT_FAILED;
}
