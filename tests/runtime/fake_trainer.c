/* A trainer around the fake model, for tests that need a process of their own: kill -9, signals,
 * terminals, exit statuses.  Reads iris.csv, or what --data names. */
#include "../unit/fake_model.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    const gradc_option options[] = {{"", "iris.csv", 0}, {"target", "last", 0}};
    const gradc_source data = {"csv", options, 2, NULL};
    const gradc_train train = {.data = &data, .holdout_fraction = 0.2, .batch = FAKE_BATCH,
                               .accumulate = getenv("FAKE_ACCUMULATE") ? 3 : 1, .epochs = 30,
                               .evaluate_in_epochs = 1, .best_by = "accuracy", .best_is_larger = 1,
                               .seed = 1, .shuffle = 1};
    const gradc_model model = fake32_model(&train), checked = fake64_model(&train);
    fake_wrong_gradient = getenv("FAKE_WRONG") != NULL;
    if (getenv("FAKE_BREAK"))
        fake_break_at = atof(getenv("FAKE_BREAK"));
    return gradrt_main(argc, argv, &model, &checked);
}
