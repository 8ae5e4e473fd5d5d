#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/time.h"
#include "venue/sim/parts.h"

static kt_sim *running; /* whom signals mean */

static void on_signal(int number)
{
    if (number == SIGUSR1) {
        running->totals_wanted = 1;
        kt_loop_wake(running->loop);
    } else {
        kt_loop_stop(running->loop);
    }
}

static void catch_signals(kt_sim *sim)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    running = sim;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static kt_code run(const kt_sim_options *options, kt_err *err)
{
    kt_loop *loop = NULL;
    kt_sim *sim = NULL;
    kt_code code = kt_loop_new(NULL, &loop, err);

    if (code == KT_OK)
        code = kt_sim_open(loop, options, &sim, err);
    if (code != KT_OK)
        goto out;
    catch_signals(sim);
    printf("listening 127.0.0.1:%u\n", sim->port);
    if (sim->control != NULL)
        printf("control 127.0.0.1:%u\n", kt_http_server_port(sim->control));
    fflush(stdout);
    if (options->wait == 0 && options->speed != KT_SIM_SPEED_MAX) {
        kt_loop_turn(loop, 0, NULL); /* so that the clock starts now, however long the tape took to read */
        kt_sim_start(sim);
    }
    code = kt_loop_run(loop, err);
    kt_sim_append_totals(sim);
    if (sim->code != KT_OK) {
        code = sim->code;
        *err = sim->err;
    }
out:
    kt_sim_close(sim);
    if (loop != NULL)
        kt_loop_free(loop);
    return code;
}

int kt_sim_main(int argc, char **argv)
{
    kt_sim_options options;
    struct timespec now;
    kt_err err = { 0 };

    clock_gettime(CLOCK_REALTIME, &now);
    if (kt_sim_options_read(argc, argv, (int64_t)now.tv_sec * KT_NS_PER_S + now.tv_nsec, &options, &err) != KT_OK) {
        fprintf(stderr, "kontor sim: %s\n", err.msg);
        return 2;
    }
    if (options.help) {
        kt_sim_help(stdout);
        return 0;
    }
    if (run(&options, &err) != KT_OK) {
        fprintf(stderr, "kontor sim: %s\n", err.msg);
        return 1;
    }
    return 0;
}
