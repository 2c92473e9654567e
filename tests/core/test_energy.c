/* The packages' energy, from folders that look like those of powercap; and what a training run says
 * of it. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "convmark/trainer.h"
#include "core/system/energy.h"
#include "support/models.h"
#include "support/temporary.h"

/* One domain of powercap: NAME/name, energy_uj, max_energy_range_uj. */
static void put(const char *domain, const char *file, const char *text) {
    char name[128];
    snprintf(name, sizeof name, "sys/class/powercap/%s/%s", domain, file);
    temporary_write(name, text, strlen(text));
}

static void put_domain(const char *domain, const char *name, const char *energy) {
    char folder[128];
    snprintf(folder, sizeof folder, "sys/class/powercap/%s", domain);
    assert_int_equal(mkdir(temporary_path(folder), 0777), 0);
    put(domain, "name", name);
    put(domain, "energy_uj", energy);
    put(domain, "max_energy_range_uj", "1000000000\n");
}

static int make_folders(void **state) {
    (void)state;
    mkdir(temporary_path("sys"), 0777);
    mkdir(temporary_path("sys/class"), 0777);
    return mkdir(temporary_path("sys/class/powercap"), 0777);
}

static int remove_folders(void **state) {
    (void)state;
    temporary_empty(temporary_folder);
    return 0;
}

static void put_two_packages(void) {
    put_domain("intel-rapl:0", "package-0\n", "5000000\n");
    put_domain("intel-rapl:1", "package-1\n", "999000000\n");
    put_domain("intel-rapl:0:0", "core\n", "1\n");
    put_domain("intel-rapl:2", "psys\n", "1\n");
    put_domain("intel-rapl-mmio:0", "package-0\n", "1\n");
    put_domain("dtpm", "package-0\n", "1\n");
}

static void test_packages_are_summed(void **state) {
    (void)state;
    put_two_packages();
    cm_energy energy;
    cm_energy_open(temporary_folder, &energy);
    assert_int_equal(energy.package_count, 2);
    assert_string_equal(energy.note, "");
    assert_true(cm_energy_read(&energy) == 0.0);
    put("intel-rapl:0", "energy_uj", "8000000\n");
    assert_true(fabs(cm_energy_read(&energy) - 3.0) < 1e-9);
    put("intel-rapl:1", "energy_uj", "999500000\n");
    assert_true(fabs(cm_energy_read(&energy) - 3.5) < 1e-9);
    /* Parts, the whole, and another way to the same package do not count. */
    put("intel-rapl:0:0", "energy_uj", "900000000\n");
    put("intel-rapl:2", "energy_uj", "900000000\n");
    put("intel-rapl-mmio:0", "energy_uj", "900000000\n");
    assert_true(fabs(cm_energy_read(&energy) - 3.5) < 1e-9);
}

static void test_counters_begin_anew(void **state) {
    (void)state;
    put_two_packages();
    cm_energy energy;
    cm_energy_open(temporary_folder, &energy);
    put("intel-rapl:1", "energy_uj", "2000000\n"); /* 1 J to the range, 2 J from 0 */
    assert_true(fabs(cm_energy_read(&energy) - 3.0) < 1e-9);
}

static void test_where_there_is_none(void **state) {
    (void)state;
    cm_energy energy;
    put_domain("intel-rapl:0", "psys\n", "1\n");
    cm_energy_open(temporary_folder, &energy);
    assert_int_equal(energy.package_count, 0);
    assert_non_null(strstr(energy.note, "has no package"));
    assert_true(isnan(cm_energy_read(&energy)));
    cm_energy_open("/nonexistent", &energy);
    assert_non_null(strstr(energy.note, "/nonexistent/sys/class/powercap"));
    assert_true(isnan(cm_energy_read(&energy)));
    cm_energy_keep_up(NULL);
}

static void test_what_cannot_be_read(void **state) {
    (void)state;
    cm_energy energy;
    put_two_packages();
    cm_energy_open(temporary_folder, &energy);
    assert_int_equal(remove(temporary_path("sys/class/powercap/intel-rapl:0/energy_uj")), 0);
    assert_true(isnan(cm_energy_read(&energy))); /* gone while we looked */
    assert_non_null(strstr(energy.note, "intel-rapl:0/energy_uj: No such file"));
    assert_true(isnan(cm_energy_read(&energy)));
    put("intel-rapl:0", "energy_uj", "many\n");
    cm_energy_open(temporary_folder, &energy);
    assert_int_equal(energy.package_count, 0);
    assert_non_null(strstr(energy.note, "energy_uj"));
}

static double used; /* microjoules of the fake machine */
static volatile sig_atomic_t stop;

static void use(double joules) {
    char text[32];
    used += joules * 1e6;
    snprintf(text, sizeof text, "%.0f\n", fmod(used, 1e9));
    put("intel-rapl:0", "energy_uj", text);
}

/* Each training batch takes 2 J, each validation batch 5. Stops where *context counts down to 0. */
static void use_energy(const cm_train_progress *progress, const cm_epoch_result *epoch,
                       void *context) {
    int *left = context;
    if (epoch == NULL) {
        use(progress->validating ? 5 : 2);
        stop = --*left == 0;
    }
}

enum { IMAGES = 8, PIXELS = 4 };
static uint8_t pixels[IMAGES * PIXELS], labels[IMAGES];
static const cm_dataset dataset = {.name = "test",
                                   .classes = 2,
                                   .train = {IMAGES, 2, 2, pixels, labels},
                                   .validation = {IMAGES, 2, 2, pixels, labels}};

static void open_energy(cm_energy *energy) {
    put_domain("intel-rapl:0", "package-0\n", "999998000\n");
    used = 999998000;
    cm_energy_open(temporary_folder, energy);
}

static cm_train_options options_of(cm_energy *energy) {
    cm_train_options options = cm_train_options_default();
    options.epochs = 3;
    options.steps = 4;
    options.valid_steps = 2;
    options.batch = 4;
    options.energy = energy;
    return options;
}

static void test_a_run_counts_its_training(void **state) {
    (void)state;
    cm_energy energy;
    int never = 0;
    open_energy(&energy);
    cm_network *network = network_of("input 1 2 2\nflatten\nlinear 2\n");
    cm_model *model = model_of(network, 4, 1, CM_ISA_BEST, true);
    cm_model_initialize(model, 0);
    cm_train_result result;
    for (int pass = 0; pass < 2; ++pass) {
        const cm_train_options options = options_of(pass == 0 ? &energy : NULL);
        assert_int_equal(
            cm_train(model, &dataset, &options, use_energy, &never, NULL, &result, NULL), CM_OK);
        for (int i = 0; i < 3; ++i) {
            const double joules = result.epochs[i].joules;
            assert_true(pass == 0 ? fabs(joules - 8.0) < 1e-9 : isnan(joules));
        }
        const cm_train_cost cost = cm_train_cost_of(&result, &options, 2);
        assert_true(cost.images == 2 * 4 * 4);
        assert_true(cost.seconds ==
                    result.epochs[0].train_seconds + result.epochs[1].train_seconds);
        assert_true(pass == 0 ? fabs(cost.joules - 16.0) < 1e-9 : isnan(cost.joules));
        cm_train_result_free(&result);
    }
    cm_model_free(model);
    cm_network_free(network);
}

/* What others use while the run is not there is not the run's, wherever it was interrupted. */
static void test_an_interruption_is_not_counted(void **state) {
    (void)state;
    char path[TEMPORARY_PATH_SIZE];
    snprintf(path, sizeof path, "%s", temporary_path("checkpoint"));
    cm_network *network = network_of("input 1 2 2\nflatten\nlinear 2\n");
    cm_energy energy;
    open_energy(&energy);
    for (int parts = 1; parts <= 3; ++parts) {
        cm_checkpoint_options checkpoints = {.path = path, .every = 3};
        cm_train_options options = options_of(&energy);
        cm_status status = CM_INTERRUPTED;
        cm_train_result result = {0};
        while (status == CM_INTERRUPTED) {
            int left = parts; /* batches until the next stop */
            cm_train_result_free(&result);
            cm_model *model = model_of(network, 4, 1, CM_ISA_BEST, true);
            cm_model_initialize(model, 0);
            use(100);
            cm_energy_open(temporary_folder, &energy);
            stop = 0;
            const cm_train_watch watch = {use_energy, &left, &stop};
            status = cm_train_with_checkpoints(model, &dataset, &options, &checkpoints, &watch,
                                               &result, NULL);
            cm_model_free(model);
            checkpoints = (cm_checkpoint_options){.resume = path, .every = 3};
        }
        assert_int_equal(status, CM_OK);
        for (int i = 0; i < 3; ++i) {
            assert_true(fabs(result.epochs[i].joules - 8.0) < 1e-9);
        }
        cm_train_result_free(&result);
        assert_int_equal(remove(path), 0);
        assert_int_equal(remove(temporary_path("checkpoint.previous")), 0);
    }
    cm_network_free(network);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, make_folders, remove_folders)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(packages_are_summed),       TEST(counters_begin_anew),
        TEST(where_there_is_none),       TEST(what_cannot_be_read),
        TEST(a_run_counts_its_training), TEST(an_interruption_is_not_counted),
    };
    return cmocka_run_group_tests_name("energy", tests, temporary_create, temporary_remove);
}
