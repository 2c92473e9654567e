#include "harness/studies/report/published.h"

#include <stddef.h>
#include <string.h>

/* K. van Esterik, "CNNs Assignment Report", HAN University of Applied Sciences, October 2025. */
static const cm_published_figures figures[] = {
    /* clang-format off */
    {"baseline", 314250, 0.5591158866882324, 0.5238780838251114, 0.8053125, NULL},
    {"dropout-out-0.5", 314250, 0.6401745080947876, 0.5426638874411583, 0.78796875, NULL},
    {"dropout-conv-0.5", 314250, 0.6530442237854004, 0.5801776033639908, 0.7796875, NULL},
    {"dropout-conv-0.3", 314250, 0.6161350607872009, 0.5603274443745613, 0.783125, NULL},
    {"bn-3", 315018, 0.4102526903152466, 0.40167241960763933, 0.855625, NULL},
    {"plain-8", 1052170, 0.7681955695152283, 0.7850289395451546, 0.71015625, NULL},
    {"bn-8", 1052170, 0.409567654132843, 0.43624164432287216, 0.8453125,
     "The report prints 1,052,170 parameters for bn-8: a copy slip, that is plain-8's "
     "count. Its 8 batch norms of 128 channels make it 1,054,218."},
    {"bn-16", 2236938, 0.5733796954154968, 0.5665753045678139, 0.78375, NULL},
    /* clang-format on */
};

const cm_published_figures *cm_published_figures_of(const char *variant_id) {
    for (size_t i = 0; i < sizeof figures / sizeof *figures; ++i) {
        if (strcmp(figures[i].variant_id, variant_id) == 0) {
            return &figures[i];
        }
    }
    return NULL;
}

const cm_claim cm_claims[CM_CLAIM_COUNT] = {
    {"Dropout did not improve the model and often lowered accuracy.",
     5,
     {{"dropout 0.5 before the output: not above baseline",
       {"dropout-out-0.5"},
       {"baseline"},
       CM_NOT_HIGHER},
      {"dropout 0.5 after the last conv: not above baseline",
       {"dropout-conv-0.5"},
       {"baseline"},
       CM_NOT_HIGHER},
      {"dropout 0.3 after the last conv: not above baseline",
       {"dropout-conv-0.3"},
       {"baseline"},
       CM_NOT_HIGHER},
      {"mean of the three: below baseline",
       {"dropout-out-0.5", "dropout-conv-0.5", "dropout-conv-0.3"},
       {"baseline"},
       CM_LOWER},
      {"after the last conv: 0.3 above 0.5",
       {"dropout-conv-0.3"},
       {"dropout-conv-0.5"},
       CM_HIGHER}}},
    {"Batch norm clearly raised accuracy and training stability.",
     2,
     {{"3 conv: bn-3 above baseline", {"bn-3"}, {"baseline"}, CM_HIGHER},
      {"8 conv: bn-8 above plain-8", {"bn-8"}, {"plain-8"}, CM_HIGHER}}},
    {"More conv layers without batch norm lowered accuracy.",
     1,
     {{"plain-8 below baseline", {"plain-8"}, {"baseline"}, CM_LOWER}}},
    {"More conv layers with batch norm: diminishing returns.",
     2,
     {{"bn-3 above bn-8", {"bn-3"}, {"bn-8"}, CM_HIGHER},
      {"bn-8 above bn-16", {"bn-8"}, {"bn-16"}, CM_HIGHER}}},
    {"Best: 3 conv layers with batch norm, about 85.5 %.",
     7,
     {{"bn-3 above baseline", {"bn-3"}, {"baseline"}, CM_HIGHER},
      {"bn-3 above dropout-out-0.5", {"bn-3"}, {"dropout-out-0.5"}, CM_HIGHER},
      {"bn-3 above dropout-conv-0.5", {"bn-3"}, {"dropout-conv-0.5"}, CM_HIGHER},
      {"bn-3 above dropout-conv-0.3", {"bn-3"}, {"dropout-conv-0.3"}, CM_HIGHER},
      {"bn-3 above plain-8", {"bn-3"}, {"plain-8"}, CM_HIGHER},
      {"bn-3 above bn-8", {"bn-3"}, {"bn-8"}, CM_HIGHER},
      {"bn-3 above bn-16", {"bn-3"}, {"bn-16"}, CM_HIGHER}}},
};
