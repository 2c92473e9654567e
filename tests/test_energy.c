/* The packages' energy, from folders that look like those of powercap; and what a training run says
 * of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "models.h"
#include "system/energy.h"
#include "temporary.h"
#include "train/trainer.h"

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

/* Each training batch takes 2 J of the fake machine, each validation batch 5. */
static void use_energy(const cm_train_progress *progress, const cm_epoch_result *epoch,
                       void *context) {
    double *used = context;
    char text[32];
    if (epoch == NULL) {
        *used += progress->validating ? 5e6 : 2e6;
        snprintf(text, sizeof text, "%.0f\n", fmod(*used, 1e9));
        put("intel-rapl:0", "energy_uj", text);
    }
}

static void test_a_run_counts_its_training(void **state) {
    (void)state;
    enum { IMAGES = 8, PIXELS = 4 };
    static uint8_t pixels[IMAGES * PIXELS], labels[IMAGES];
    cm_dataset dataset = {.name = "test", .classes = 2};
    dataset.train = dataset.validation = (cm_images){IMAGES, 2, 2, pixels, labels};
    put_domain("intel-rapl:0", "package-0\n", "999998000\n");
    double used = 999998000;
    cm_energy energy;
    cm_energy_open(temporary_folder, &energy);
    cm_network *network = network_of("input 1 2 2\nflatten\nlinear 2\n");
    cm_model *model = model_of(network, 4, 1, CM_ISA_COUNT, true);
    cm_model_initialize(model, 0);
    cm_train_options options = cm_train_options_default();
    options.epochs = 3;
    options.steps = 4;
    options.valid_steps = 2;
    options.batch = 4;
    cm_train_result result;
    for (int pass = 0; pass < 2; ++pass) {
        options.energy = pass == 0 ? &energy : NULL;
        assert_int_equal(
            cm_train(model, &dataset, &options, use_energy, &used, NULL, &result, NULL), CM_OK);
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

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, make_folders, remove_folders)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(packages_are_summed), TEST(counters_begin_anew),       TEST(where_there_is_none),
        TEST(what_cannot_be_read), TEST(a_run_counts_its_training),
    };
    return cmocka_run_group_tests_name("energy", tests, temporary_create, temporary_remove);
}
