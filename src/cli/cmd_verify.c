/* convmark verify: whether every instruction set and number of threads of this machine computes the
 * same bits, and whether these are the recorded ones. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/machine.h"
#include "core/system/clock.h"
#include "core/system/threads.h"
#include "harness/verify/kernel_checks.h"
#include "harness/verify/verify.h"

/* Teams that do not divide work evenly; the largest exceeds the cores of small machines. */
#ifdef _OPENMP
static const int team_sizes[] = {1, 2, 3, 7};
#else
static const int team_sizes[] = {1}; /* what this build can run */
#endif

enum { TEAM_SIZES = sizeof team_sizes / sizeof team_sizes[0], DEFAULT_CASES = 20 };

typedef struct verify_options {
    int cases;
    uint64_t seed;
} verify_options;

static const cm_option option_table[] = {
    {"cases", CM_OPTION_INT, offsetof(verify_options, cases), "N",
     "Try N shapes of each kernel (default: 20)", 1, 1000000, NULL},
    {"seed", CM_OPTION_SEED, offsetof(verify_options, seed), "N",
     "Seed the shapes and the data (default: 0)", 0, 0, NULL},
    {0}};

/* Results so far. */
typedef struct verify_run {
    const verify_options *options;
    const cm_machine_options *machine;
    int checks, failed;
    cm_error first; /* message of the first failure */
} verify_run;

static void count_check(verify_run *run, cm_status status, const cm_error *error) {
    ++run->checks;
    if (status != CM_OK) {
        if (run->failed == 0) {
            run->first = *error;
        }
        ++run->failed;
    }
}

static void check_kernels(verify_run *run, const cm_kernels *kernels, int threads) {
    cm_check_report report = {0};
    cm_error error = {""};
    cm_threads_prepare(threads, false, run->machine->topology, NULL);
    const int64_t begin = cm_clock_ns();
    const cm_status status = cm_check_kernels(kernels, threads, run->options->seed,
                                              run->options->cases, &report, &error);
    count_check(run, status, &error);
    if (!run->machine->quiet) {
        printf("kernels  %-7s %d %-8s %-6s %lld outputs compared in %.1f s\n", kernels->name,
               threads, threads == 1 ? "thread" : "threads", status == CM_OK ? "same" : "DIFFER",
               (long long)report.elements, (double)(cm_clock_ns() - begin) / 1e9);
        fflush(stdout);
    }
}

/* Short training runs of one variant. To take about a minute in total, only the best instruction
 * set runs on all teams; the others run on the largest. */
static void check_golden(verify_run *run, const cm_golden *golden) {
    const int checks = run->checks, failed = run->failed;
    const int64_t begin = cm_clock_ns();
    for (int i = 0; i < TEAM_SIZES; ++i) {
        cm_threads_prepare(team_sizes[i], false, run->machine->topology, NULL);
        for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
            const bool chosen = isa == cm_kernels_best()->isa || i == TEAM_SIZES - 1;
            if (chosen && cm_kernels_of(isa) != NULL) {
                cm_error error = {""};
                count_check(run, cm_verify_golden(golden, isa, team_sizes[i], &error), &error);
            }
        }
    }
    if (!run->machine->quiet) {
        printf("golden   %-16s  %-6s %.16s... in %d runs, %.1f s\n", golden->variant,
               run->failed == failed ? "same" : "DIFFER", golden->sha256, run->checks - checks,
               (double)(cm_clock_ns() - begin) / 1e9);
        fflush(stdout);
    }
}

static cm_status verify(const verify_options *options, const cm_machine_options *machine,
                        cm_error *error) {
    verify_run run = {.options = options, .machine = machine, .first = {""}};
    /* Stop once standard output is lost: main() reports it. */
    for (cm_isa isa = 0; isa < CM_ISA_COUNT; ++isa) {
        const cm_kernels *kernels = cm_kernels_of(isa);
        for (int i = 0; kernels != NULL && i < TEAM_SIZES && !ferror(stdout); ++i) {
            check_kernels(&run, kernels, team_sizes[i]);
        }
    }
    int golden_count;
    const cm_golden *goldens = cm_goldens(&golden_count);
    for (int i = 0; i < golden_count && !ferror(stdout); ++i) {
        check_golden(&run, &goldens[i]);
    }
    if (run.failed > 0) {
        return cm_fail(error, CM_FAILED, "verify: %d of %d checks failed; the first: %s",
                       run.failed, run.checks, run.first.message);
    }
    if (!machine->quiet) {
        printf("verified: %d checks, every bit the same\n", run.checks);
    }
    return CM_OK;
}

cm_status cm_command_verify(const cm_command *command, int argc, const char **argv,
                            cm_error *error) {
    verify_options options = {.cases = DEFAULT_CASES};
    bool quiet = false;
    static const cm_option quiet_table[] = {
        {"quiet", CM_OPTION_TRUE, 0, NULL, "Print errors only", 0, 0, NULL}, {0}};
    const cm_option_group groups[] = {{option_table, &options}, {quiet_table, &quiet}};
    cm_arguments arguments;
    cm_status status =
        cm_arguments_parse(&command->usage, argc, argv, groups, 2, 0, &arguments, error);
    if (status == CM_OK && !arguments.help) {
        cm_machine_options machine = cm_machine_options_default();
        machine.threads = team_sizes[TEAM_SIZES - 1];
        machine.pin = false;
        machine.quiet = true; /* no warning: more threads than cores are intended */
        status = cm_machine_prepare(&machine, error);
        machine.quiet = quiet;
        if (status == CM_OK) {
            status = verify(&options, &machine, error);
        }
        cm_machine_release(&machine);
    }
    cm_arguments_free(&arguments);
    return status;
}
