#include "harness/studies/report/published.h"

#include <stddef.h>
#include <string.h>

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

const char *cm_published_slip(const char *variant_id) {
    return strcmp(variant_id, "bn-8") == 0
               ? "The report prints 1,052,170 parameters for bn-8: a copy slip, that is plain-8's "
                 "count. Its 8 batch norms of 128 channels make it 1,054,218."
               : NULL;
}
