/* Tapes made by the generator beside the recordings: the trades that it says must come, with each kind of id. 5 million commands
 * a tape, KONTOR_CASES_PERCENT of them, and a shorter tape of another seed. */
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/test_util.h"
#include "book/match_tape.h"

#define GENERATOR "../tools/workload_gen.c"

enum { COMMANDS = 5000000 };

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static void trades_are_exact(const char *generator, const char *variant, uint32_t commands, uint64_t seed)
{
    char path[512], command[2048];
    char *bytes;
    size_t size;
    const kt_tape *tape;

    snprintf(path, sizeof path, "%s/tape", kt_test_dir());
    snprintf(command, sizeof command, "'%s' %s '%s' %u %llu 2>/dev/null", generator, variant, path, commands,
        (unsigned long long)seed);
    run(command);
    bytes = kt_test_read_file(path, &size);
    tape = bytes != NULL ? kt_tape_of(bytes, size) : NULL;
    assert_non_null(tape);
    for (kt_match_ids ids = 0; ids < KT_MATCH_IDS_COUNT; ids++) {
        kt_match_bounds bounds = kt_tape_bounds(tape, ids);
        kt_match *match = kt_match_new(&bounds);
        kt_tape_outcome outcome;

        assert_non_null(match);
        if (!kt_tape_play(tape, match, NULL, &outcome) || !kt_tape_is(tape, &outcome))
            fail_msg("%s, %u commands, seed %llu, ids %u: %llu trades, hash %016llx; the tape says %llu, %016llx",
                variant, commands, (unsigned long long)seed, ids, (unsigned long long)outcome.trades,
                (unsigned long long)outcome.hash, (unsigned long long)tape->trades, (unsigned long long)tape->hash);
        kt_match_free(match);
    }
    print_message("# %s, %u commands, seed %llu: %llu trades, hash %016llx\n", variant, commands,
        (unsigned long long)seed, (unsigned long long)tape->trades, (unsigned long long)tape->hash);
    free(bytes);
    remove(path);
}

static void tapes_of_the_generator(void **state)
{
    static const char *const variants[] = { "single", "multi", "deep", "sparse" };
    char generator[512], command[2048];

    snprintf(generator, sizeof generator, "%s/workload_gen", kt_test_dir());
    snprintf(command, sizeof command, "cc -O2 -w -o '%s' '%s'", generator, kt_test_recordings(GENERATOR));
    run(command);
    for (size_t i = 0; i < KT_COUNT(variants); i++) {
        trades_are_exact(generator, variants[i], kt_test_cases(COMMANDS), 1);
        trades_are_exact(generator, variants[i], kt_test_cases(COMMANDS / 7), 2 + kt_test_seed() % 1000000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KT_TEST_RECORDED(tapes_of_the_generator, GENERATOR),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
